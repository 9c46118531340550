#include "core/base/home.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/support/status_matchers.h"

namespace radiograph {
namespace {

using ::testing::HasSubstr;
using testing::StatusIs;

TEST(ExpandHome, OnlyATildeAtTheStart) {
  const std::pair<const char*, const char*> cases[] = {
      {"~/x", "/home/a/x"}, {"~", "/home/a/"}, {"~/", "/home/a/"},   {"./~", "./~"},
      {"./~/x", "./~/x"},   {"a~", "a~"},      {"/b/~/c", "/b/~/c"}, {"", ""}};
  for (const auto& [given, meant] : cases) {
    const absl::StatusOr<std::string> path = ExpandHome(given, "/home/a");
    ASSERT_OK(path) << given;
    EXPECT_EQ(*path, meant);
  }
  EXPECT_EQ(*ExpandHome("~/x", "/"), "/x");
  EXPECT_EQ(*ExpandHome("plain", nullptr), "plain");
}

TEST(ExpandHome, SaysWhatWouldBeRight) {
  for (const char* path : {"~root", "~root/x", "~~", "~+"}) {
    EXPECT_THAT(ExpandHome(path, "/home/a"),
                StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr(std::string("./") + path)));
  }
  for (const char* home : {static_cast<const char*>(nullptr), "", "home"}) {
    EXPECT_THAT(ExpandHome("~/x", home),
                StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("HOME is not set")));
  }
}

}  // namespace
}  // namespace radiograph
