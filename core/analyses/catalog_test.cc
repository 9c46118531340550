#include "core/analyses/catalog.h"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <set>

#include "core/base/json.h"
#include "tests/support/status_matchers.h"

namespace radiograph {
namespace {

using ::radiograph::testing::StatusIs;
using ::testing::AllOf;
using ::testing::HasSubstr;

TEST(Catalog, IsAlphabeticalWithoutRepeats) {
  ASSERT_FALSE(Catalog().empty());
  auto out_of_order = [](const Spec& a, const Spec& b) { return a.name() >= b.name(); };
  EXPECT_EQ(std::adjacent_find(Catalog().begin(), Catalog().end(), out_of_order), Catalog().end());
}

TEST(Catalog, DefaultsAreAllowedByTheirOwnSpecs) {
  for (const Spec& spec : Catalog()) {
    ASSERT_OK_AND_ASSIGN(ParamValues defaults, NormalizeParams(spec, Json::object()));
    ASSERT_OK_AND_ASSIGN(ParamValues again, NormalizeParams(spec, ToJson(defaults)));
    EXPECT_EQ(again, defaults) << spec.name();
    EXPECT_TRUE(spec.Decode(defaults).has_value()) << spec.name();
  }
}

TEST(Catalog, EverythingIsNamedOnceAndExplained) {
  for (const Spec& spec : Catalog()) {
    EXPECT_FALSE(spec.summary().empty()) << spec.name();
    std::set<std::string> names;
    auto check = [&](const std::string& name, const std::string& help) {
      EXPECT_TRUE(names.insert(name).second) << spec.name() << ": " << name << " appears twice";
      EXPECT_FALSE(help.empty()) << spec.name() << ": " << name << " has no help";
    };
    for (const ParamSpec& param : spec.params()) check(param.name, param.help);
    names.clear();
    for (const InputSpec& input : spec.inputs()) check(input.name, input.help);
    names.clear();
    for (const MetricSpec& metric : spec.metrics()) check(metric.name, metric.help);
    for (const OutputSpec& output : spec.outputs()) check(output.name, output.help);
  }
}

TEST(FindSpec, OffersTheNearestNames) {
  const std::string name = Catalog().front().name();
  EXPECT_EQ((*FindSpec(name))->name(), name);
  EXPECT_THAT(FindSpec(name + "s"),
              StatusIs(absl::StatusCode::kNotFound,
                       AllOf(HasSubstr("there is no analysis"), HasSubstr(name))));
}

}  // namespace
}  // namespace radiograph
