// What the store knows of one unfinished upload. The upload's writer alone uses it, except where
// said.
#ifndef RADIOGRAPH_SERVER_STORE_UPLOAD_STATE_H_
#define RADIOGRAPH_SERVER_STORE_UPLOAD_STATE_H_

#include <atomic>
#include <cstdint>
#include <string>
#include <utility>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "core/base/file.h"
#include "server/store/blob_hash.h"
#include "server/store/blob_store.h"

namespace radiograph {

struct UploadState {
  UploadState(UploadKey upload, std::string file_path)
      : key(std::move(upload)), path(std::move(file_path)) {}

  // Opens the file to append to. Hashes what is in it, unless this object has hashed all of it
  // already.
  absl::Status Open();

  const UploadKey key;
  const std::string path;
  UniqueFd file;
  std::atomic<int64_t> size = 0;  // anybody may read it
  bool hashed = false;            // `hash` has seen the file up to `size`
  BlobHash hash;
  // The file has its blob's name too: the process died when it published it. No byte may be added.
  bool whole = false;

  bool writing = false;   // has a writer; guarded by BlobStore::mu_
  int64_t declared = 0;   // what its writer says it will be; guarded by BlobStore::mu_
  absl::Time idle_since;  // guarded by BlobStore::mu_
};

}  // namespace radiograph

#endif  // RADIOGRAPH_SERVER_STORE_UPLOAD_STATE_H_
