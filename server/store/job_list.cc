// Lists of jobs: filter, order, pages.
#include <utility>

#include "absl/strings/str_cat.h"
#include "core/base/status_macros.h"
#include "server/store/job_rows.h"
#include "server/store/job_scan.h"
#include "server/store/job_store.h"
#include "server/store/message_filter.h"
#include "server/store/page.h"

namespace radiograph {
namespace {

// What one call looks at before it answers with what it has found so far, and a token to go on.
constexpr int64_t kRowsSeenMax = 20'000;
constexpr int64_t kRecordsReadMax = 2'000;

absl::StatusOr<JobRow> ReadRow(Connection& connection, int64_t sequence) {
  ASSIGN_OR_RETURN(
      std::optional<JobRow> row,
      NextJobRow(connection
                     .Prepare("SELECT " RADIOGRAPH_JOB_COLUMNS " FROM job WHERE sequence = ?")
                     .Bind(1, sequence)));
  if (!row) return absl::DataLossError(absl::StrCat("database: job row ", sequence, " is gone"));
  return *std::move(row);
}

}  // namespace

absl::StatusOr<v1::ListJobsResponse> JobStore::List(const std::string& tenant,
                                                    const v1::ListJobsRequest& request,
                                                    absl::FunctionRef<void(JobRow&)> fill) {
  const std::string scope =
      absl::StrCat("jobs ", tenant, "\n", request.order_by(), "\n", request.filter());
  ASSIGN_OR_RETURN(const int64_t size, PageSize(request.page_size()));
  ASSIGN_OR_RETURN(const JobOrder order, ParseJobOrder(request.order_by()));
  ASSIGN_OR_RETURN(const MessageFilter filter,
                   MessageFilter::Parse(request.filter(), v1::Job::descriptor()));
  ASSIGN_OR_RETURN(const std::optional<PagePosition> after,
                   ParsePageToken(scope, request.page_token()));
  const JobScan scan(tenant, filter, order, after);
  v1::ListJobsResponse response;
  RETURN_IF_ERROR(database_->Read([&](Connection& connection) -> absl::Status {
    Statement rows = scan.Prepare(connection);
    PagePosition last;
    int64_t read = 0;
    size_t bytes = 0;
    for (int64_t seen = 0;; ++seen) {
      ASSIGN_OR_RETURN(const bool found, rows.Step());
      if (!found) return absl::OkStatus();
      if (response.jobs_size() == size || bytes >= kPageBytesMax || seen == kRowsSeenMax ||
          read == kRecordsReadMax) {
        response.set_next_page_token(PageToken(scope, last));
        return absl::OkStatus();
      }
      last = {rows.Int(0), rows.Int(1)};
      if (rows.Int(2) == 0) continue;
      ++read;
      ASSIGN_OR_RETURN(JobRow row, ReadRow(connection, last.sequence));
      fill(row);
      if (!filter.Matches(row.job)) continue;
      for (v1::Attempt& attempt : *row.job.mutable_attempts()) attempt.clear_stderr_tail();
      bytes += row.job.ByteSizeLong();
      *response.add_jobs() = std::move(row.job);
    }
  }));
  return response;
}

}  // namespace radiograph
