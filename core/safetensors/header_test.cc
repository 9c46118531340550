#include "core/safetensors/header.h"

#include <fcntl.h>

#include <string>

#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "core/base/file.h"
#include "core/base/json.h"
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
      {"seven bytes", "\x01\xFF\x01\x01\x01\x01\x01", "it has 7 bytes; at least 8 are needed"},
      {"overflowing length", LittleEndian(~uint64_t{0}) + "{}",
       "its header length is 18446744073709551615; at most 16777216 is allowed"},
      {"length that overflows with 8", LittleEndian((uint64_t{1} << 63) - 1) + "{}",
       "its header length is 9223372036854775807"},
      {"length above the limit, beyond the end", LittleEndian((16 << 20) + 1) + "{}",
       "header length is 16777217; the file has 2 bytes after it: it is truncated"},
      {"header cut off", LittleEndian(3) + "{}",
       "header length is 3; the file has 2 bytes after it: it is truncated"},
      {"header cut off before it begins", LittleEndian(300), "the file has 0 bytes after it"},
  });
}

TEST(SafetensorsHeader, TellsHeadersThatAreTooLongForUsFromOtherFiles) {
  for (const int64_t bytes : {kHeaderBytesMax + 1, int64_t{18874544}}) {
    std::string header = R"({"__metadata__":{"thumbnail":")";
    header.append(bytes - header.size() - 3, 'x') += "\"}}";
    EXPECT_THAT(Read(WithHeader(header)),
                StatusIs(absl::StatusCode::kInvalidArgument,
                         AllOf(HasSubstr(absl::StrCat("its header has ", bytes, " bytes")),
                               HasSubstr("too long for Radiograph; up to 16777216 are read"))));
  }
  std::string longest = R"({"__metadata__":{"thumbnail":")";
  longest.append(kHeaderBytesMax - longest.size() - 3, 'x') += "\"}}";
  EXPECT_OK(Read(WithHeader(longest)));
}

