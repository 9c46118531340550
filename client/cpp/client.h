// The C++ client of a Radiograph server. The messages of package radiograph.v1 are its data types.
//
//   ASSIGN_OR_RETURN(auto client, radiograph::Client::Make({.endpoint = "127.0.0.1:7433"}));
//   ASSIGN_OR_RETURN(auto blobs, client->Upload({"model.safetensors"}));
//   ... CreateArtifact, CreateJob, WatchJob, DownloadResult
//
// Threads: safe for use from many threads. Each call blocks until it has its answer.
// Errors: the server's code; the message is one line that holds the field violations the server
// named. A
//   status that came from the server or the way to it carries a payload (FromServer), one of a
//   local file doesn't. UNAVAILABLE from the way to the server names the endpoint.
// Retries: UNAVAILABLE, and RESOURCE_EXHAUSTED that carries RetryInfo, are retried by every call,
// with growing
//   pauses, RetryPolicy::attempts_max times. All calls are safe to repeat. Uploads, downloads,
//   WatchJob and WaitJob go on where they broke off, as long as stream_attempts_max attempts in a
//   row bring nothing new.
// Deadlines: every attempt has one (ClientOptions::call_timeout; streams: stream_timeout).
// Stop: where a std::stop_token is taken, a request ends the call soon with CANCELLED.
#ifndef RADIOGRAPH_CLIENT_CPP_CLIENT_H_
#define RADIOGRAPH_CLIENT_CPP_CLIENT_H_

#include <functional>
#include <memory>
#include <set>
#include <stop_token>
#include <string>
#include <vector>

#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "absl/types/span.h"
#include "radiograph/v1/analyses.pb.h"
#include "radiograph/v1/artifacts.pb.h"
#include "radiograph/v1/blobs.pb.h"
#include "radiograph/v1/jobs.pb.h"
#include "radiograph/v1/server.pb.h"
#include "radiograph/v1/workers.pb.h"

namespace radiograph {

inline constexpr char kDefaultEndpoint[] = "127.0.0.1:7433";
// List calls follow the pages up to this many entries; RESOURCE_EXHAUSTED beyond.
inline constexpr int64_t kListEntriesMax = 1'000'000;

struct RetryPolicy {
  int attempts_max = 6;          // of a call: with the pauses below, some 3 s
  int stream_attempts_max = 40;  // in a row without progress: about a minute
  absl::Duration pause_first = absl::Milliseconds(100);
  absl::Duration pause_max = absl::Seconds(2);
};

// As PEM texts.
struct ClientTls {
  std::string authority = {};  // that the server's certificate must come from; empty: no TLS
  std::string certificate = {}, key = {};  // of this client, where the server asks for one
};

struct ClientOptions {
  std::string endpoint = kDefaultEndpoint;  // HOST:PORT, HOST (port 7433) or unix:PATH
  std::string token = {};                   // who calls; empty: no token
  ClientTls tls = {};
  bool insecure = false;  // sends the token over a network without TLS
  RetryPolicy retry;
  absl::Duration call_timeout = absl::Seconds(30);
  absl::Duration stream_timeout = absl::Minutes(5);
};

// What an upload or download has done so far, over all its files.
struct TransferProgress {
  enum Phase { kHashing, kSending, kReceiving };
  Phase phase = kHashing;
  int64_t bytes_done = 0;  // bytes that the server has already count as done
  int64_t bytes_total = 0;
};

struct TransferOptions {
  std::function<void(const TransferProgress&)> on_progress;  // on the calling thread; may be empty
  std::stop_token stop;
};

class Meter;

class Client {
 public:
  // Does not connect yet. INVALID_ARGUMENT for an endpoint, a token or a PEM text that is none,
  // without a part of the token; PERMISSION_DENIED for a token that others could read on its way.
  static absl::StatusOr<std::unique_ptr<Client>> Make(ClientOptions options = {});
  ~Client();

  absl::StatusOr<v1::ServerInfo> GetInfo();

  // For administrators. Hands over what the check says as it comes (problems, progress); the last
  // response.
  absl::StatusOr<v1::CheckResponse> Check(
      bool digests, absl::FunctionRef<void(const v1::CheckResponse&)> on_response,
      std::stop_token stop = {});
  // On the server's machine; the answer says where.
  absl::StatusOr<v1::Backup> Backup(std::stop_token stop = {});
  // What was forgotten, or with validate_only what would be.
  absl::StatusOr<v1::CollectResponse> Collect(bool validate_only, std::stop_token stop = {});

