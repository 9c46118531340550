#include "server/store/message_filter.h"

#include <google/protobuf/text_format.h>

#include <random>
#include <vector>

#include "absl/strings/str_cat.h"
#include "radiograph/v1/artifacts.pb.h"
#include "radiograph/v1/jobs.pb.h"
#include "server/store/job_scan.h"
#include "tests/support/status_matchers.h"

namespace radiograph {
namespace {

using ::testing::HasSubstr;
using testing::StatusIs;

constexpr char kJob[] = R"(
  id: "j1" analysis: "bilinear.spectrum" analysis_version: 2 state: FAILED seed: -3 priority: HIGH
  cache_hit: true progress: 0.5
  error { code: 14 message: "disk \"full\"*" }
  inputs { key: "model" value {
    artifacts { name: "net" version: 3 digest: "abc" labels { key: "step" value: "7" } }
    artifacts { name: "old" version: 1 digest: "def" } } }
  params {
    fields { key: "k" value { number_value: 20 } }
    fields { key: "space" value { string_value: "input" } }
    fields { key: "exact" value { bool_value: true } }
    fields { key: "rows" value { null_value: NULL_VALUE } }
    fields { key: "layers" value { list_value { values { number_value: 1 } values { number_value: 4 } } } }
    fields { key: "ode" value { struct_value { fields { key: "alpha" value { number_value: 0.5 } } } } } }
  attempts { number: 1 outcome: "LOST" slot: "w/cpu" }
  attempts { number: 2 outcome: "FAILED" peak_host_bytes: 4096 }
  create_time { seconds: 1767225600 nanos: 500 }
  labels { key: "team" value: "core" }
  labels { key: "a b.c" value: "" }
)";

bool Holds(const std::string& filter) {
  v1::Job job;
  EXPECT_TRUE(google::protobuf::TextFormat::ParseFromString(kJob, &job));
  auto parsed = MessageFilter::Parse(filter, v1::Job::descriptor());
  EXPECT_OK(parsed) << filter;
  return parsed.ok() && parsed->Matches(job);
}

TEST(MessageFilter, HoldsForWhatItDescribes) {
  for (const char* filter : {
           "", "state = FAILED", "state:FAILED", "state != RUNNING", "state = (QUEUED OR FAILED)",
           "analysis = bilinear.spectrum", "analysis = \"bilinear.*\"", "analysis = *spectrum",
           "analysis:*near*", "analysis = *", "analysis < c", "analysis != *x",
           "analysis_version = 2", "analysis_version >= 2", "analysis_version < 3", "seed = -3",
           "seed < 0", "priority = HIGH", "cache_hit = true", "cache_hit != false", "cache_hit:*",
           "progress > 0.4", "progress <= 5e-1", "error:*", "error.code = 14", "error:code",
           "error.message = \"disk \\\"full\\\"\\*\"", "error.message = disk*",
           "inputs:model", "inputs:*", "inputs.model:*", "inputs.model.artifacts:*",
           "inputs.model.artifacts.digest:def", "inputs.*.artifacts.digest:abc",
           "inputs.*.artifacts.name:(x OR net)", "inputs.model.artifacts.labels.step:7",
           "NOT inputs.*.artifacts.digest:xyz", "params.k = 20", "params.k > 19.5", "params.k:*",
           "params:k", "params:*", "params.space = input", "params.exact = true",
           "params.rows = null", "params.layers:4", "params.ode.alpha = 0.5", "params.ode:alpha",
           "attempts.outcome:LOST", "attempts.peak_host_bytes:4096", "attempts:*",
           "attempts.slot:w/*", "create_time = 2026-01-01T00:00:00.0000005Z",
           "create_time > \"2026-01-01T00:00:00Z\"", "create_time < 2026-01-01T01:00:00.1+01:00",
           "create_time:*", "labels.team = core", "labels:team", "labels.team:*", "labels:*",
           "labels.\"a b.c\" = \"\"", "labels:\"a b.c\"", "labels.team != web",
           "labels.nobody != web", "NOT labels.nobody = web", "-end_time:*", "end_time != "
           "2026-01-01T00:00:00Z", "labels.*:core", "retry_of = \"\""}) {
    EXPECT_TRUE(Holds(filter)) << filter;
    EXPECT_FALSE(Holds(std::string("NOT (") + (*filter == '\0' ? "id = j1" : filter) + ")"))
        << filter;
  }
}

TEST(MessageFilter, DoesNotHoldForWhatIsOtherwiseOrNotThere) {
  for (const char* filter :
       {"state = RUNNING", "analysis = bilinear", "analysis = BILINEAR.SPECTRUM", "analysis = *x",
        "seed > -3", "priority = NORMAL", "progress > 0.5", "error.code = 13",
        "inputs:data", "inputs.data.artifacts.digest:abc", "inputs.model.artifacts.digest:ab",
        "params.k = 21", "params.nothing = 1", "params:nothing", "params.k.deep = 1",
        "params.exact = 1", "params.space < 1", "params.layers:2", "params.exact > a",
        "attempts.outcome:SUCCEEDED", "create_time = 2026-01-01T00:00:00Z",
        "end_time > 1970-01-01T00:00:00Z", "end_time < 2100-01-01T00:00:00Z", "labels:web",
        "labels.nobody = \"\"", "labels.team < c", "labels:\"*\"", "request_id:*", "merged_into:*"}) {
    EXPECT_FALSE(Holds(filter)) << filter;
  }
}

TEST(MessageFilter, RefusalsNameFieldValueAndWhatIsAllowed) {
  struct Case {
    const char* filter;
    const char* message;
  };
  for (const Case& c : std::vector<Case>{
           {"stat = RUNNING", "at 1: \"stat\" is no field; nearest: state"},
           {"seed = 1 error.cod = 1", "at 10: \"cod\" is no field of error; nearest: code, message"},
           {"attempts.outcom:LOST", "\"outcom\" is no field of attempts; nearest: outcome"},
           {"error:cod", "\"cod\" is no field of error; nearest: code"},
           {"error.details:*", "\"details\" is no field of error"},
           {"state = running", "at 9: state is compared with \"running\", which is none of QUEUED, "
                               "RUNNING, SUCCEEDED, FAILED, CANCELLED"},
           {"state = RUN*", "which is none of QUEUED"},
           {"state > QUEUED", "at 1: state is one of QUEUED, RUNNING, SUCCEEDED, FAILED, CANCELLED,"
                              " which have no order"},
           {"cache_hit = 1", "which is neither true nor false"},
           {"cache_hit < true", "which have no order"},
           {"seed = 1.5", "seed is compared with \"1.5\", which is no whole number"},
           {"progress > x", "which is no number"},
           {"progress > nan", "which is no number"},
           {"create_time > yesterday", "create_time is compared with \"yesterday\", which is no time; "
                                       "\"2026-01-31T12:00:00Z\" is one (RFC 3339)"},
           {"create_time > infinite-future", "which is no time"},
           {"create_time > 2026-01-31", "which is no time"},
           {"create_time.seconds > 1", "create_time.seconds goes too far: create_time has no fields"},
           {"analysis = a*b", "has a * in the middle"},
           {"attempts.outcome = LOST", "attempts.outcome names several; attempts.outcome:VALUE asks"},
           {"attempts.outcome != LOST", "names several"},
           {"inputs.*.artifacts.digest = a", "names several"},
           {"labels = core", "labels has keys; labels.KEY = VALUE or labels:KEY is meant"},
           {"params = 1", "params has keys"},
           {"labels.team.x = 1", "labels.team.x goes too far: labels.team has no fields"},
           {"error = x", "error is no single value; error:* asks whether it is there, and it has "
                         "code, message"},
           {"attempts:LOST", "attempts is no single value"},
           {"inputs.model = x", "inputs.model is no single value"}}) {
    EXPECT_THAT(MessageFilter::Parse(c.filter, v1::Job::descriptor()),
                StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr(c.message)))
        << c.filter;
  }
}

