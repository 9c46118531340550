// Blobs in a folder: immutable bytes, named by their SHA-256.
//
// On its way in a blob is uploads/<sha256>.<tenant>.<upload id>, hashed while it is written.
// Commit: sync, link as blobs/ab/<sha256>, sync the folder, then the row, which makes it visible,
// then the upload's name goes. After a crash in between the upload is there, whole, to be resumed.
// The row keeps the size and the chain of the hash (blob_hash.h), so that a ranged read is verified
// too, part by part. What is needed no more goes the other way round: the row, then the file
// (collector.h). Files without a row are not seen.
//
// Every read verifies, and a file is hashed whole before it is handed out as a file. A blob that is
// found damaged counts as missing from then on, so its next upload puts it right.
//
// Bytes are stored once, but a blob is there only for tenants that possess it: who has uploaded it
// (the bytes prove it; the digest alone does not), or whose job made it. Its uploads are its own.
#ifndef RADIOGRAPH_SERVER_STORE_BLOB_STORE_H_
#define RADIOGRAPH_SERVER_STORE_BLOB_STORE_H_

#include <sys/types.h>

#include <compare>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/container/flat_hash_set.h"
#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "absl/types/span.h"
#include "core/base/clock.h"
#include "core/base/file.h"
#include "radiograph/v1/artifacts.pb.h"
#include "radiograph/v1/blobs.pb.h"
#include "server/store/blob_hash.h"
#include "server/store/database.h"
#include "server/store/disk.h"
#include "server/store/disk_space.h"
#include "server/store/quota.h"
#include "server/store/tenant.h"

namespace radiograph {

inline constexpr int64_t kBlobPieceBytes = 1 << 20;  // the most a reader is handed at once

// Asked now and then by what takes long: whether to stop.
using Stopped = absl::FunctionRef<bool()>;

// What is there of a blob. kUnknown: not even its row.
enum class BlobState { kWhole, kUnknown, kMissing, kWrongSize, kDamaged };

class BlobStore;
struct UploadState;

// Whose upload of what.
struct UploadKey {
  std::string sha256, tenant, upload_id;
  auto operator<=>(const UploadKey&) const = default;
};

// The one writer of an upload. Used from one thread at a time; must not outlive its store.
// Destruction without Commit keeps the bytes, to be resumed.
class Upload {
 public:
  Upload(Upload&&) = default;
  Upload& operator=(Upload&&) = delete;
  ~Upload();

  int64_t committed_size() const;
  // The blob is visible: this upload's Commit has passed, or another's had before.
  bool complete() const { return complete_; }
  // Adds bytes. INVALID_ARGUMENT when `offset` isn't committed_size() or the blob would grow beyond
  // its declared size; RESOURCE_EXHAUSTED when the disk is low: what has come stays. When it is
  // full, that is dropped, to make room, and the upload starts again at 0.
  absl::Status Append(int64_t offset, absl::string_view bytes);
  // Verifies and makes visible; durable when OK. FAILED_PRECONDITION when bytes are missing yet.
  // INVALID_ARGUMENT when the digest is another. After that, or a failing disk (nobody knows then
  // what is on it), the bytes are dropped and the upload starts again at 0.
  absl::Status Commit();
  // Drops the bytes that have come; an upload of the same name starts at 0.
  void Discard();

 private:
  friend class BlobStore;
  Upload(BlobStore* store, std::shared_ptr<UploadState> state, int64_t size, bool complete);
  BlobStore* store_;
  std::shared_ptr<UploadState> state_;  // null when the blob was there already
  int64_t size_;
  bool complete_;
};

// Safe for use from many threads.
class BlobStore {
 public:
  struct Options {
    std::string folder;  // the state folder
    int64_t blob_bytes_max = int64_t{64} << 30;
    int64_t uploads_max = 1024;  // unfinished ones
    int64_t uploads_per_tenant_max = ShareOf(1024);
    absl::Duration upload_idle_max = absl::Hours(24);
    std::function<void()> on_damaged = [] {};  // a blob was found so; any thread, must not block
    int64_t stored_bytes_max = 0;             // 0: no limit but the disk
    int64_t stored_bytes_per_tenant_max = 0;  // of what the tenant possesses; 0: no limit
    int64_t disk_free_bytes_min = DiskSpace::kAutomatic;
  };
  static absl::StatusOr<std::unique_ptr<BlobStore>> Open(Options options, Database* database,
                                                         const Clock* clock, Disk* disk);