  // Hashes the files, asks which of them the server lacks, sends those. Blobs in the order of the
  // paths. A broken upload goes on at the size that the server has committed.
  absl::StatusOr<std::vector<v1::Blob>> Upload(absl::Span<const std::string> paths,
                                               const TransferOptions& options = {});
  // Into a temporary file beside `path`, which appears only once size and digest are right.
  // DATA_LOSS when they are not.
  absl::Status Download(const v1::Blob& blob, const std::string& path,
                        const TransferOptions& options = {});

  absl::StatusOr<v1::Artifact> CreateArtifact(const v1::CreateArtifactRequest& request);
  absl::StatusOr<v1::Artifact> GetArtifact(absl::string_view ref);
  // All pages; page fields of the request are ignored.
  absl::StatusOr<std::vector<v1::Artifact>> ListArtifacts(v1::ListArtifactsRequest request);
  absl::StatusOr<std::vector<v1::Tensor>> ListTensors(absl::string_view ref);
  absl::Status DeleteArtifact(absl::string_view ref, absl::string_view etag = "");
  // ABORTED when the etag is another by now; also when an answer was lost and the repeat finds the
  // move done: the message says where the alias points.
  absl::StatusOr<v1::Alias> SetAlias(const v1::SetAliasRequest& request);

  // `for_artifact`: only those that fit it; empty: all.
  absl::StatusOr<std::vector<v1::Analysis>> ListAnalyses(absl::string_view for_artifact = "");
  absl::StatusOr<v1::Analysis> GetAnalysis(absl::string_view name);

  // Fills in a request_id when there is none, so that a repeat makes no second job.
  absl::StatusOr<v1::CreateJobResponse> CreateJob(v1::CreateJobRequest request);
  absl::StatusOr<v1::Job> GetJob(absl::string_view id, std::stop_token stop = {});
  // Of the filter, in the order asked for, newest first else; at most entries_max, 0: all. The page
  // token is ignored.
  absl::StatusOr<std::vector<v1::Job>> ListJobs(v1::ListJobsRequest request = {},
                                                int64_t entries_max = 0);
  // Every event after `after_sequence` once and in order, until the job has ended; then the job.
  absl::StatusOr<v1::Job> WatchJob(absl::string_view id, int64_t after_sequence,
                                   absl::FunctionRef<void(const v1::JobEvent&)> on_event,
                                   std::stop_token stop = {});
  // The job once it has ended. DEADLINE_EXCEEDED, naming its state, when that takes longer: the job
  // goes on.
  absl::StatusOr<v1::Job> WaitJob(absl::string_view id,
                                  absl::Duration timeout = absl::InfiniteDuration(),
                                  std::stop_token stop = {});
  absl::StatusOr<v1::Job> CancelJob(absl::string_view id);
  // A new job that does the work of one that FAILED or was CANCELLED over again.
  absl::StatusOr<v1::Job> RetryJob(absl::string_view id);
  // Forgets an ended job.
  absl::Status DeleteJob(absl::string_view id);

  absl::StatusOr<std::vector<v1::Worker>> ListWorkers();
  // No more leases for a slot or a worker, or again some.
  absl::Status DrainWorker(const v1::DrainRequest& request);

  // The files of a SUCCEEDED job into `folder`, which is made; files of the same names are
  // replaced.
  absl::Status DownloadResult(const v1::Job& job, const std::string& folder,
                              const TransferOptions& options = {});
  // The same for the files of an artifact. DATA_LOSS, before anything is read, for a name that is
  // no relative path.
  absl::Status DownloadFiles(const google::protobuf::RepeatedPtrField<v1::ArtifactFile>& files,
                             const std::string& folder, const TransferOptions& options = {});

 private:
  class Session;
  explicit Client(std::unique_ptr<Session> session);
  absl::StatusOr<std::set<std::string>> FindMissing(absl::Span<const v1::Blob> blobs,
                                                    const std::stop_token& stop);
  absl::Status DownloadTo(const v1::Blob& blob, const std::string& path, Meter& meter,
                          const std::stop_token& stop);
  const std::unique_ptr<Session> session_;
};

// SUCCEEDED, FAILED or CANCELLED.
bool HasEnded(v1::JobState state);

// Whether the status was made by the server or on the way to it.
bool FromServer(const absl::Status& status);

}  // namespace radiograph

#endif  // RADIOGRAPH_CLIENT_CPP_CLIENT_H_