// Pieces of filters in any order: each is refused with a sentence, or holds and its contrary
// doesn't, and SQLite can be asked for it.
TEST(MessageFilter, PiecesInAnyOrderAreRefusedOrHoldOrDont) {
  const std::vector<std::string> pieces = {
      "state", "labels", "team", "params", "k", "inputs", "model", "artifacts", "digest", "error",
      "code", "attempts", "create_time", "end_time", "seed", "cache_hit", "*", "x", "\"a b\"", "'*'",
      "RUNNING", "7", "-1.5", "true", "2026-01-01T00:00:00Z", ".", ".", ".", "=", "=", ":", ":",
      "!=", "<", ">=", " ", " ", " AND ", " OR ", "NOT ", "-", "(", ")", ",", "\\", "\"", "\xc3\xbc"};
  const uint64_t seed = std::random_device()();
  SCOPED_TRACE(absl::StrCat("seed ", seed));
  std::mt19937_64 random(seed);
  v1::Job job;
  ASSERT_TRUE(google::protobuf::TextFormat::ParseFromString(kJob, &job));
  int accepted = 0;
  for (int i = 0; i < 100'000; ++i) {
    std::string text;
    for (int n = 1 + static_cast<int>(random() % 9); n > 0; --n) {
      text += pieces[random() % pieces.size()];
    }
    const auto filter = MessageFilter::Parse(text, v1::Job::descriptor());
    if (!filter.ok()) {
      ASSERT_THAT(filter, StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("filter, at ")))
          << text;
      continue;
    }
    ++accepted;
    const auto contrary = MessageFilter::Parse("NOT (" + text + ")", v1::Job::descriptor());
    if (!contrary.ok()) continue;  // of nothing but spaces
    ASSERT_NE(filter->Matches(job), contrary->Matches(job)) << text;
    ASSERT_EQ(JobScan("t", *filter, {}, std::nullopt).sql().find(';'), std::string::npos) << text;
  }
  EXPECT_GT(accepted, 500);
}

TEST(MessageFilter, IsOfAnyMessage) {
  v1::Artifact artifact;
  artifact.set_name("digits");
  artifact.set_kind(v1::MODEL);
  artifact.set_size(1000);
  artifact.add_aliases()->set_alias("prod");
  for (const char* filter : {"kind = MODEL size >= 1000", "aliases.alias:prod", "name = dig*"}) {
    ASSERT_OK_AND_ASSIGN(const MessageFilter parsed,
                         MessageFilter::Parse(filter, v1::Artifact::descriptor()));
    EXPECT_TRUE(parsed.Matches(artifact)) << filter;
  }
  EXPECT_THAT(MessageFilter::Parse("state = RUNNING", v1::Artifact::descriptor()),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("no field")));
}

}  // namespace
}  // namespace radiograph