TEST(SafetensorsHeader, RefusesWhatIsNotAnObjectInUtf8) {
  ExpectRefused({
      {"empty header", WithHeader("", 1), "does not begin with {"},
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
      {"list", WithHeader(R"({"__metadata__":[]})"), "__metadata__ is a list, not an object"},
      {"null inside", WithHeader(R"({"__metadata__":{"a":null}})"),
       R"(__metadata__: "a" is null, not a string)"},
      {"null twice", WithHeader(R"({"__metadata__":null,"__metadata__":null})"),
       R"("__metadata__" appears twice)"},
      {"null, then texts", WithHeader(R"({"__metadata__":null,"__metadata__":{"a":""}})"),
       R"("__metadata__" appears twice)"},
      {"null tensor", WithHeader(R"({"w":null})"), R"(tensor "w" is null, not an object)"},
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

// "[1, 1, ...]"
std::string Ones(int64_t rank) { return ShapeText(std::vector<int64_t>(rank, 1)); }

TEST(SafetensorsHeader, RefusesWrongFields) {
  ExpectRefused({
      {"no name of a dtype", OneTensor(R"("")", "[4]", "[0,4]", 4),
       R"(tensor "w": dtype "" has 0 bytes; 1..64 are allowed)"},
      {"long name of a dtype",
       OneTensor(absl::StrCat("\"", std::string(65, 'F'), "\""), "[4]", "[0,4]", 4),
       "has 65 bytes; 1..64 are allowed"},
      {"dtype with a control character", OneTensor(R"("F\n8")", "[4]", "[0,4]", 4),
       R"(tensor "w": dtype "F\n8" has a control character)"},
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
      {"size of -0", OneTensor(R"("U8")", "[-0]", "[0,0]", 0),
       "shape holds -0; 0..2^63-1 is allowed"},
      {"-0 beside others", OneTensor(R"("U8")", "[4,-0,2]", "[0,0]", 0), "shape holds -0;"},
      {"offset of -0", OneTensor(R"("U8")", "[0]", "[-0,0]", 0), "data_offsets holds -0;"},
      {"rank 65", OneTensor(R"("U8")", Ones(65), "[0,1]", 1), "shape has more than 64 numbers"},
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
      {"only an unread field", WithHeader(R"({"w":{"stride":[1]}})"),
       R"(tensor "w": dtype is missing)"},
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

// Bits as in safetensors 0.8.
constexpr std::pair<absl::string_view, int64_t> kBits[] = {
    {"F64", 64},    {"F32", 32},    {"F16", 16},        {"BF16", 16},       {"I64", 64},
    {"I32", 32},    {"I16", 16},    {"I8", 8},          {"U8", 8},          {"BOOL", 8},
    {"U64", 64},    {"U32", 32},    {"U16", 16},        {"C64", 64},        {"F8_E4M3", 8},
    {"F8_E5M2", 8}, {"F8_E8M0", 8}, {"F8_E4M3FNUZ", 8}, {"F8_E5M2FNUZ", 8}, {"F6_E2M3", 6},
    {"F6_E3M2", 6}, {"F4", 4}};

TEST(SafetensorsHeader, ReadsAllDTypesOfTheFormat) {
  std::string json = "{";
  int64_t end = 0;
  for (const auto& [name, bits] : kBits) {
    const DType dtype = DTypeOfName(name);
    EXPECT_EQ(DTypeName(dtype), name);
    EXPECT_EQ(DTypeBits(dtype), bits) << name;
    const int64_t begin = end;
    end += bits;  // of eight elements
    absl::StrAppend(&json, begin > 0 ? "," : "", "\"", name, R"(":{"shape":[2,4],"data_offsets":[)",
                    begin, ",", end, R"(],"dtype":")", name, "\"}");
  }
  ASSERT_OK_AND_ASSIGN(Header header, ParseHeader(json + "}", end));
  EXPECT_EQ(header.tensors.size(), std::size(kBits));
  for (const TensorInfo& tensor : header.tensors) EXPECT_EQ(DTypeName(tensor), tensor.name);
  EXPECT_THAT(header.notes, ElementsAre());
}

TEST(SafetensorsHeader, RefusesElementsThatEndInsideAByte) {
  EXPECT_OK(Read(OneTensor(R"("F4")", "[3,2]", "[0,3]", 3)));
  EXPECT_OK(Read(OneTensor(R"("F6_E2M3")", "[4]", "[0,3]", 3)));
  EXPECT_OK(Read(OneTensor(R"("F4")", "[3,0]", "[0,0]", 0)));
  ExpectRefused({
      {"three of 4 bits", OneTensor(R"("F4")", "[3]", "[0,2]", 2),
       "F4 of shape [3] does not end at a byte: 3 elements of 4 bits"},
      {"a scalar of 4 bits", OneTensor(R"("F4")", "[]", "[0,1]", 1), "1 elements of 4 bits"},
      {"five of 6 bits", OneTensor(R"("F6_E3M2")", "[5]", "[0,4]", 4), "5 elements of 6 bits"},
      {"too many bytes", OneTensor(R"("F4")", "[4]", "[0,4]", 4), "needs 2 bytes"},
      {"overflow", OneTensor(R"("F4")", "[9223372036854775807,2]", "[0,0]", 0), "2^63-1 bytes"},
  });
}

TEST(SafetensorsHeader, CarriesDTypesThatItDoesNotKnow) {
  for (const char* name : {"F2_E1M0", "c128", "größer", "unknown"}) {
    ASSERT_OK_AND_ASSIGN(Header header,
                         Read(OneTensor(absl::StrCat("\"", name, "\""), "[3]", "[0,7]", 7)));
    EXPECT_EQ(header.Find("w")->dtype, DType::kUnknown);
    EXPECT_EQ(DTypeName(*header.Find("w")), name);
    EXPECT_EQ(header.Find("w")->bytes(), 7);
    EXPECT_THAT(header.notes, ElementsAre(AllOf(HasSubstr("Dtypes that are not known: "),
                                                HasSubstr(JsonExcerpt(name)))));
  }
  ExpectRefused({
      {"overflow", OneTensor(R"("NEW")", "[4294967296,4294967296]", "[0,1]", 1), "2^63-1"},
      {"beyond the end", OneTensor(R"("NEW")", "[1]", "[0,9]", 8), "it is truncated"},
      {"backwards", OneTensor(R"("NEW")", "[1]", "[8,0]", 8), "run backwards"},
  });
}

TEST(SafetensorsHeader, CarriesRanksThatAreNotRead) {
  for (const int64_t rank : {kRankReadMax + 1, int64_t{33}, kRankMax}) {
    ASSERT_OK_AND_ASSIGN(Header header, Read(OneTensor(R"("U8")", Ones(rank), "[0,1]", 1)));
    EXPECT_EQ(static_cast<int64_t>(header.Find("w")->shape.size()), rank);
  }
}

TEST(SafetensorsHeader, SaysWhichTensorsCannotBeReadAndWhatWouldDo) {
  EXPECT_OK(CheckReadable({.name = "w", .dtype = DType::kBool, .shape = {1, 1, 1, 1, 1, 1, 1, 1}}));
  struct Case {
    TensorInfo tensor;
    const char* says;
  };
  for (
      const Case& one : std::vector<Case>{
          {{.name = "w", .dtype = DType::kU64, .shape = {}},
           R"(tensor "w": its dtype is U64; analyses read F64, F32, F16, BF16, I64, I32, I16, I8, U8, BOOL: convert it)"},
          {{.name = "w", .dtype = DType::kF4, .shape = {2}}, "its dtype is F4; analyses read"},
          {{.name = "w", .dtype = DType::kUnknown, .shape = {2}, .unknown_dtype = "NEW"},
           "its dtype is NEW; analyses read"},
          {{.name = "w", .dtype = DType::kF32, .shape = {1, 1, 1, 1, 1, 1, 1, 1, 2}},
           "it has 9 dimensions, [1, 1, 1, 1, 1, 1, 1, 1, 2]; analyses read up to 8: reshape "
           "it"}}) {
    EXPECT_THAT(CheckReadable(one.tensor),
                StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr(one.says)));
  }
}

TEST(SafetensorsHeader, NullIsNoMetadata) {
  for (const char* json :
       {R"({"__metadata__":null})",
        R"({"__metadata__" : null , "w":{"dtype":"U8","shape":[0],"data_offsets":[0,0]}})",
        R"({"w":{"dtype":"U8","shape":[0],"data_offsets":[0,0]},"__metadata__":null})"}) {
    ASSERT_OK_AND_ASSIGN(Header header, Read(WithHeader(json)));
    EXPECT_TRUE(header.metadata.empty());
    EXPECT_EQ(header.Find("__metadata__"), nullptr);
    EXPECT_TRUE(header.notes.empty());
  }
}

TEST(SafetensorsHeader, PassesOverOtherKeysOfATensorWithANote) {
  auto with = [](absl::string_view more) {
    return WithHeader(
        absl::StrCat(R"({"w":{)", more, R"("dtype":"U8","shape":[2],"data_offsets":[0,2]}})"), 2);
  };
  struct Case {
    const char* more;
    const char* named;
  };
  for (const Case& one :
       std::vector<Case>{{R"("stride":[1],)", R"("stride".)"},
                         {R"("quant":{"bits":[4,{"shape":[9]}],"dtype":"F4"},)", R"("quant".)"},
                         {R"("a":null,"b":-0.5,"c":"x",)", R"("a", "b", "c".)"},
                         {R"("a":true,"b":-0,"c":[],"d":{},)", R"("a", "b", "c" and more.)"},
                         {R"("a":1,"a":[[[]]],)", R"("a".)"},
                         {R"("Shape":[7],"":0,)", R"("", "Shape".)"}}) {
    SCOPED_TRACE(one.more);
    ASSERT_OK_AND_ASSIGN(Header header, Read(with(one.more)));
    EXPECT_THAT(header.Find("w")->shape, ElementsAre(2));
    EXPECT_THAT(header.notes,
                ElementsAre(absl::StrCat("Keys of tensors that are not read: ", one.named)));
  }
  ExpectRefused({{"not JSON inside", with(R"("a":[nul],)"), "not JSON at byte"},
                 {"not closed", with(R"("a":[{],)"), "not JSON at byte"}});
}

TEST(SafetensorsHeader, ReadsScalarsEmptyTensorsAndMetadata) {
  const std::string json = R"({"__metadata__":{"step":"3"},)"
                           R"("none":{"dtype":"F32","shape":[3,0],"data_offsets":[0,0]},)"
                           R"("F64":{"shape":[],"data_offsets":[0,8],"dtype":"F64"}})"
                           "\n ";
  ASSERT_OK_AND_ASSIGN(Header header, ParseHeader(json, 8));
  EXPECT_EQ(header.metadata.at("step"), "3");
  EXPECT_EQ(header.data_begin, 8 + static_cast<int64_t>(json.size()));
  EXPECT_EQ(header.tensors.front().name, "F64");  // by name
  EXPECT_EQ(header.Find("F64")->bytes(), 8);
  EXPECT_EQ(header.Find("none")->bytes(), 0);
  EXPECT_THAT(header.Find("none")->shape, ElementsAre(3, 0));
  EXPECT_EQ(header.Find("f64"), nullptr);
}

}  // namespace
}  // namespace radiograph::safetensors
