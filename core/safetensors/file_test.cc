#include "core/safetensors/file.h"

#include <string>

#include "absl/strings/str_cat.h"
#include "tests/support/status_matchers.h"

namespace radiograph::safetensors {
namespace {

using ::radiograph::testing::StatusIs;
using ::testing::HasSubstr;

class SafetensorsFile : public ::testing::Test {
 protected:
  TemporaryFolder folder_ = *TemporaryFolder::Make();
  std::string path_ = folder_.path() + "/file.safetensors";
};

TEST_F(SafetensorsFile, BytesAreAsTheFormatSays) {
  ASSERT_OK_AND_ASSIGN(
      Writer writer,
      Writer::Create(path_, {{"b", DType::kU8, {3}}, {"a", DType::kI16, {2, 1}}}, {{"step", "7"}}));
  EXPECT_EQ(writer.tensors().front().name, "a");  // larger elements first
  ASSERT_OK(writer.Append("ab"));
  ASSERT_OK(writer.Append("cdxyz"));
  ASSERT_OK(writer.Finish());

  std::string json =
      R"({"__metadata__":{"step":"7"},"a":{"dtype":"I16","shape":[2,1],"data_offsets":[0,4]},)"
      R"("b":{"dtype":"U8","shape":[3],"data_offsets":[4,7]}})";
  std::string length("\xB8\0\0\0\0\0\0\0", 8);  // 184 = 136 + 48 = 3 * 64 - 8
  EXPECT_EQ(*ReadFile(path_, 1000), length + json + std::string(48, ' ') + "abcdxyz");
}

TEST_F(SafetensorsFile, WhatIsWrittenIsReadBack) {
  ASSERT_OK_AND_ASSIGN(Writer writer, Writer::Create(path_, {{"bias", DType::kF32, {2}},
                                                             {"weight", DType::kF64, {8}},
                                                             {"none", DType::kBool, {0, 5}}}));
  ASSERT_OK(writer.Append(std::string(64, 'w') + std::string(8, 'b')));
  ASSERT_OK(writer.Finish());

  ASSERT_OK_AND_ASSIGN(auto file, MappedTensors::Open(path_, "file"));
  const TensorInfo& weight = *file->header().Find("weight");
  EXPECT_EQ(file->Bytes(weight), std::string(64, 'w'));
  EXPECT_EQ(file->Bytes(*file->header().Find("bias")), "bbbbbbbb");
  EXPECT_EQ(file->Bytes(*file->header().Find("none")), "");
  EXPECT_TRUE(file->Aligned(weight));
  EXPECT_EQ(reinterpret_cast<uintptr_t>(file->Bytes(weight).data()) % kAlignment, 0);
  EXPECT_TRUE(file->Aligned(*file->header().Find("bias")));  // begins at 64
}

TEST_F(SafetensorsFile, TensorsOffTheGridAreNotAligned) {
  ASSERT_OK_AND_ASSIGN(Writer writer,
                       Writer::Create(path_, {{"a", DType::kU8, {1}}, {"b", DType::kU8, {1}}}));
  ASSERT_OK(writer.Append("ab"));
  ASSERT_OK(writer.Finish());
  ASSERT_OK_AND_ASSIGN(auto file, MappedTensors::Open(path_, "file"));
  EXPECT_TRUE(file->Aligned(*file->header().Find("a")));
  EXPECT_FALSE(file->Aligned(*file->header().Find("b")));
}

TEST_F(SafetensorsFile, WriterCountsBytes) {
  ASSERT_OK_AND_ASSIGN(Writer writer, Writer::Create(path_, {{"w", DType::kF32, {2}}}));
  ASSERT_OK(writer.Append("1234"));
  EXPECT_THAT(writer.Finish(),
              StatusIs(absl::StatusCode::kFailedPrecondition, HasSubstr("4 bytes are missing")));
  EXPECT_THAT(writer.Append("12345"),
              StatusIs(absl::StatusCode::kFailedPrecondition, HasSubstr("only 4 are still due")));
  ASSERT_OK(writer.Append("1234"));
  EXPECT_OK(writer.Finish());
}

TEST_F(SafetensorsFile, WriterRefusesWhatCannotBeRead) {
  EXPECT_THAT(Writer::Create(path_, {{"w", DType::kF32, {2}}, {"w", DType::kF32, {2}}}),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("\"w\" appears twice")));
  EXPECT_THAT(Writer::Create(path_, {{"w", DType::kF32, {0, int64_t{1} << 62}}}),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("more than 2^63-1 bytes")));
  EXPECT_THAT(Writer::Create(path_, {{"\xFF", DType::kF32, {1}}}),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("JSON")));
  EXPECT_THAT(Writer::Create(path_, {{"w", DType::kF32, {-1}}}),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("below 0")));
}

TEST_F(SafetensorsFile, WriterRefusesWhatAnalysesDoNotRead) {
  EXPECT_THAT(Writer::Create(path_, {{"w", DType::kU64, {2}}}),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("its dtype is U64")));
  EXPECT_THAT(Writer::Create(path_, {{"w", DType::kUnknown, {0}}}),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("no known size")));
  EXPECT_THAT(Writer::Create(path_, {{"w", DType::kF32, std::vector<int64_t>(9, 1)}}),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("it has 9 dimensions")));
}

TEST_F(SafetensorsFile, MissingFileIsNotFound) {
  EXPECT_THAT(MappedTensors::Open(path_, "file"),
              StatusIs(absl::StatusCode::kNotFound, HasSubstr(path_)));
}

// Written by Python (tests/data/safetensors_io.py).
TEST_F(SafetensorsFile, ReadsTheSampleWeights) {
  ASSERT_OK_AND_ASSIGN(
      auto file,
      MappedTensors::Open("tests/data/digits/wd1_noise0.2_seed0/model.safetensors", "model"));
  ASSERT_FALSE(file->header().tensors.empty());
  for (const TensorInfo& tensor : file->header().tensors) {
    EXPECT_EQ(static_cast<int64_t>(file->Bytes(tensor).size()),
              *TensorBytes(tensor.dtype, tensor.shape))
        << tensor.name;
  }
}

}  // namespace
}  // namespace radiograph::safetensors
