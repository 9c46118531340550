#include "core/catalog/cache_key.h"

#include <nlohmann/json.hpp>

#include "core/base/digest.h"
#include "core/base/file.h"
#include "core/base/json.h"
#include "core/catalog/sample_spec.h"
#include "tests/support/status_matchers.h"

namespace radiograph {
namespace {

using ::radiograph::testing::StatusIs;
using ::testing::HasSubstr;

Json Vectors() {
  absl::StatusOr<std::string> text = ReadFile("tests/data/cache_key_vectors.json", 1 << 20);
  EXPECT_OK(text);
  return *ParseJson(*text);
}

TEST(CacheKey, AgreesWithTheVectors) {
  const Json vectors = Vectors()["cache_keys"];
  ASSERT_GE(vectors.size(), 3);
  for (const Json& vector : vectors) {
    Spec spec = SampleSpec(vector["analysis"], vector["version"]);
    ASSERT_OK_AND_ASSIGN(ParamValues params, NormalizeParams(spec, vector["params"]));
    EXPECT_EQ(*CacheKey(spec, params, vector["inputs"], vector["seed"]), vector["key"])
        << vector["about"];
    EXPECT_EQ(Sha256Hex(vector["canonical"].get<std::string>()), vector["key"]) << vector["about"];
  }
}

TEST(InputDigest, AgreesWithTheVectors) {
  const Json vectors = Vectors()["input_digests"];
  ASSERT_GE(vectors.size(), 3);
  for (const Json& vector : vectors) {
    std::vector<NamedBlob> files;
    for (const Json& file : vector["files"]) files.push_back({file[0], file[1]});
    ASSERT_OK_AND_ASSIGN(Architecture architecture, Architecture::FromJson(vector["architecture"]));
    EXPECT_EQ(*InputDigest(files, architecture, vector["roles"]), vector["digest"])
        << vector["about"];
    EXPECT_EQ(Sha256Hex(vector["canonical"].get<std::string>()), vector["digest"])
        << vector["about"];
  }
}

TEST(CacheKey, ChangesWithEverythingInIt) {
  Spec spec = SampleSpec();
  ParamValues params = *NormalizeParams(spec, Json::object());
  const std::string key = *CacheKey(spec, params, {{"model", {"aa", "bb"}}}, 0);
  EXPECT_EQ(*CacheKey(spec, *NormalizeParams(spec, Json{{"k", 20}}), {{"model", {"aa", "bb"}}}, 0),
            key);
  EXPECT_NE(*CacheKey(spec, *NormalizeParams(spec, Json{{"k", 21}}), {{"model", {"aa", "bb"}}}, 0),
            key);
  EXPECT_NE(*CacheKey(SampleSpec("sample.all", 4), params, {{"model", {"aa", "bb"}}}, 0), key);
  EXPECT_NE(*CacheKey(SampleSpec("sample.al", 3), params, {{"model", {"aa", "bb"}}}, 0), key);
  EXPECT_NE(*CacheKey(spec, params, {{"model", {"bb", "aa"}}}, 0), key);  // a series has an order
  EXPECT_NE(*CacheKey(spec, params, {{"other", {"aa", "bb"}}}, 0), key);
  EXPECT_NE(*CacheKey(spec, params, {{"model", {"aa", "bb"}}}, 1), key);
}

TEST(InputDigest, RefusesOneNameForTwoFiles) {
  EXPECT_THAT(
      InputDigest({{"w", "aa"}, {"v", "bb"}, {"w", "cc"}}, {}, {}),
      StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("two files are called \"w\"")));
}

}  // namespace
}  // namespace radiograph
