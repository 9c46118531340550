// What keeps a blob from being removed, and how it is removed: the collector's hand in the store.
#include <algorithm>
#include <filesystem>
#include <set>
#include <utility>

#include "absl/cleanup/cleanup.h"
#include "absl/strings/str_cat.h"
#include "core/base/digest.h"
#include "core/base/file.h"
#include "core/base/log.h"
#include "core/base/status_macros.h"
#include "server/store/blob_store.h"
#include "server/store/messages.h"

namespace radiograph {
namespace {

absl::StatusOr<bool> IsNotedUnneeded(Connection& connection, const std::string& tenant,
                                     const std::string& sha256) {
  Statement& find = connection
                        .Prepare(
                            "SELECT 1 FROM possession WHERE tenant = ? AND sha256 = ? "
                            "AND unneeded_since = 0")
                        .Bind(1, tenant)
                        .Bind(2, sha256);
  ASSIGN_OR_RETURN(const bool needed, find.Step());
  return !needed;
}

absl::StatusOr<bool> HasOwner(Connection& connection, const std::string& sha256) {
  return connection.Prepare("SELECT 1 FROM possession WHERE sha256 = ? LIMIT 1")
      .Bind(1, sha256)
      .Step();
}

// Takes the blob from its owners; its size when its row went with the last of them.
absl::StatusOr<std::optional<int64_t>> TakeAway(Connection& connection,
                                                const BlobStore::Removal& removal) {
  for (const BlobStore::Unneeded& owner : removal.owners) {
    RETURN_IF_ERROR(
        connection
            .Prepare(
                "DELETE FROM possession WHERE tenant = ? AND sha256 = ? AND unneeded_since = ?")
            .Bind(1, owner.tenant)
            .Bind(2, removal.sha256)
            .Bind(3, owner.since)
            .Run());
  }
  ASSIGN_OR_RETURN(const bool owned, HasOwner(connection, removal.sha256));
  if (owned) return std::nullopt;
  Statement& drop = connection.Prepare("DELETE FROM blob WHERE sha256 = ? RETURNING size")
                        .Bind(1, removal.sha256);
  ASSIGN_OR_RETURN(const bool found, drop.Step());
  if (!found) return std::nullopt;
  const int64_t size = drop.Int(0);
  RETURN_IF_ERROR(drop.Run());
  return size;
}

}  // namespace

absl::StatusOr<absl::flat_hash_set<std::string>> BlobStore::Protect(
    const std::string& tenant, absl::Span<const std::string> held) {
  absl::flat_hash_set<std::string> here(held.begin(), held.end());
  std::vector<std::string> noted;
  RETURN_IF_ERROR(database_->Read([&](Connection& connection) -> absl::Status {
    for (const std::string& sha256 : here) {
      ASSIGN_OR_RETURN(const bool unneeded, IsNotedUnneeded(connection, tenant, sha256));
      if (unneeded) noted.push_back(sha256);
    }
    return absl::OkStatus();
  }));
  if (noted.empty()) return here;
  std::vector<std::string> gone;
  RETURN_IF_ERROR(database_->Write([&](Connection& connection) -> absl::Status {
    for (const std::string& sha256 : noted) {
      ASSIGN_OR_RETURN(const std::optional<int64_t> size,
                       PossessedSize(connection, tenant, sha256));
      if (!size) gone.push_back(sha256);
      if (size) RETURN_IF_ERROR(GiveBlob(connection, tenant, sha256));
    }
    return absl::OkStatus();
  }));
  for (const std::string& sha256 : gone) here.erase(sha256);
  return here;
}

absl::StatusOr<std::optional<int64_t>> BlobStore::Protected(const std::string& tenant,
                                                            const std::string& sha256,
                                                            int64_t size) {
  ASSIGN_OR_RETURN(const auto here, Protect(tenant, absl::MakeConstSpan(&sha256, 1)));
  if (here.empty()) return std::nullopt;
  return size;
}

void BlobStore::Claim(const std::string& sha256) {
  absl::MutexLock lock(&mu_);
  auto is_free = [&]() ABSL_SHARED_LOCKS_REQUIRED(mu_) { return !claimed_.contains(sha256); };
  mu_.Await(absl::Condition(&is_free));
  claimed_.insert(sha256);
}

bool BlobStore::TryClaim(const std::string& sha256) {
  absl::MutexLock lock(&mu_);
  return claimed_.insert(sha256).second;
}

void BlobStore::Unclaim(const std::string& sha256) {
  absl::MutexLock lock(&mu_);
  claimed_.erase(sha256);
}

absl::StatusOr<BlobStore::Removed> BlobStore::Remove(std::vector<Removal> removals) {
  std::erase_if(removals, [this](const Removal& removal) { return !TryClaim(removal.sha256); });
  const absl::Cleanup unclaim = [&] {
    for (const Removal& removal : removals) Unclaim(removal.sha256);
  };
  Removed removed;
  std::vector<std::string> gone;
  RETURN_IF_ERROR(database_->Write([&](Connection& connection) -> absl::Status {
    for (const Removal& removal : removals) {
      ASSIGN_OR_RETURN(const std::optional<int64_t> size, TakeAway(connection, removal));
      if (!size) continue;
      gone.push_back(removal.sha256);
      ++removed.blobs;
      removed.bytes += *size;
    }
    return absl::OkStatus();
  }));
  for (const std::string& sha256 : gone) {
    {
      absl::MutexLock lock(&mu_);
      damaged_.erase(sha256);
      verified_.erase(sha256);
    }
    const absl::Status status = disk_->Remove(BlobPath(sha256));
    // Nobody sees the file any more; SweepFiles tries again.
    if (!status.ok()) Log(LogLevel::kWarning, "blob_file_stays", {{"error", status.ToString()}});
  }
  return removed;
}

absl::StatusOr<std::vector<std::string>> BlobStore::WithoutRow(
    const std::vector<std::string>& files) {
  std::vector<std::string> unknown;
  RETURN_IF_ERROR(database_->Read([&](Connection& connection) -> absl::Status {
    for (const std::string& sha256 : files) {
      Statement& find =
          connection.Prepare("SELECT 1 FROM blob WHERE sha256 = ?").Bind(1, sha256);
      ASSIGN_OR_RETURN(const bool known, find.Step());
      if (!known) unknown.push_back(sha256);
    }
    return absl::OkStatus();
  }));
  return unknown;
}

absl::StatusOr<std::vector<std::string>> BlobStore::ClaimUnknown(const std::string& folder) {
  std::vector<std::string> files;
  std::error_code error;
  const std::string path = absl::StrCat(options_.folder, "/blobs/", folder);
  for (const auto& entry : std::filesystem::directory_iterator(path, error)) {
    std::string file = entry.path().filename().string();
    if (IsSha256(file) && absl::string_view(file).substr(0, 2) == folder) files.push_back(file);
  }
  if (error) return ErrnoStatus(error.value(), "can't list", path);
  ASSIGN_OR_RETURN(std::vector<std::string> unknown, WithoutRow(files));
  // One that is being stored is claimed, and one that has been stored meanwhile has its row.
  std::erase_if(unknown, [this](const std::string& sha256) { return !TryClaim(sha256); });
  absl::StatusOr<std::vector<std::string>> left = WithoutRow(unknown);
  const std::set<std::string> stay = left.ok() ? std::set(left->begin(), left->end())
                                               : std::set<std::string>();
  for (const std::string& sha256 : unknown) {
    if (!stay.contains(sha256)) Unclaim(sha256);
  }
  return left;
}

absl::StatusOr<std::vector<std::string>> BlobStore::UnknownFiles(const std::string& folder) {
  ASSIGN_OR_RETURN(std::vector<std::string> unknown, ClaimUnknown(folder));
  for (const std::string& sha256 : unknown) Unclaim(sha256);
  return unknown;
}

absl::Status BlobStore::SweepFiles(Stopped stopped) {
  std::error_code error;
  const std::string blobs = absl::StrCat(options_.folder, "/blobs");
  for (const auto& entry : std::filesystem::directory_iterator(blobs, error)) {
    if (stopped()) break;
    if (!entry.is_directory(error)) continue;
    ASSIGN_OR_RETURN(const std::vector<std::string> unknown,
                     ClaimUnknown(entry.path().filename().string()));
    absl::Status removed;
    for (const std::string& sha256 : unknown) {
      removed.Update(disk_->Remove(BlobPath(sha256)));
      Unclaim(sha256);
    }
    RETURN_IF_ERROR(removed);
  }
  if (error) return ErrnoStatus(error.value(), "can't list", blobs);
  return absl::OkStatus();
}

}  // namespace radiograph
