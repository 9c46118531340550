#include "server/store/blob_store.h"

#include <fcntl.h>
#include <sys/stat.h>

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "core/base/digest.h"
#include "core/base/file.h"
#include "core/base/names.h"
#include "core/base/random_hex.h"
#include "core/base/status_macros.h"
#include "server/store/messages.h"
#include "server/store/upload_state.h"

namespace radiograph {

absl::StatusOr<std::unique_ptr<BlobStore>> BlobStore::Open(Options options, Database* database,
                                                           const Clock* clock, Disk* disk) {
  RETURN_IF_ERROR(MakeFolders(absl::StrCat(options.folder, "/uploads")));
  RETURN_IF_ERROR(MakeFolders(absl::StrCat(options.folder, "/blobs")));
  RETURN_IF_ERROR(disk->SyncFolder(options.folder));
  std::unique_ptr<BlobStore> store(new BlobStore(std::move(options), database, clock, disk));
  RETURN_IF_ERROR(store->AdoptUploads());
  return store;
}

BlobStore::BlobStore(Options options, Database* database, const Clock* clock, Disk* disk)
    : options_(std::move(options)),
      database_(database),
      clock_(clock),
      disk_(disk),
      space_(options_.folder, options_.disk_free_bytes_min, disk, clock) {}

absl::Status BlobStore::CheckDigest(absl::string_view sha256) {
  if (IsSha256(sha256)) return absl::OkStatus();
  return absl::InvalidArgumentError(
      absl::StrCat("'", Shown(sha256, 80), "' is no SHA-256: 64 lower-case hexadecimal digits"));
}

std::string BlobStore::BlobPath(absl::string_view sha256) const {
  return absl::StrCat(options_.folder, "/blobs/", sha256.substr(0, 2), "/", sha256);
}

// The size of a blob that has its row and its file, as far as is known whole, and that the tenant
// possesses.
absl::StatusOr<std::optional<int64_t>> BlobStore::SizeOf(const std::string& tenant,
                                                         const std::string& sha256) {
  RETURN_IF_ERROR(CheckDigest(sha256));
  std::optional<int64_t> size;
  RETURN_IF_ERROR(database_->Read([&](Connection& connection) -> absl::Status {
    ASSIGN_OR_RETURN(size, PossessedSize(connection, tenant, sha256));
    return absl::OkStatus();
  }));
  struct stat file;
  if (size &&
      (stat(BlobPath(sha256).c_str(), &file) != 0 || file.st_size != *size || IsDamaged(sha256))) {
    size.reset();
  }
  return size;
}

absl::StatusOr<std::vector<std::string>> BlobStore::FindMissing(
    const std::string& tenant, absl::Span<const std::string> sha256) {
  std::vector<std::string> held;
  for (const std::string& digest : sha256) {
    ASSIGN_OR_RETURN(std::optional<int64_t> size, SizeOf(tenant, digest));
    if (size) held.push_back(digest);
  }
  ASSIGN_OR_RETURN(const absl::flat_hash_set<std::string> here, Protect(tenant, held));
  std::vector<std::string> missing;
  for (const std::string& digest : sha256) {
    if (!here.contains(digest)) missing.push_back(digest);
  }
  return missing;
}

absl::StatusOr<bool> BlobStore::HoldsAll(
    const google::protobuf::RepeatedPtrField<v1::ArtifactFile>& files) {
  for (const v1::ArtifactFile& file : files) {
    ASSIGN_OR_RETURN(std::optional<int64_t> size, SizeOf(kEveryTenant, file.blob().sha256()));
    if (size != file.blob().size()) return false;
  }
  return true;
}

// The chain of a blob whose row hasn't got it, from its bytes.
absl::StatusOr<std::string> BlobStore::RestoreChain(const std::string& sha256, int64_t size,
                                                    int fd) {
  ASSIGN_OR_RETURN(BlobHash hash, BlobHash::OfFile(fd, BlobPath(sha256)));
  if (hash.Finish() != sha256) {
    MarkDamaged(sha256);
    return Damaged(sha256, absl::StrCat("is damaged somewhere in its ", size, " bytes"));
  }
  RETURN_IF_ERROR(database_->Write([&](Connection& connection) {
    return connection.Prepare("UPDATE blob SET chain = ? WHERE sha256 = ?")
        .BindBlob(1, hash.chain())
        .Bind(2, sha256)
        .Run();
  }));
  return hash.chain();
}

absl::Status BlobStore::Read(const std::string& tenant, const std::string& sha256, int64_t offset,
                             int64_t limit,
                             absl::FunctionRef<absl::Status(absl::string_view)> sink) {
  RETURN_IF_ERROR(CheckDigest(sha256));
  int64_t size = 0;
  std::string chain;
  RETURN_IF_ERROR(database_->Read([&](Connection& connection) -> absl::Status {
    ASSIGN_OR_RETURN(const std::optional<int64_t> possessed,
                     PossessedSize(connection, tenant, sha256));
    if (!possessed) return NoBlob(sha256);
    Statement& find =
        connection.Prepare("SELECT size, chain FROM blob WHERE sha256 = ?").Bind(1, sha256);
    ASSIGN_OR_RETURN(bool found, find.Step());
    if (!found) return NoBlob(sha256);
    size = find.Int(0);
    chain = std::string(find.Blob(1));
    return absl::OkStatus();
  }));
  if (offset < 0 || offset > size || limit < 0) {
    return absl::OutOfRangeError(absl::StrCat("offset ", offset, " and limit ", limit, ": blob ",
                                              sha256, " has ", size, " bytes"));
  }
  const int64_t end = limit == 0 || limit > size - offset ? size : offset + limit;
  const std::string path = BlobPath(sha256);
  ASSIGN_OR_RETURN(const UniqueFd file, OpenBlob(sha256));
  if (chain.size() != ChainBytes(size)) {
    ASSIGN_OR_RETURN(chain, RestoreChain(sha256, size, file.get()));
  }
  std::string part;
  for (int64_t index = offset / kBlobPartBytes; index * kBlobPartBytes < end; ++index) {
    const int64_t begin = index * kBlobPartBytes;
    part.resize(std::min(kBlobPartBytes, size - begin));
    const absl::Status read = ReadAt(file.get(), begin, absl::MakeSpan(part), path);
    if (!read.ok() && !absl::IsDataLoss(read)) return read;
    if (!read.ok() || !IsIntact(part, index, size, chain, sha256)) {
      MarkDamaged(sha256);
      return Damaged(sha256, absl::StrCat("is damaged in the ", part.size(), " bytes at ", begin));
    }
    for (int64_t at = std::max(offset, begin); at < std::min<int64_t>(end, begin + part.size());) {
      int64_t stop =
          std::min<int64_t>({end, begin + static_cast<int64_t>(part.size()), at + kBlobPieceBytes});
      RETURN_IF_ERROR(sink(absl::string_view(part).substr(at - begin, stop - at)));
      at = stop;
    }
  }
  return absl::OkStatus();
}

absl::StatusOr<std::string> BlobStore::ReadBytes(const std::string& tenant,
                                                 const std::string& sha256, int64_t offset,
                                                 int64_t limit) {
  std::string bytes;
  RETURN_IF_ERROR(Read(tenant, sha256, offset, limit, [&](absl::string_view piece) {
    bytes.append(piece.data(), piece.size());
    return absl::OkStatus();
  }));
  return bytes;
}

absl::StatusOr<int64_t> BlobStore::StoredBytes(const std::string& tenant) {
  int64_t bytes = 0;
  RETURN_IF_ERROR(database_->Read([&](Connection& connection) -> absl::Status {
    Statement& find =
        connection.Prepare("SELECT bytes FROM stored WHERE tenant = ?").Bind(1, tenant);
    ASSIGN_OR_RETURN(bool found, find.Step());
    if (found) bytes = find.Int(0);
    return absl::OkStatus();
  }));
  return bytes;
}

absl::StatusOr<v1::Blob> BlobStore::PutChunks(
    const std::string& tenant, v1::Blob blob,
    absl::FunctionRef<absl::Status(Upload& upload)> append) {
  ASSIGN_OR_RETURN(Upload upload,
                   StartOrResume(tenant, absl::StrCat("local-", RandomHex(16)), blob));
  if (upload.complete()) return blob;
  absl::Status status = append(upload);
  if (status.ok()) status = upload.Commit();
  if (!status.ok()) {
    upload.Discard();
    return status;
  }
  return blob;
}

absl::StatusOr<v1::Blob> BlobStore::PutBytes(const std::string& tenant, absl::string_view bytes) {
  v1::Blob blob;
  blob.set_sha256(Sha256Hex(bytes));
  blob.set_size(static_cast<int64_t>(bytes.size()));
  return PutChunks(tenant, blob, [&](Upload& upload) { return upload.Append(0, bytes); });
}

absl::StatusOr<v1::Blob> BlobStore::PutFile(const std::string& tenant, const std::string& path) {
  ASSIGN_OR_RETURN(FileDigest digest, Sha256OfFile(path));
  v1::Blob blob;
  blob.set_sha256(digest.sha256);
  blob.set_size(digest.size);
  return PutChunks(tenant, blob, [&](Upload& upload) -> absl::Status {
    ASSIGN_OR_RETURN(UniqueFd file, OpenFile(path, O_RDONLY));
    std::string chunk(kBlobPieceBytes, '\0');
    while (true) {
      ASSIGN_OR_RETURN(int64_t got, ReadSome(file.get(), absl::MakeSpan(chunk), path));
      if (got == 0) return absl::OkStatus();
      RETURN_IF_ERROR(
          upload.Append(upload.committed_size(), absl::string_view(chunk).substr(0, got)));
    }
  });
}

}  // namespace radiograph
