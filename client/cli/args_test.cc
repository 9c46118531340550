#include "client/cli/args.h"

#include <gmock/gmock.h>

#include "client/cli/exit_code.h"
#include "tests/support/status_matchers.h"

namespace radiograph::cli {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Pair;
using testing::StatusIs;

const std::vector<FlagSpec> kFlags = {
    {.name = "input", .value = "NAME=REF", .help = "", .repeated = true},
    {.name = "out", .value = "DIR", .help = ""},
    {.name = "param", .value = "NAME=VALUE", .help = "", .repeated = true},
    {.name = "seed", .value = "N", .help = ""},
    {.name = "timeout", .value = "TIME", .help = ""},
    {.name = "watch", .value = "", .help = ""},
    {.name = "o", .value = "FORMAT", .help = ""}};

absl::StatusOr<Args> Parse(std::vector<std::string> arguments) {
  return Args::Parse(kFlags, arguments);
}

TEST(Args, ReadsFlagsInBothFormsAndPositionalsBetween) {
  ASSERT_OK_AND_ASSIGN(Args args, Parse({"a", "--input", "x=1", "--watch", "b", "--input=y==2",
                                         "-o", "json", "--", "--seed"}));
  EXPECT_THAT(args.positionals(), ElementsAre("a", "b", "--seed"));
  ASSERT_OK_AND_ASSIGN(auto pairs, args.Pairs("input"));
  EXPECT_THAT(pairs, ElementsAre(Pair("x", "1"), Pair("y", "=2")));
  EXPECT_TRUE(args.Has("watch"));
  EXPECT_FALSE(args.Has("seed"));
  EXPECT_EQ(args.Get("o"), "json");
}

TEST(Args, PathsMayBeginWithTheHomeFolder) {
  ASSERT_OK_AND_ASSIGN(Args args, Parse({"--out=~/a=b", "--input", "model=~/m=1", "--input=x=~",
                                         "--param", "text=~/kept", "~/p", "./~", "name"}));
  ASSERT_OK(args.ExpandPaths(kFlags, "/home/x"));
  EXPECT_EQ(args.Get("out"), "/home/x/a=b");
  EXPECT_THAT(args.All("input"), ElementsAre("model=/home/x/m=1", "x=/home/x/"));
  EXPECT_EQ(args.Get("param"), "text=~/kept");
  EXPECT_THAT(args.positionals(), ElementsAre("/home/x/p", "./~", "name"));
}

TEST(Args, AnotherHomeThanOnesOwnIsNotExpanded) {
  struct Case {
    std::vector<std::string> arguments;
    const char* home;
    const char* message;
  };
  for (const Case& c : {Case{{"--out=~root/x"}, "/home/x", "--out is \"~root/x\"; only your own"},
                        {{"--input", "m=~root"}, "/home/x", "--input is \"m=~root\""},
                        {{"~root/x"}, "/home/x", "./~root/x"},
                        {{"--out=~/x"}, nullptr, "HOME is not set"},
                        {{"~"}, "", "HOME is not set"},
                        {{"~/x"}, "relative", "HOME is not set, or no absolute path"}}) {
    ASSERT_OK_AND_ASSIGN(Args args, Parse(c.arguments));
    const absl::Status status = args.ExpandPaths(kFlags, c.home);
    EXPECT_THAT(status, StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr(c.message)));
    EXPECT_EQ(ExitCodeOf(status), ExitCode::kUsage);
  }
}

TEST(Args, ANegativeNumberIsNoFlag) {
  ASSERT_OK_AND_ASSIGN(Args args, Parse({"--seed", "-3", "-7"}));
  EXPECT_EQ(args.Get("seed"), "-3");
  EXPECT_THAT(args.positionals(), ElementsAre("-7"));
}

TEST(Args, WrongFlagsAreUsageErrorsThatHelp) {
  struct Case {
    std::vector<std::string> arguments;
    const char* message;
  };
  for (const Case& c :
       std::vector<Case>{{{"--inptu", "x=1"}, "no flag --inptu here; nearest: --input"},
                         {{"-seed", "1"}, "no flag -seed"},
                         {{"--seed"}, "--seed needs a value: --seed N"},
                         {{"--watch=1"}, "--watch takes no value"},
                         {{"--seed", "1", "--seed=2"}, "--seed is given twice"}}) {
    absl::StatusOr<Args> args = Parse(c.arguments);
    EXPECT_THAT(args, StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr(c.message)));
    EXPECT_EQ(ExitCodeOf(args.status()), ExitCode::kUsage) << c.message;
  }
}

TEST(Args, ValuesOutsideTheirRangeAreUsageErrorsThatNameIt) {
  ASSERT_OK_AND_ASSIGN(Args args, Parse({"--seed", "11", "--timeout", "5", "--input", "=x"}));
  EXPECT_THAT(args.Integer("seed", 0, 0, 10),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       "--seed is \"11\"; an integer of 0..10 is allowed"));
  EXPECT_THAT(args.Duration("timeout", absl::Seconds(1)),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("30s")));
  EXPECT_THAT(args.Pairs("input"),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("NAME=VALUE")));
  EXPECT_EQ(ExitCodeOf(args.Pairs("input").status()), ExitCode::kUsage);
}

TEST(Args, AbsentValuesAreTheDefault) {
  ASSERT_OK_AND_ASSIGN(Args args, Parse({}));
  EXPECT_EQ(args.Integer("seed", 5, 0, 10).value(), 5);
  EXPECT_EQ(args.Duration("timeout", absl::Seconds(3)).value(), absl::Seconds(3));
}

TEST(ExitCode, FollowsTheCode) {
  struct Case {
    absl::StatusCode code;
    ExitCode command, job;
  };
  for (const Case& c : std::vector<Case>{
           {absl::StatusCode::kInvalidArgument, ExitCode::kRejected, ExitCode::kRejected},
           {absl::StatusCode::kNotFound, ExitCode::kRejected, ExitCode::kRejected},
           {absl::StatusCode::kFailedPrecondition, ExitCode::kRejected, ExitCode::kRejected},
           {absl::StatusCode::kOutOfRange, ExitCode::kRejected, ExitCode::kRejected},
           {absl::StatusCode::kDeadlineExceeded, ExitCode::kTimeOut, ExitCode::kFailed},
           {absl::StatusCode::kCancelled, ExitCode::kCancelled, ExitCode::kCancelled},
           {absl::StatusCode::kPermissionDenied, ExitCode::kNotAllowed, ExitCode::kNotAllowed},
           {absl::StatusCode::kUnauthenticated, ExitCode::kNotAllowed, ExitCode::kNotAllowed},
           {absl::StatusCode::kInternal, ExitCode::kInternal, ExitCode::kInternal},
           {absl::StatusCode::kUnknown, ExitCode::kInternal, ExitCode::kFailed},
           {absl::StatusCode::kDataLoss, ExitCode::kInternal, ExitCode::kFailed},
           {absl::StatusCode::kUnavailable, ExitCode::kInternal,
            ExitCode::kFailed},  // of a local file
           {absl::StatusCode::kResourceExhausted, ExitCode::kExhausted, ExitCode::kExhausted}}) {
    EXPECT_EQ(ExitCodeOf(absl::Status(c.code, "x")), c.command) << absl::StatusCodeToString(c.code);
    EXPECT_EQ(ExitCodeOfJob(c.code), c.job) << absl::StatusCodeToString(c.code);
  }
}

}  // namespace
}  // namespace radiograph::cli