  // Those of `sha256` that the tenant has to upload, in their order. The others are not collected
  // soon. INVALID_ARGUMENT for what is no SHA-256.
  absl::StatusOr<std::vector<std::string>> FindMissing(const std::string& tenant,
                                                       absl::Span<const std::string> sha256);
  // True when all the files' blobs are here, whosoever they are.
  absl::StatusOr<bool> HoldsAll(const google::protobuf::RepeatedPtrField<v1::ArtifactFile>& files);

  // `upload_id`: 1..64 of [A-Za-z0-9_-]. UNAVAILABLE while another writer has this upload (its
  // connection may have broken and nobody noticed yet); INVALID_ARGUMENT when blob.size is above
  // blob_bytes_max, or not the size that the store knows. RESOURCE_EXHAUSTED (quota.h) when there
  // are too many uploads, or the declared size does not fit below stored_bytes_max, the tenant's,
  // or on the disk, together with what is stored, what the uploads that are being written have
  // declared and what has come of the others. So uploads at once never go beyond a limit; a blob
  // that becomes stored at that moment may be counted twice, and an upload be refused that would
  // pass a moment later. What workers upload (kEveryTenant) ends acknowledged work: it counts, and
  // is refused only for want of disk. The bytes that are there are hashed again when this process
  // hasn't seen them.
  absl::StatusOr<Upload> StartOrResume(const std::string& tenant, const std::string& upload_id,
                                       const v1::Blob& blob);
  // How far an upload is (0 when unknown). What it tells is on the disk: it never decreases, until
  // the upload is found to have the wrong digest, fills the disk, or is swept.
  absl::StatusOr<v1::QueryWriteStatusResponse> QueryStatus(const std::string& tenant,
                                                           const std::string& upload_id,
                                                           const v1::Blob& blob);

  // Hands the bytes from `offset` on (`limit` 0: to the end) to `sink` in pieces, verified.
  // NOT_FOUND when the tenant doesn't possess it, OUT_OF_RANGE for an offset beyond the end,
  // DATA_LOSS when the file isn't what it was, or the sink's error. Needs a buffer of
  // kBlobPartBytes.
  absl::Status Read(const std::string& tenant, const std::string& sha256, int64_t offset,
                    int64_t limit, absl::FunctionRef<absl::Status(absl::string_view)> sink);
  // At most `limit` bytes from `offset` on, verified: for headers and small files.
  absl::StatusOr<std::string> ReadBytes(const std::string& tenant, const std::string& sha256,
                                        int64_t offset, int64_t limit);

  // The read-only file of anybody's blob, to be hard-linked. Hashed whole, unless this process has
  // done so in the last day, or stored it, and it hasn't changed. NOT_FOUND; DATA_LOSS when its
  // bytes are not there or not the right ones; CANCELLED once `stopped`.
  absl::StatusOr<std::string> Path(
      const std::string& sha256, Stopped stopped = [] { return false; });
  // What is there of anybody's blob: its file, its size, and with `bytes` every byte. `go_on` is
  // told how many have been read since its last call; its error ends it.
  absl::StatusOr<BlobState> Look(const std::string& sha256, bool bytes,
                                 absl::FunctionRef<absl::Status(int64_t)> go_on);
  // Copies a file's or a string's bytes in.
  absl::StatusOr<v1::Blob> PutFile(const std::string& tenant, const std::string& path);
  absl::StatusOr<v1::Blob> PutBytes(const std::string& tenant, absl::string_view bytes);

  // What the collector found that a tenant needs no more.
  struct Unneeded {
    std::string tenant;
    int64_t since;  // as noted in the possession's row
  };
  struct Removal {
    std::string sha256;
    std::vector<Unneeded> owners;
  };
  struct Removed {
    int64_t blobs = 0, bytes = 0;
  };
  // Takes the owners their possession, unless the note in its row is another by now; a blob that
  // nobody possesses then is removed.
  absl::StatusOr<Removed> Remove(std::vector<Removal> removals);
  // The files in a folder of blobs/ that have no row: what a crash has left.
  absl::StatusOr<std::vector<std::string>> UnknownFiles(const std::string& folder);
  // Removes them.
  absl::Status SweepFiles(Stopped stopped);
  // Drops uploads that were idle for upload_idle_max. To be called now and then.
  absl::Status SweepUploads();
  // Sum of the sizes of all blobs.
  absl::StatusOr<int64_t> TotalBytes() { return StoredBytes(""); }
  // Of those that the tenant possesses.
  absl::StatusOr<int64_t> StoredBytes(const std::string& tenant);
  DiskSpace& space() { return space_; }

