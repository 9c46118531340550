// Filters of lists: what they are for a job, and what SQLite is asked.
#include <google/protobuf/text_format.h>

#include <algorithm>

#include "core/base/filter.h"
#include "radiograph/v1/jobs.pb.h"
#include "server/store/job_scan.h"
#include "server/store/message_filter.h"
#include "tests/fuzz/fuzz.h"

namespace radiograph {
namespace {

constexpr char kJob[] = R"(
  id: "j1" analysis: "bilinear.spectrum" state: FAILED seed: -3 progress: 0.5
  error { code: 14 message: "disk" }
  inputs { key: "model" value { artifacts { name: "net" digest: "abc" } } }
  params { fields { key: "k" value { number_value: 20 } }
           fields { key: "layers" value { list_value { values { number_value: 1 } } } } }
  attempts { number: 1 outcome: "LOST" }
  create_time { seconds: 1767225600 }
  labels { key: "team" value: "core" })";

const v1::Job& AJob() {
  static const v1::Job* const job = [] {
    auto* made = new v1::Job;
    FUZZ_CHECK(google::protobuf::TextFormat::ParseFromString(kJob, made));
    return made;
  }();
  return *job;
}

// The depth of a node, its comparisons added to `count`.
int Measure(const FilterNode& node, int& count) {
  if (node.kind == FilterNode::Kind::kComparison) ++count;
  int depth = 0;
  for (const FilterNode& operand : node.operands) depth = std::max(depth, Measure(operand, count));
  return depth + 1;
}

}  // namespace

void Fuzz(absl::string_view bytes) {
  const absl::StatusOr<FilterNode> node = ParseFilter(bytes);
  if (!node.ok()) return CheckRefusal(node.status());
  int comparisons = 0;
  // Each parenthesis holds an "and" over an "or" over a "not".
  FUZZ_CHECK(Measure(*node, comparisons) <= 3 * (kFilterDepthMax + 1) + 1);
  FUZZ_CHECK(comparisons <= kFilterComparisonsMax);
  const absl::StatusOr<MessageFilter> filter = MessageFilter::Parse(bytes, v1::Job::descriptor());
  if (!filter.ok()) return CheckRefusal(filter.status());
  const bool matches = filter->Matches(AJob());
  if (!bytes.empty() && bytes.size() + 6 <= kFilterBytesMax) {
    // Its contrary, where parentheses allow one more.
    const auto contrary = MessageFilter::Parse("NOT (" + std::string(bytes) + ")",
                                               v1::Job::descriptor());
    if (contrary.ok() && comparisons > 0) FUZZ_CHECK(contrary->Matches(AJob()) != matches);
  }
  const JobScan scan("tenant", *filter, {}, std::nullopt);
  FUZZ_CHECK(scan.sql().find(';') == std::string::npos && scan.sql().find('\'') == std::string::npos);
}

}  // namespace radiograph
