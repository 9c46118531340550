#include "core/tensor/tensors.h"

#include <limits>

#include "tests/support/status_matchers.h"

namespace radiograph {
namespace {

using ::radiograph::testing::StatusIs;
using ::testing::HasSubstr;

std::shared_ptr<const safetensors::MappedTensors> Written(const TemporaryFolder& folder,
                                                          const std::string& header,
                                                          const std::string& data) {
  const std::string path = folder.path() + "/model.safetensors";
  const int64_t size = header.size();
  EXPECT_OK(WriteFile(path, std::string(reinterpret_cast<const char*>(&size), 8) + header + data));
  auto file = safetensors::MappedTensors::Open(path, "model.safetensors");
  EXPECT_OK(file);
  return *file;
}

// A file of two tensors: "aligned" starts with the data, "shifted" 4 bytes later.
std::shared_ptr<const safetensors::MappedTensors> TwoTensors(const TemporaryFolder& folder) {
  std::string header = R"({"aligned":{"dtype":"F32","shape":[1],"data_offsets":[0,4]},)"
                       R"("shifted":{"dtype":"F32","shape":[2],"data_offsets":[4,12]}})";
  header.resize(120 + 64, ' ');
  const float values[] = {1, 2, 3};
  return Written(folder, header,
                 std::string(reinterpret_cast<const char*>(values), sizeof(values)));
}

TEST(TensorOf, AlignedTensorsAreTheMappingItselfOthersACopy) {
  ASSERT_OK_AND_ASSIGN(const TemporaryFolder folder, TemporaryFolder::Make());
  const auto file = TwoTensors(folder);
  const auto& aligned = *file->header().Find("aligned");
  const auto& shifted = *file->header().Find("shifted");
  EXPECT_EQ(TensorOf(file, aligned)->const_data_ptr(), file->Bytes(aligned).data());
  EXPECT_NE(TensorOf(file, shifted)->const_data_ptr(), file->Bytes(shifted).data());
  EXPECT_TRUE(at::equal(*TensorOf(file, shifted), at::arange(2, 4, at::kFloat)));
}

TEST(TensorOf, KeepsTheFileMapped) {
  ASSERT_OK_AND_ASSIGN(const TemporaryFolder folder, TemporaryFolder::Make());
  auto file = TwoTensors(folder);
  ASSERT_OK_AND_ASSIGN(const at::Tensor tensor, TensorOf(file, *file->header().Find("aligned")));
  file.reset();
  EXPECT_EQ(tensor.item<float>(), 1);
}

TEST(TensorOf, RefusesWhatAnalysesDoNotReadAndReadsTheRest) {
  ASSERT_OK_AND_ASSIGN(const TemporaryFolder folder, TemporaryFolder::Make());
  const auto file =
      Written(folder,
              R"({"seen":{"dtype":"U64","shape":[],"data_offsets":[0,8]},)"
              R"("small":{"dtype":"F8_E4M3","shape":[2],"data_offsets":[8,10]},)"
              R"("packed":{"dtype":"F4","shape":[4],"data_offsets":[10,12]},)"
              R"("new":{"dtype":"F2","shape":[3],"data_offsets":[12,13]},)"
              R"("deep":{"dtype":"U8","shape":[1,1,1,1,1,1,1,1,1],"data_offsets":[13,14]},)"
              R"("w":{"dtype":"U8","shape":[2],"data_offsets":[14,16]}})",
              std::string(14, 'x') + std::string("\x05\x07"));
  for (const auto& [name, says] : {std::pair{"seen", "tensor \"seen\": its dtype is U64;"},
                                   {"small", "tensor \"small\": its dtype is F8_E4M3;"},
                                   {"packed", "tensor \"packed\": its dtype is F4;"},
                                   {"new", "tensor \"new\": its dtype is F2;"},
                                   {"deep", "tensor \"deep\": it has 9 dimensions"}}) {
    EXPECT_THAT(TensorOf(file, *file->header().Find(name)).status(),
                StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr(says)));
  }
  ASSERT_OK_AND_ASSIGN(const at::Tensor w, TensorOf(file, *file->header().Find("w")));
  EXPECT_TRUE(at::equal(w.to(at::kLong), at::tensor({5, 7}, at::kLong)));
}

TEST(Arrays, SurviveTheWayThereAndBack) {
  const at::Tensor tensor = at::arange(6, at::kDouble).reshape({2, 3}).t();  // not contiguous
  const Array array = ToArray("x", {"class", "rank"}, tensor);
  EXPECT_EQ(array.shape, (std::vector<int64_t>{3, 2}));
  EXPECT_EQ(array.dtype, safetensors::DType::kF64);
  EXPECT_TRUE(at::equal(ToTensor(array), tensor));
}

TEST(CheckFinite, NamesTensorValueAndFirstIndex) {
  at::Tensor tensor = at::zeros({2, 3});
  EXPECT_OK(CheckFinite("w", tensor));
  tensor[1][1] = -std::numeric_limits<float>::infinity();
  tensor[1][2] = std::nan("");
  EXPECT_THAT(CheckFinite("w", tensor),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       HasSubstr("tensor 'w' [2, 3] holds -inf at flat index 4")));
  EXPECT_OK(CheckFinite("labels", at::ones({2}, at::kLong)));
}

}  // namespace
}  // namespace radiograph