 private:
  friend class Upload;
  BlobStore(Options options, Database* database, const Clock* clock, Disk* disk);

  absl::Status AdoptUploads();
  static absl::Status CheckDigest(absl::string_view sha256);
  std::string BlobPath(absl::string_view sha256) const;
  std::string UploadPath(const UploadKey& key) const;
  // Nothing has to be uploaded. INVALID_ARGUMENT when it has another size.
  absl::StatusOr<bool> Holds(const std::string& tenant, const v1::Blob& blob);
  absl::StatusOr<std::optional<int64_t>> SizeOf(const std::string& tenant,
                                                const std::string& sha256);
  // Lets the collector know that `held` are needed: those that are here all the same.
  absl::StatusOr<absl::flat_hash_set<std::string>> Protect(const std::string& tenant,
                                                           absl::Span<const std::string> held);
  // The same for one: its size, or none.
  absl::StatusOr<std::optional<int64_t>> Protected(const std::string& tenant,
                                                   const std::string& sha256, int64_t size);
  // Who claims a blob may make or remove its file and row.
  void Claim(const std::string& sha256);
  bool TryClaim(const std::string& sha256);
  void Unclaim(const std::string& sha256);
  absl::StatusOr<std::vector<std::string>> ClaimUnknown(const std::string& folder);
  absl::StatusOr<std::vector<std::string>> WithoutRow(const std::vector<std::string>& files);
  static absl::Status NoBlob(absl::string_view sha256);
  static absl::Status Damaged(absl::string_view sha256, absl::string_view how);
  bool IsDamaged(const std::string& sha256);
  void MarkDamaged(const std::string& sha256);
  // All bytes of the open file have been hashed.
  void MarkWhole(const std::string& sha256, int fd);
  bool IsVerified(const std::string& sha256);
  absl::StatusOr<std::optional<int64_t>> RowSize(const std::string& sha256);
  absl::StatusOr<UniqueFd> OpenBlob(const std::string& sha256);
  absl::StatusOr<std::string> RestoreChain(const std::string& sha256, int64_t size, int fd);
  absl::Status CheckUpload(const std::string& upload_id, const v1::Blob& blob) const;
  absl::StatusOr<std::shared_ptr<UploadState>> TakeUpload(const UploadKey& key, int64_t size);
  absl::Status CheckUploads(const std::string& tenant) const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  absl::Status CheckRoom(const UploadState& state);
  absl::Status CheckStored(const UploadState& state, const std::string& tenant, int64_t uploading,
                           int64_t limit);
  absl::Status Publish(UploadState& state);
  // Gives the writer's place free; with `forget` the bytes go too.
  void Release(UploadState& state, bool forget);
  absl::StatusOr<v1::Blob> PutChunks(const std::string& tenant, v1::Blob blob,
                                     absl::FunctionRef<absl::Status(Upload& upload)> append);

  const Options options_;
  Database* const database_;
  const Clock* const clock_;
  Disk* const disk_;
  DiskSpace space_;
  absl::Mutex mu_;
  std::map<UploadKey, std::shared_ptr<UploadState>> uploads_ ABSL_GUARDED_BY(mu_);
  absl::flat_hash_set<std::string> claimed_ ABSL_GUARDED_BY(mu_);
  absl::flat_hash_set<std::string> damaged_ ABSL_GUARDED_BY(mu_);
  // A file that was hashed whole, and when.
  struct Verified {
    ino_t inode;
    absl::Time changed;
    absl::Duration when;
  };
  absl::flat_hash_map<std::string, Verified> verified_ ABSL_GUARDED_BY(mu_);
};

}  // namespace radiograph

#endif  // RADIOGRAPH_SERVER_STORE_BLOB_STORE_H_
