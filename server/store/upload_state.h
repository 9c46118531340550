// What the store knows of one unfinished upload. The upload's writer alone uses it, except where
// said.
#ifndef RADIOGRAPH_SERVER_STORE_UPLOAD_STATE_H_
#define RADIOGRAPH_SERVER_STORE_UPLOAD_STATE_H_

#include <atomic>
#include <cstdint>
#include <string>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "core/base/digest.h"
#include "core/base/file.h"

namespace radiograph {

struct UploadState {
  UploadState(std::pair<std::string, std::string> name, std::string file_path)
      : key(std::move(name)), path(std::move(file_path)) {}

  // Opens the file to append to. Hashes what is in it, unless this object has hashed all of it
  // already.
  absl::Status Open();
  // Takes bytes that are in the file now into the digests and the size.
  void Hash(absl::string_view bytes);
  // The digests of all parts, 32 bytes each.
  std::string FinishParts();

  const std::pair<std::string, std::string> key;  // sha256, upload id
  const std::string path;
  UniqueFd file;
  std::atomic<int64_t> size = 0;  // anybody may read it
  bool hashed = false;            // the digests have seen the file up to `size`
  Sha256 whole;

  bool writing = false;   // has a writer; guarded by BlobStore::mu_
  absl::Time idle_since;  // guarded by BlobStore::mu_

 private:
  Sha256 part_;
  int64_t part_size_ = 0;
  std::string parts_;
};

}  // namespace radiograph

#endif  // RADIOGRAPH_SERVER_STORE_UPLOAD_STATE_H_
