#include "core/base/nearest_names.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace radiograph {
namespace {

using ::testing::ElementsAre;

TEST(NearestNames, BestFirst) {
  EXPECT_THAT(NearestNames("head", {"zzzzzzzzzz", "heads", "head", "haed"}, 3),
              ElementsAre("head", "heads", "haed"));
  EXPECT_THAT(NearestNames("a", {}, 3), ElementsAre());
}

}  // namespace
}  // namespace radiograph
