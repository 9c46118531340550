// Which rows a list of jobs looks at, and in what order: the part of a filter that SQLite decides.
#ifndef RADIOGRAPH_SERVER_STORE_JOB_SCAN_H_
#define RADIOGRAPH_SERVER_STORE_JOB_SCAN_H_

#include <cstdint>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "server/store/connection.h"
#include "server/store/message_filter.h"
#include "server/store/page.h"

namespace radiograph {

// Jobs of the same time are in the order of their creation, or against it.
struct JobOrder {
  enum class By { kCreateTime, kEndTime };
  By by = By::kCreateTime;
  bool descending = true;
};
// AIP-132: create_time or end_time, with or without `desc`; empty is "create_time desc". A job that
// has not ended stands before all that have. INVALID_ARGUMENT for anything else.
absl::StatusOr<JobOrder> ParseJobOrder(absl::string_view order_by);

// A statement whose rows are (the time of the order in nanoseconds since 1970, sequence, whether
// the filter may hold). It never misses a job for which the filter holds, in its rows or in their
// last column; what it lets through is decided on the message (MessageFilter::Matches). It walks
// along an index in the order and sorts nothing: a label or a state that every match must have, and
// bounds of the time, choose the index and the part of it.
class JobScan {
 public:
  // The rows behind `after`, or all.
  JobScan(const std::string& tenant, const MessageFilter& filter, JobOrder order,
          const std::optional<PagePosition>& after);

  Statement Prepare(Connection& connection) const;
  const std::string& sql() const { return sql_; }

  using Value = std::variant<int64_t, std::string>;

 private:
  std::string sql_;
  std::vector<Value> values_;
};

}  // namespace radiograph

#endif  // RADIOGRAPH_SERVER_STORE_JOB_SCAN_H_
