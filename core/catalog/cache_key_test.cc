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

InputIdentities IdentitiesOf(const Json& inputs) {
  InputIdentities identities;
  for (const auto& [name, artifacts] : inputs.items()) {
    identities[name];  // also of an empty list
    for (const Json& artifact : artifacts) {
      InputIdentity& identity = identities[name].emplace_back();
      identity.digest = artifact["digest"];
      if (!artifact.contains("architecture")) continue;
      absl::StatusOr<Architecture> architecture = Architecture::FromJson(artifact["architecture"]);
      EXPECT_OK(architecture);
      identity.architecture = *std::move(architecture);
    }
  }
  return identities;
}

// Of the input `name`, artifacts of these digests.
InputIdentities Digests(const std::string& name, const std::vector<std::string>& digests) {
  InputIdentities identities;
  for (const std::string& digest : digests) identities[name].push_back({digest, std::nullopt});
  return identities;
}

TEST(CacheKey, AgreesWithTheVectors) {
  const Json vectors = Vectors()["cache_keys"];
  ASSERT_GE(vectors.size(), 3);
  for (const Json& vector : vectors) {
    Spec spec = SampleSpec(vector["analysis"], vector["version"]);
    ASSERT_OK_AND_ASSIGN(ParamValues params, NormalizeParams(spec, vector["params"]));
    EXPECT_EQ(*CacheKey(spec, params, IdentitiesOf(vector["inputs"]), vector["seed"]),
              vector["key"])
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
    EXPECT_EQ(*InputDigest(files, vector["roles"]), vector["digest"]) << vector["about"];
    EXPECT_EQ(Sha256Hex(vector["canonical"].get<std::string>()), vector["digest"])
        << vector["about"];
  }
}

TEST(CacheKey, ChangesWithEverythingInIt) {
  Spec spec = SampleSpec();
  ParamValues params = *NormalizeParams(spec, Json::object());
  const InputIdentities inputs = Digests("model", {"aa", "bb"});
  const std::string key = *CacheKey(spec, params, inputs, 0);
  EXPECT_EQ(*CacheKey(spec, *NormalizeParams(spec, Json{{"k", 20}}), inputs, 0), key);
  EXPECT_NE(*CacheKey(spec, *NormalizeParams(spec, Json{{"k", 21}}), inputs, 0), key);
  EXPECT_NE(*CacheKey(SampleSpec("sample.all", 4), params, inputs, 0), key);
  EXPECT_NE(*CacheKey(SampleSpec("sample.al", 3), params, inputs, 0), key);
  // A series has an order.
  EXPECT_NE(*CacheKey(spec, params, Digests("model", {"bb", "aa"}), 0), key);
  EXPECT_NE(*CacheKey(spec, params, Digests("other", {"aa", "bb"}), 0), key);
  EXPECT_NE(*CacheKey(spec, params, inputs, 1), key);
}

TEST(CacheKey, ChangesWithTheReadingOfAModel) {
  Spec spec = SampleSpec();
  ParamValues params = *NormalizeParams(spec, Json::object());
  InputIdentities inputs = Digests("model", {"aa"});
  const std::string unread = *CacheKey(spec, params, inputs, 0);
  Architecture architecture;
  inputs["model"][0].architecture = architecture;
  const std::string unknown = *CacheKey(spec, params, inputs, 0);
  EXPECT_NE(unknown, unread);
  architecture.family = "bilinear";
  inputs["model"][0].architecture = architecture;
  EXPECT_NE(*CacheKey(spec, params, inputs, 0), unknown);
}

TEST(InputDigest, RefusesOneNameForTwoFiles) {
  EXPECT_THAT(
      InputDigest({{"w", "aa"}, {"v", "bb"}, {"w", "cc"}}, {}),
      StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("two files are called \"w\"")));
}

}  // namespace
}  // namespace radiograph
