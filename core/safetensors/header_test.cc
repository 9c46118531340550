#include "core/safetensors/header.h"

#include <fcntl.h>

#include <string>

#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "core/base/file.h"
#include "tests/support/status_matchers.h"

namespace radiograph::safetensors {
namespace {

using ::radiograph::testing::StatusIs;
using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

std::string LittleEndian(uint64_t value) {
  std::string bytes;
  for (int i = 0; i < 8; ++i) bytes.push_back(static_cast<char>(value >> (8 * i)));
  return bytes;
}

std::string WithHeader(absl::string_view json, size_t data_bytes = 0) {
  return absl::StrCat(LittleEndian(json.size()), json, std::string(data_bytes, 'd'));
}

absl::StatusOr<Header> Read(absl::string_view bytes) {
  TemporaryFolder folder = *TemporaryFolder::Make();
  std::string path = folder.path() + "/file";
  EXPECT_OK(WriteFile(path, bytes));
  absl::StatusOr<UniqueFd> fd = OpenFile(path, O_RDONLY);
  EXPECT_OK(fd);
  return ReadHeader(fd->get(), "w.safetensors");
}

struct HostileFile {
  const char* rule;
  std::string bytes;
  const char* message;
};

void ExpectRefused(const std::vector<HostileFile>& files) {
  for (const HostileFile& file : files) {
    EXPECT_THAT(Read(file.bytes),
                StatusIs(absl::StatusCode::kInvalidArgument,
                         AllOf(HasSubstr("w.safetensors: "), HasSubstr(file.message))))
        << file.rule;
  }
}

TEST(SafetensorsHeader, RefusesWrongLengths) {
  ExpectRefused({
      {"empty file", "", "it has 0 bytes; at least 8 are needed"},
      {"seven bytes", "1234567", "it has 7 bytes"},
      {"overflowing length", LittleEndian(~uint64_t{0}) + "{}",
       "its header length is 18446744073709551615"},
      {"length that overflows with 8", LittleEndian((uint64_t{1} << 63) - 1) + "{}",
       "its header length is 9223372036854775807"},
      {"length above the limit", LittleEndian((16 << 20) + 1) + "{}",
       "its header length is 16777217; at most 16777216 is allowed"},
      {"header cut off", LittleEndian(3) + "{}",
       "header length is 3; the file has 2 bytes after it: it is truncated"},
      {"pickle", "\x80\x02}q\x01X\x04\x2e\x2e", "it looks like a PyTorch pickle"},
      {"archive of PyTorch", std::string("PK\x03\x04\x00\x00\x08\x08", 8),
       "it looks like a PyTorch pickle"},
  });
}

TEST(SafetensorsHeader, RefusesWhatIsNotAnObjectInUtf8) {
  ExpectRefused({
      {"empty header", WithHeader(""), "does not begin with {"},
      {"list", WithHeader("[]"), "does not begin with {"},
      {"byte order mark", WithHeader("\xEF\xBB\xBF{}"), "does not begin with {"},
      {"cut object", WithHeader(R"({"w":)"), "not JSON at byte"},
      {"text after the object", WithHeader("{} x"), "not JSON at byte 4"},
      {"NUL after the object", WithHeader(absl::string_view("{}\0", 3)), "not JSON at byte 2: NUL"},
      {"not UTF-8", WithHeader("{\"\xFF\":1}"), "not JSON at byte"},
      {"tensor is a number", WithHeader(R"({"w":1})"), R"(tensor "w" is a number, not an object)"},
      {"tensor is a list", WithHeader(R"({"w":[]})"), R"(tensor "w" is a list, not an object)"},
  });
}

TEST(SafetensorsHeader, RefusesDuplicateKeys) {
  const std::string empty = R"({"dtype":"F32","shape":[0],"data_offsets":[0,0]})";
  ExpectRefused({
      {"tensor", WithHeader(absl::StrCat("{\"w\":", empty, ",\"w\":", empty, "}")),
       R"("w" appears twice)"},
      {"escaped tensor", WithHeader(absl::StrCat("{\"w\":", empty, ",\"\\u0077\":", empty, "}")),
       R"("w" appears twice)"},
      {"metadata", WithHeader(R"({"__metadata__":{},"__metadata__":{}})"),
       R"("__metadata__" appears twice)"},
      {"metadata key", WithHeader(R"({"__metadata__":{"a":"","a":""}})"),
       R"(__metadata__: the key "a" appears twice)"},
      {"field", WithHeader(R"({"w":{"dtype":"F32","dtype":"F32"}})"),
       R"(tensor "w": the key "dtype" appears twice)"},
  });
}

TEST(SafetensorsHeader, RefusesMoreMetadataThanAllowed) {
  auto entries = [](int64_t count) {
    std::string json = R"({"__metadata__":{"first":"")";
    for (int64_t i = 1; i < count; ++i) absl::StrAppend(&json, ",\"", i, "\":\"\"");
    return json + "}}";
  };
  EXPECT_OK(ParseHeader(entries(kMetadataMax), 0));
  EXPECT_THAT(ParseHeader(entries(kMetadataMax + 1), 0),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("more than 100000 entries")));
}

TEST(SafetensorsHeader, RefusesMetadataThatIsNotStrings) {
  ExpectRefused({
      {"string", WithHeader(R"({"__metadata__":"a"})"), "__metadata__ is a string, not an object"},
      {"null", WithHeader(R"({"__metadata__":null})"), "__metadata__ is null, not an object"},
      {"number inside", WithHeader(R"({"__metadata__":{"step":3}})"),
       R"(__metadata__: "step" is a number, not a string)"},
      {"object inside", WithHeader(R"({"__metadata__":{"a":{}}})"),
       R"(__metadata__: "a" is an object, not a string)"},
  });
}

std::string OneTensor(absl::string_view dtype, absl::string_view shape, absl::string_view offsets,
                      size_t data_bytes) {
  return WithHeader(absl::StrCat(R"({"w":{"dtype":)", dtype, R"(,"shape":)", shape,
                                 R"(,"data_offsets":)", offsets, "}}"),
                    data_bytes);
}

TEST(SafetensorsHeader, RefusesWrongFields) {
  ExpectRefused({
      {"unknown dtype", OneTensor(R"("F8_E4M3")", "[4]", "[0,4]", 4),
       R"(tensor "w": dtype "F8_E4M3" is not read; F64, F32, F16, BF16, I64, I32, I16, I8, U8, BOOL are)"},
      {"dtype is a number", OneTensor("32", "[4]", "[0,4]", 4),
       R"(tensor "w": dtype is a number, not a string)"},
      {"shape is a number", OneTensor(R"("U8")", "4", "[0,4]", 4),
       R"(tensor "w": shape is a number, not a list)"},
      {"shape in a shape", OneTensor(R"("U8")", "[[4]]", "[0,4]", 4),
       R"(shape holds a list, not an integer)"},
      {"negative size", OneTensor(R"("U8")", "[-4]", "[0,4]", 4),
       "shape holds -4; 0..2^63-1 is allowed"},
      {"fraction", OneTensor(R"("U8")", "[4.0]", "[0,4]", 4),
       R"(shape holds "4.0", not an integer)"},
      {"size of 2^63", OneTensor(R"("U8")", "[9223372036854775808]", "[0,4]", 4),
       "holds 9223372036854775808; 0..2^63-1"},
      {"size of 2^64", OneTensor(R"("U8")", "[18446744073709551616]", "[0,4]", 4),
       "\"18446744073709551616\", not an"},
      {"rank 9", OneTensor(R"("U8")", "[1,1,1,1,1,1,1,1,1]", "[0,1]", 1),
       "shape has more than 8 numbers"},
      {"one offset", OneTensor(R"("U8")", "[4]", "[4]", 4),
       "data_offsets has 1 numbers; 2 are needed"},
      {"three offsets", OneTensor(R"("U8")", "[4]", "[0,4,4]", 4),
       "data_offsets has more than 2 numbers"},
      {"no dtype", WithHeader(R"({"w":{"shape":[],"data_offsets":[0,1]}})", 1),
       R"(tensor "w": dtype is missing)"},
      {"no shape", WithHeader(R"({"w":{"dtype":"U8","data_offsets":[0,1]}})", 1),
       R"(tensor "w": shape is missing)"},
      {"no offsets", WithHeader(R"({"w":{"dtype":"U8","shape":[]}})", 1),
       R"(tensor "w": data_offsets is missing)"},
      {"unknown field", WithHeader(R"({"w":{"stride":[1]}})"),
       R"(tensor "w": unknown key "stride")"},
  });
}

TEST(SafetensorsHeader, RefusesOffsetsWithHolesOverlapsAndWrongEnds) {
  auto two = [](absl::string_view first, absl::string_view second) {
    auto tensor = [](absl::string_view offsets) {
      return absl::StrCat(R"({"dtype":"U8","shape":[4],"data_offsets":)", offsets, "}");
    };
    return WithHeader(absl::StrCat(R"({"a":)", tensor(first), R"(,"b":)", tensor(second), "}"), 8);
  };
  ExpectRefused({
      {"not from 0", OneTensor(R"("U8")", "[4]", "[4,8]", 8), "begin at 4 where 0 is due: a hole"},
      {"hole", two("[0,4]", "[5,9]"),
       R"(tensor "b": data_offsets begin at 5 where 4 is due: a hole)"},
      {"overlap", two("[0,4]", "[3,7]"),
       R"(tensor "b": data_offsets begin at 3 where 4 is due: an overlap)"},
      {"same bytes twice", two("[0,4]", "[0,4]"), "where 4 is due: an overlap"},
      {"backwards", OneTensor(R"("U8")", "[4]", "[4,0]", 4),
       "data_offsets run backwards, from 4 to 0"},
      {"data cut off", OneTensor(R"("U8")", "[4]", "[0,4]", 3),
       "the tensors take 4 bytes of data; the file has 3: it is truncated"},
      {"data left over", OneTensor(R"("U8")", "[4]", "[0,4]", 5),
       "the file has 5: something follows the last tensor"},
      {"data without tensors", WithHeader("{}", 1),
       "the tensors take 0 bytes of data; the file has 1"},
  });
}

TEST(SafetensorsHeader, RefusesShapesThatDontFitTheirBytes) {
  ExpectRefused({
      {"too few bytes", OneTensor(R"("F32")", "[2,3]", "[0,20]", 20),
       "F32 of shape [2, 3] needs 24 bytes; data_offsets give 20"},
      {"overflow to 0", OneTensor(R"("F32")", "[4294967296,4294967296]", "[0,0]", 0),
       "needs more than 2^63-1 bytes"},
      {"zero hides an overflow", OneTensor(R"("F32")", "[0,4294967296,4294967296]", "[0,0]", 0),
       "needs more than 2^63-1 bytes"},
      {"zero after an overflow", OneTensor(R"("F32")", "[4294967296,4294967296,0]", "[0,0]", 0),
       "needs more than 2^63-1 bytes"},
      {"overflow by the dtype", OneTensor(R"("F64")", "[1152921504606846976]", "[0,0]", 0),
       "needs more than 2^63-1 bytes"},
  });
}

TEST(SafetensorsHeader, RefusesBadNames) {
  auto named = [](absl::string_view name) {
    return WithHeader(
        absl::StrCat("{\"", name, R"(":{"dtype":"U8","shape":[0],"data_offsets":[0,0]}})"));
  };
  EXPECT_OK(Read(named(std::string(1024, 'n'))));
  EXPECT_OK(Read(named("größe ✓ ")));
  ExpectRefused({
      {"too long", named(std::string(1025, 'n')), "has a name of 1025 bytes; 1024 are allowed"},
      {"line end", named("a\\nb"), R"(tensor "a\nb" has a control character)"},
      {"delete", named("a\x7F"), R"(tensor "a\x7f" has a control character)"},
      {"U+0085", named("a\u0085"), R"(tensor "a\xc2\x85" has a control character)"},
  });
}

TEST(SafetensorsHeader, ReadsAsManyTensorsAsAllowedAndNoMore) {
  auto tensors = [](int64_t count) {
    std::string json = "{";
    for (int64_t i = 0; i < count; ++i) {
      absl::StrAppend(&json, i ? "," : "", "\"", i,
                      R"(":{"dtype":"U8","shape":[2],"data_offsets":[)", 2 * i, ",", 2 * i + 2,
                      "]}");
    }
    return json + "}";
  };
  ASSERT_OK_AND_ASSIGN(Header header, ParseHeader(tensors(kTensorsMax), 2 * kTensorsMax));
  ASSERT_NE(header.Find("199999"), nullptr);
  EXPECT_EQ(header.Find("199999")->begin, 399998);
  EXPECT_THAT(ParseHeader(tensors(kTensorsMax + 1), 2 * kTensorsMax + 2),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("more than 200000 tensors")));
}

TEST(SafetensorsHeader, ReadsAllDTypesScalarsEmptyTensorsAndMetadata) {
  std::string json = R"({"__metadata__":{"step":"3"})";
  int64_t end = 0;
  for (absl::string_view name :
       {"F64", "F32", "F16", "BF16", "I64", "I32", "I16", "I8", "U8", "BOOL"}) {
    ASSERT_OK_AND_ASSIGN(DType dtype, ParseDType(name));
    EXPECT_EQ(DTypeName(dtype), name);
    int64_t begin = end;
    end += DTypeBytes(dtype);
    absl::StrAppend(&json, ",\"", name, R"(":{"shape":[],"data_offsets":[)", begin, ",", end,
                    R"(],"dtype":")", name, "\"}");
  }
  absl::StrAppend(&json, R"(,"none":{"dtype":"F32","shape":[3,0],"data_offsets":[0,0]}})", "\n ");
  ASSERT_OK_AND_ASSIGN(Header header, ParseHeader(json, 8 + 4 + 2 + 2 + 8 + 4 + 2 + 1 + 1 + 1));
  EXPECT_EQ(header.metadata.at("step"), "3");
  EXPECT_EQ(header.data_begin, 8 + static_cast<int64_t>(json.size()));
  EXPECT_EQ(header.tensors.front().name, "BF16");  // by name
  EXPECT_EQ(header.Find("F64")->elements(), 1);
  EXPECT_EQ(header.Find("none")->elements(), 0);
  EXPECT_THAT(header.Find("none")->shape, ElementsAre(3, 0));
  EXPECT_EQ(header.Find("f64"), nullptr);
}

}  // namespace
}  // namespace radiograph::safetensors
