#include "core/base/flags.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>

#include "tests/support/status_matchers.h"

namespace radiograph {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using testing::StatusIs;

class FlagsTest : public ::testing::Test {
 protected:
  FlagsTest() : flags_("prog", "A program.") {
    flags_.Add("listen", &listen_, "HOST:PORT");
    flags_.AddPath("state", &state_, "folder");
    flags_.AddWord("devices", &devices_, {"auto", "cpu", "none"}, "what to use");
    flags_.Add("insecure", &insecure_, "no TLS");
    flags_.Add("threads", &threads_, {.min = 0, .max = 1024}, "threads; 0: all cores");
    flags_.AddBytes("cache-bytes", &cache_bytes_, {.min = 0, .max = int64_t{1} << 50}, "cache");
    flags_.Add("lease", &lease_, {.min = absl::Seconds(1), .max = absl::Hours(1)}, "lease");
  }
  absl::Status Parse(std::vector<const char*> arguments) {
    return flags_.Parse(arguments, [this](const char* name) -> const char* {
      auto found = environment_.find(name);
      return found == environment_.end() ? nullptr : found->second.c_str();
    });
  }

  std::map<std::string, std::string> environment_;
  std::string listen_ = "127.0.0.1:1";
  std::string state_ = "";
  std::string devices_ = "auto";
  bool insecure_ = false;
  int64_t threads_ = 0;
  int64_t cache_bytes_ = 10 << 20;
  absl::Duration lease_ = absl::Seconds(30);
  Flags flags_;
};

TEST_F(FlagsTest, APathMayBeginWithTheHomeFolder) {
  environment_ = {{"HOME", "/home/x"}, {"RADIOGRAPH_STATE", "~/from environment"}};
  ASSERT_OK(Parse({}));
  EXPECT_EQ(state_, "/home/x/from environment");
  ASSERT_OK(Parse({"--state=~/a", "--listen=~/no-path"}));
  EXPECT_EQ(state_, "/home/x/a");
  EXPECT_EQ(listen_, "~/no-path");
  ASSERT_OK(Parse({"--state", "./~"}));
  EXPECT_EQ(state_, "./~");
  EXPECT_THAT(Parse({"--state=~root/x"}),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       AllOf(HasSubstr("--state is '~root/x'"), HasSubstr("./~root/x"))));
  environment_ = {{"RADIOGRAPH_STATE", "~/x"}};
  EXPECT_THAT(Parse({}),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       AllOf(HasSubstr("RADIOGRAPH_STATE is '~/x'"), HasSubstr("HOME"))));
}

TEST_F(FlagsTest, DefaultsStayWithoutArguments) {
  ASSERT_OK(Parse({}));
  EXPECT_EQ(listen_, "127.0.0.1:1");
  EXPECT_EQ(lease_, absl::Seconds(30));
  EXPECT_FALSE(flags_.help_wanted());
}

TEST_F(FlagsTest, BothWaysOfGivingAValue) {
  ASSERT_OK(Parse({"--listen=a:2", "--threads", "3", "--insecure", "--cache-bytes=2GiB",
                   "--lease=1500ms", "--devices", "cpu"}));
  EXPECT_EQ(listen_, "a:2");
  EXPECT_EQ(threads_, 3);
  EXPECT_TRUE(insecure_);
  EXPECT_EQ(cache_bytes_, int64_t{2} << 30);
  EXPECT_EQ(lease_, absl::Milliseconds(1500));
  EXPECT_EQ(devices_, "cpu");
}

TEST_F(FlagsTest, ArgumentBeatsEnvironmentBeatsDefault) {
  environment_ = {{"RADIOGRAPH_LISTEN", "env:1"},
                  {"RADIOGRAPH_CACHE_BYTES", "7"},
                  {"RADIOGRAPH_INSECURE", "true"},
                  {"RADIOGRAPH_DEVICES", ""}};
  ASSERT_OK(Parse({"--listen=arg:1", "--insecure=false"}));
  EXPECT_EQ(listen_, "arg:1");
  EXPECT_EQ(cache_bytes_, 7);
  EXPECT_FALSE(insecure_);
  EXPECT_EQ(devices_, "auto") << "an empty variable is not set";
}

TEST_F(FlagsTest, WrongFlagsNameFlagValueAndWhatIsAllowed) {
  struct Case {
    const char* argument;
    std::vector<std::string> told;
  };
  for (const Case& c :
       std::vector<Case>{{"--lisen=x", {"--lisen", "--listen"}},
                         {"--threads=many", {"--threads", "'many'", "0 to 1024"}},
                         {"--threads=1025", {"'1025'", "0 to 1024"}},
                         {"--lease=1ms", {"--lease", "'1ms'", "1s to 1h"}},
                         {"--lease=30", {"'30'", "like 30s"}},
                         {"--lease=1d", {"'1d'", "1s to 1h"}},
                         {"--lease=d", {"'d'", "like 30s"}},
                         {"--cache-bytes=9999999999TiB", {"9999999999TiB", "0 to 1024TiB"}},
                         {"--insecure=yes", {"'yes'", "true or false"}},
                         {"--devices=gpu", {"'gpu'", "auto|cpu|none"}},
                         {"--threads", {"needs a value"}},
                         {"serve", {"'serve' is not a flag", "prog --help"}}}) {
    const absl::Status status = Parse({c.argument});
    for (const std::string& told : c.told) {
      EXPECT_THAT(status, StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr(told)))
          << c.argument;
    }
  }
}

TEST_F(FlagsTest, WrongEnvironmentIsNamed) {
  environment_ = {{"RADIOGRAPH_THREADS", "-1"}};
  EXPECT_THAT(Parse({}), StatusIs(absl::StatusCode::kInvalidArgument,
                                  AllOf(HasSubstr("RADIOGRAPH_THREADS"), HasSubstr("'-1'"))));
}

TEST_F(FlagsTest, HelpTellsEveryFlagWithDefaultAndVariable) {
  ASSERT_OK(Parse({"--help"}));
  EXPECT_TRUE(flags_.help_wanted());
  EXPECT_THAT(flags_.Help(), AllOf(HasSubstr("--listen=VALUE"), HasSubstr("default: 127.0.0.1:1"),
                                   HasSubstr("RADIOGRAPH_CACHE_BYTES"), HasSubstr("10MiB"),
                                   HasSubstr("--insecure\n"), HasSubstr("default: 30s")));
}

TEST_F(FlagsTest, TheVersionIsToldToWhoeverAsksForItAlone) {
  ASSERT_OK(Parse({"--help"}));
  EXPECT_THAT(flags_.Help(), HasSubstr("--version\n"));
  const char* alone[] = {"prog", "--version"};
  ::testing::internal::CaptureStdout();
  EXPECT_EQ(flags_.ParseOrExit(2, alone), 0);
  EXPECT_THAT(::testing::internal::GetCapturedStdout(),
              ::testing::MatchesRegex("prog [0-9]+\\.[0-9]+\\.[0-9]+\n"));
  const char* beside[] = {"prog", "--version", "--threads=1"};
  ::testing::internal::CaptureStderr();
  EXPECT_EQ(flags_.ParseOrExit(3, beside), 2);
  EXPECT_THAT(::testing::internal::GetCapturedStderr(), HasSubstr("--version"));
}

}  // namespace
}  // namespace radiograph
