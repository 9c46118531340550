// Workers.Save and Workers.Load: what a running job keeps.
#include <utility>

#include "absl/strings/str_cat.h"
#include "core/base/status_macros.h"
#include "core/process/keeper.h"
#include "server/jobs/jobs.h"
#include "server/jobs/lifecycle.h"

namespace radiograph {

absl::Status Jobs::Save(const v1::SaveRequest& request) {
  RETURN_IF_ERROR(CheckKeptName(request.key(), request.memo()));
  const int64_t size = request.blob().size();
  if (size > kKeptBytesMax) {
    return absl::ResourceExhaustedError(absl::StrCat(
        "the bundle has ", size, " bytes; a job may keep ", kKeptBytesMax, " under a name"));
  }
  std::optional<std::string> replaced;
  RETURN_IF_ERROR(Transact([&](JobTransaction& transaction) -> absl::Status {
                    ASSIGN_OR_RETURN(const JobRow row,
                                     transaction.GetLeased(request.lease_token()));
                    const v1::Attempt& attempt = *row.job.attempts().rbegin();
                    Keepsakes keepsakes = transaction.keepsakes();
                    if (request.key().empty()) {
                      return keepsakes.SaveMemo(row.job.tenant(), request.memo(), attempt.engine(),
                                                request.blob(), clock_->Now());
                    }
                    ASSIGN_OR_RETURN(
                        replaced, keepsakes.SaveState(row.sequence, request.key(), attempt.engine(),
                                                      {request.blob(), attempt.number()}));
                    return absl::OkStatus();
                  }).status());
  if (replaced) options_.on_state_replaced(*replaced);
  return absl::OkStatus();
}

absl::StatusOr<v1::LoadResponse> Jobs::Load(const v1::LoadRequest& request) {
  RETURN_IF_ERROR(CheckKeptName(request.key(), request.memo()));
  v1::LoadResponse response;
  RETURN_IF_ERROR(
      Transact([&](JobTransaction& transaction) -> absl::Status {
        ASSIGN_OR_RETURN(JobRow row, transaction.GetLeased(request.lease_token()));
        const v1::Attempt attempt = *row.job.attempts().rbegin();
        Keepsakes keepsakes = transaction.keepsakes();
        if (request.key().empty()) {
          ASSIGN_OR_RETURN(std::optional<v1::Blob> memo,
                           keepsakes.LoadMemo(row.job.tenant(), request.memo(), attempt.engine(),
                                              clock_->Now()));
          if (memo) *response.mutable_blob() = *std::move(memo);
          return absl::OkStatus();
        }
        ASSIGN_OR_RETURN(std::optional<KeptState> state,
                         keepsakes.LoadState(row.sequence, request.key(), attempt.engine()));
        if (!state) return absl::OkStatus();
        *response.mutable_blob() = state->blob;
        if (state->attempt == attempt.number()) return absl::OkStatus();
        v1::JobEvent event = EventOf(row.job, clock_->Now(),
                                     absl::StrCat("attempt ", attempt.number(), ": goes on from '",
                                                  request.key(), "' of attempt ", state->attempt));
        return transaction.Put(std::move(row), std::move(event));
      }).status());
  return response;
}

}  // namespace radiograph
