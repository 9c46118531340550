// What is needed: every blob that something stored names. Adding something that names blobs is a
// line in needs.cc.
#ifndef RADIOGRAPH_SERVER_STORE_NEEDS_H_
#define RADIOGRAPH_SERVER_STORE_NEEDS_H_

#include <cstdint>
#include <string>
#include <tuple>

#include "absl/container/flat_hash_map.h"
#include "absl/container/flat_hash_set.h"
#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "radiograph/v1/artifacts.pb.h"
#include "radiograph/v1/jobs.pb.h"
#include "server/store/connection.h"
#include "server/store/job_store.h"

namespace radiograph {

// Which tenant needs which blobs. Takes some 50 bytes for each.
class Needs {
 public:
  void Add(const std::string& tenant, absl::string_view sha256);
  bool Has(const std::string& tenant, absl::string_view sha256) const;
  bool AnyHas(absl::string_view sha256) const;

 private:
  // The first 128 bits of a digest, and the number of a tenant. If two blobs shared those bits, one
  // would keep the other.
  using Key = std::tuple<uint64_t, uint64_t, int32_t>;
  static Key KeyOf(absl::string_view sha256, int32_t tenant);
  absl::flat_hash_map<std::string, int32_t> tenants_;
  absl::flat_hash_set<Key> keys_;
};

// Calls `use` for every blob that the job names: its inputs' and its result's.
void ForEachBlob(const v1::Job& job, absl::FunctionRef<void(const v1::ArtifactFile&)> use);

// Adds what is needed, as the connection's transaction sees it. `keeps_job` is asked of every job,
// newest first; one that isn't kept needs nothing. Its error ends it, as a record that is damaged
// does.
absl::Status ReadNeeds(Connection& connection,
                       absl::FunctionRef<absl::StatusOr<bool>(const JobRow&)> keeps_job,
                       Needs& needs);

}  // namespace radiograph

#endif  // RADIOGRAPH_SERVER_STORE_NEEDS_H_
