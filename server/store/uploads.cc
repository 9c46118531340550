// The store's side of uploads: who writes which, how far they are, and what becomes of them.
#include <fcntl.h>
#include <sys/stat.h>

#include <algorithm>
#include <filesystem>
#include <utility>

#include "absl/cleanup/cleanup.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "core/base/digest.h"
#include "core/base/file.h"
#include "core/base/names.h"
#include "core/base/status_macros.h"
#include "server/store/blob_store.h"
#include "server/store/messages.h"
#include "server/store/upload_state.h"

namespace radiograph {
namespace {

constexpr int64_t kUploadIdBytesMax = 64;
constexpr absl::Duration kRetry = absl::Seconds(1);  // for another upload to end

bool IsUploadId(absl::string_view id) {
  return !id.empty() && id.size() <= kUploadIdBytesMax &&
         std::all_of(id.begin(), id.end(),
                     [](char c) { return absl::ascii_isalnum(c) || c == '_' || c == '-'; });
}

}  // namespace

std::string BlobStore::UploadPath(const UploadKey& key) const {
  return absl::StrCat(options_.folder, "/uploads/", key.sha256, ".", key.tenant, ".",
                      key.upload_id);
}

// What an earlier process left: counted and swept like our own, hashed again when it is resumed.
absl::Status BlobStore::AdoptUploads() {
  const std::string folder = absl::StrCat(options_.folder, "/uploads");
  std::error_code error;
  for (const auto& entry : std::filesystem::directory_iterator(folder, error)) {
    std::vector<std::string> name = absl::StrSplit(entry.path().filename().string(), '.');
    // From before there were tenants: nobody resumes it, the sweep gets it.
    if (name.size() == 2) name.insert(name.begin() + 1, "");
    if (name.size() != 3 || !IsSha256(name[0]) || !IsUploadId(name[2])) continue;
    const UploadKey key{.sha256 = name[0], .tenant = name[1], .upload_id = name[2]};
    struct stat file;
    if (stat(entry.path().c_str(), &file) != 0) continue;
    if (file.st_nlink > 1) {
      // Its process died when it had published it, or was about to.
      ASSIGN_OR_RETURN(const std::optional<int64_t> held, SizeOf(key.tenant, key.sha256));
      if (held) {
        RETURN_IF_ERROR(disk_->Remove(entry.path().string()));
        continue;
      }
    }
    auto state = std::make_shared<UploadState>(key, entry.path().string());
    state->size = file.st_size;
    state->idle_since = std::min(clock_->Now(), absl::TimeFromTimespec(file.st_mtim));
    absl::MutexLock lock(&mu_);
    uploads_[key] = std::move(state);
  }
  if (error) return ErrnoStatus(error.value(), "can't list", folder);
  return absl::OkStatus();
}

absl::Status BlobStore::CheckUpload(const std::string& upload_id, const v1::Blob& blob) const {
  RETURN_IF_ERROR(CheckDigest(blob.sha256()));
  if (!IsUploadId(upload_id)) {
    return absl::InvalidArgumentError(
        absl::StrCat("upload_id '", Shown(upload_id, 80), "' is not 1..64 of [A-Za-z0-9_-]"));
  }
  if (blob.size() < 0 || blob.size() > options_.blob_bytes_max) {
    return absl::InvalidArgumentError(absl::StrCat("blob ", blob.sha256(), " has ", blob.size(),
                                                   " bytes; 0..", options_.blob_bytes_max,
                                                   " is allowed"));
  }
  return absl::OkStatus();
}

absl::Status BlobStore::CheckUploads(const std::string& tenant) const {
  const auto all = static_cast<int64_t>(uploads_.size());
  if (all >= options_.uploads_max) {
    return QuotaExceeded(
        {.quota = Quota::kUploads,
         .text = absl::StrCat("the server has ", all, " unfinished uploads, of at most ",
                              options_.uploads_max),
         .retry = kRetry});
  }
  const int64_t own = std::count_if(uploads_.begin(), uploads_.end(), [&](const auto& entry) {
    return entry.first.tenant == tenant;
  });
  if (own < options_.uploads_per_tenant_max || tenant == kEveryTenant) return absl::OkStatus();
  return QuotaExceeded(
      {.quota = Quota::kUploadsPerTenant,
       .tenant = tenant,
       .text = absl::StrCat("tenant ", tenant, " has ", own, " unfinished uploads, of at most ",
                            options_.uploads_per_tenant_max, "; finish some, or let them expire"),
       .retry = kRetry});
}

absl::Status BlobStore::CheckStored(const UploadState& state, const std::string& tenant,
                                    int64_t uploading, int64_t limit) {
  if (limit == 0) return absl::OkStatus();
  ASSIGN_OR_RETURN(const int64_t stored, StoredBytes(tenant));
  if (stored + uploading <= limit) return absl::OkStatus();
  const int64_t size = state.declared;
  // Other uploads may fail, or become bytes that were counted twice; what is stored stays.
  const bool may_pass = stored + size <= limit;
  return QuotaExceeded(
      {.quota = tenant.empty() ? Quota::kStoredBytes : Quota::kStoredBytesPerTenant,
       .tenant = tenant,
       .text = absl::StrCat(tenant.empty() ? "the server" : absl::StrCat("tenant ", tenant),
                            " stores ", stored, " bytes and uploads ", uploading - size,
                            ", of at most ", limit, ": there is no room for ", size, " more"),
       .retry = may_pass ? kRetry : absl::InfiniteDuration()});
}

// Whether there is room for the rest of an upload that has been taken.
absl::Status BlobStore::CheckRoom(const UploadState& state) {
  const std::string& tenant = state.key.tenant;
  int64_t own = 0, all = 0, unwritten = 0;
  {
    absl::MutexLock lock(&mu_);
    for (const auto& [key, other] : uploads_) {
      const int64_t bytes = other->writing ? other->declared : other->size.load();
      all += bytes;
      if (key.tenant == tenant) own += bytes;
      unwritten += bytes - std::min(bytes, other->size.load());
    }
  }
  // The stored bytes are read after the uploads: what ends in between is counted twice, not never.
  if (tenant == kEveryTenant) return space_.CheckResult(unwritten);
  RETURN_IF_ERROR(CheckStored(state, tenant, own, options_.stored_bytes_per_tenant_max));
  RETURN_IF_ERROR(CheckStored(state, "", all, options_.stored_bytes_max));
  return space_.CheckNew(unwritten);
}

absl::StatusOr<std::shared_ptr<UploadState>> BlobStore::TakeUpload(const UploadKey& key,
                                                                   int64_t size) {
  absl::MutexLock lock(&mu_);
  auto found = uploads_.find(key);
  if (found == uploads_.end()) {
    RETURN_IF_ERROR(CheckUploads(key.tenant));
    found = uploads_.emplace(key, std::make_shared<UploadState>(key, UploadPath(key))).first;
  }
  const std::shared_ptr<UploadState>& state = found->second;
  if (state->writing) {
    return absl::UnavailableError(
        absl::StrCat("upload ", key.upload_id, " of ", key.sha256, " has a writer already"));
  }
  state->writing = true;
  state->declared = size;
  return state;
}

absl::StatusOr<bool> BlobStore::Holds(const std::string& tenant, const v1::Blob& blob) {
  ASSIGN_OR_RETURN(std::optional<int64_t> held, SizeOf(tenant, blob.sha256()));
  if (!held) return false;
  if (*held != blob.size()) {
    return absl::InvalidArgumentError(
        absl::StrCat("blob ", blob.sha256(), " has ", *held, " bytes, not ", blob.size()));
  }
  ASSIGN_OR_RETURN(held, Protected(tenant, blob.sha256(), *held));
  return held.has_value();
}

absl::StatusOr<Upload> BlobStore::StartOrResume(const std::string& tenant,
                                                const std::string& upload_id,
                                                const v1::Blob& blob) {
  RETURN_IF_ERROR(CheckUpload(upload_id, blob));
  ASSIGN_OR_RETURN(bool held, Holds(tenant, blob));
  if (held) return Upload(this, nullptr, blob.size(), /*complete=*/true);
  ASSIGN_OR_RETURN(std::shared_ptr<UploadState> state,
                   TakeUpload({blob.sha256(), tenant, upload_id}, blob.size()));
  Upload upload(this, state, blob.size(), /*complete=*/false);
  // The writer before may have been done in between, and its upload forgotten.
  ASSIGN_OR_RETURN(held, Holds(tenant, blob));
  if (held) {
    upload.Discard();
    return Upload(this, nullptr, blob.size(), /*complete=*/true);
  }
  if (absl::Status room = CheckRoom(*state); !room.ok()) {
    if (state->size == 0) upload.Discard();  // of what never began nothing stays
    return room;
  }
  RETURN_IF_ERROR(state->Open());
  if (state->size > blob.size() || (state->whole && state->size != blob.size())) {
    return absl::InvalidArgumentError(absl::StrCat("upload ", upload_id, " of ", blob.sha256(),
                                                   " holds ", state->size.load(),
                                                   " bytes already, not ", blob.size()));
  }
  return upload;
}

absl::StatusOr<v1::QueryWriteStatusResponse> BlobStore::QueryStatus(const std::string& tenant,
                                                                    const std::string& upload_id,
                                                                    const v1::Blob& blob) {
  RETURN_IF_ERROR(CheckUpload(upload_id, blob));
  v1::QueryWriteStatusResponse response;
  ASSIGN_OR_RETURN(std::optional<int64_t> held, SizeOf(tenant, blob.sha256()));
  if (held) {
    ASSIGN_OR_RETURN(held, Protected(tenant, blob.sha256(), *held));
  }
  if (held) {
    response.set_committed_size(*held);
    response.set_complete(true);
    return response;
  }
  std::shared_ptr<UploadState> state;
  {
    absl::MutexLock lock(&mu_);
    auto found = uploads_.find({blob.sha256(), tenant, upload_id});
    if (found == uploads_.end()) return response;
    state = found->second;
  }
  const int64_t size = state->size;
  absl::StatusOr<UniqueFd> file = OpenFile(state->path, O_RDONLY);
  if (absl::IsNotFound(file.status())) return response;  // forgotten, or published, a moment ago
  RETURN_IF_ERROR(file.status());
  RETURN_IF_ERROR(disk_->Sync(file->get(), state->path));
  response.set_committed_size(size);
  return response;
}

absl::Status BlobStore::Publish(UploadState& state) {
  const std::string& sha256 = state.key.sha256;
  const std::string path = BlobPath(sha256);
  if (fchmod(state.file.get(), 0444) != 0)
    return ErrnoStatus(errno, "can't make read-only", state.path);
  RETURN_IF_ERROR(disk_->Sync(state.file.get(), state.path));
  const std::string folder = path.substr(0, path.rfind('/'));
  if (!std::filesystem::exists(folder)) {  // one of 256: made when its first blob comes
    RETURN_IF_ERROR(MakeFolders(folder));
    RETURN_IF_ERROR(disk_->SyncFolder(absl::StrCat(options_.folder, "/blobs")));
  }
  Claim(sha256);  // it may be on its way out
  const absl::Cleanup unclaim = [&] { Unclaim(sha256); };
  // Until the row is in, the upload keeps its name too, to be resumed after a crash. A file that is
  // there already is another tenant's, or has lost its row or its bytes.
  absl::Status placed = disk_->Link(state.path, path);
  if (absl::IsAlreadyExists(placed)) placed = disk_->Rename(state.path, path);
  RETURN_IF_ERROR(placed);
  RETURN_IF_ERROR(disk_->SyncFolder(folder));
  // Replaces a row that had lost its file, or the same row when another tenant has the blob.
  RETURN_IF_ERROR(database_->Write([&](Connection& connection) -> absl::Status {
    RETURN_IF_ERROR(
        connection
            .Prepare("INSERT INTO blob (sha256, size, chain) VALUES (?, ?, ?) ON CONFLICT (sha256) "
                     "DO UPDATE SET size = excluded.size, chain = excluded.chain")
            .Bind(1, sha256)
            .Bind(2, state.size)
            .BindBlob(3, state.hash.chain())
            .Run());
    return GiveBlob(connection, state.key.tenant, sha256);
  }));
  MarkWhole(sha256, state.file.get());
  return absl::OkStatus();
}

void BlobStore::Release(UploadState& state, bool forget) {
  state.file.Reset();
  if (forget)
    static_cast<void>(disk_->Remove(state.path));  // else the sweep gets it after the next start
  absl::MutexLock lock(&mu_);
  state.writing = false;
  state.idle_since = clock_->Now();
  if (forget) uploads_.erase(state.key);
}

absl::Status BlobStore::SweepUploads() {
  std::vector<std::shared_ptr<UploadState>> old;
  {
    absl::MutexLock lock(&mu_);
    for (auto& [key, state] : uploads_) {
      if (state->writing || clock_->Now() - state->idle_since < options_.upload_idle_max) continue;
      state->writing = true;  // nobody resumes it any more
      old.push_back(state);
    }
  }
  for (const std::shared_ptr<UploadState>& state : old) Release(*state, /*forget=*/true);
  return absl::OkStatus();
}

}  // namespace radiograph
