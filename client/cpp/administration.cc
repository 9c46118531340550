// What an administrator asks a server: whether all is well, a backup, a collection.
#include "client/cpp/client.h"
#include "client/cpp/session.h"

namespace radiograph {
namespace {

// These take as long as there is something to look at; a stop request ends them.
constexpr absl::Duration kAdministrationTimeout = absl::Hours(24);

}  // namespace

absl::StatusOr<v1::CheckResponse> Client::Check(
    bool digests, absl::FunctionRef<void(const v1::CheckResponse&)> on_response,
    std::stop_token stop) {
  v1::CheckRequest request;
  request.set_digests(digests);
  CallContext context(session_->options, kAdministrationTimeout, stop);
  auto reader = session_->server->Check(context.get(), request);
  v1::CheckResponse response;
  while (reader->Read(&response)) on_response(response);
  const grpc::Status status = reader->Finish();
  if (!status.ok()) return session_->ToStatus(status, stop);
  if (!response.done()) return absl::InternalError("the server's check ended before its end");
  return response;
}

absl::StatusOr<v1::Backup> Client::Backup(std::stop_token stop) {
  CallContext context(session_->options, kAdministrationTimeout, stop);
  v1::Backup backup;
  const grpc::Status status =
      session_->server->Backup(context.get(), v1::BackupRequest(), &backup);
  if (!status.ok()) return session_->ToStatus(status, stop);
  return backup;
}

absl::StatusOr<v1::CollectResponse> Client::Collect(bool validate_only, std::stop_token stop) {
  v1::CollectRequest request;
  request.set_validate_only(validate_only);
  CallContext context(session_->options, kAdministrationTimeout, stop);
  v1::CollectResponse collected;
  const grpc::Status status = session_->server->Collect(context.get(), request, &collected);
  if (!status.ok()) return session_->ToStatus(status, stop);
  return collected;
}

}  // namespace radiograph
