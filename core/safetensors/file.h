// Reading and writing whole safetensors files.
#ifndef RADIOGRAPH_CORE_SAFETENSORS_FILE_H_
#define RADIOGRAPH_CORE_SAFETENSORS_FILE_H_

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "core/base/file.h"
#include "core/safetensors/header.h"

namespace radiograph::safetensors {

// A mapped file with a valid header. Bytes stay valid as long as the object lives.
class MappedTensors {
 public:
  static absl::StatusOr<std::shared_ptr<const MappedTensors>> Open(const std::string& path,
                                                                   absl::string_view label);
  const Header& header() const { return header_; }
  // The tensor's bytes in the mapping.
  absl::string_view Bytes(const TensorInfo& tensor) const;
  // True when the tensor can be used in place (kAlignment).
  bool Aligned(const TensorInfo& tensor) const;

 private:
  MappedTensors(MappedFile file, Header header)
      : file_(std::move(file)), header_(std::move(header)) {}
  MappedFile file_;
  Header header_;
};

// What a writer needs to know beforehand; offsets are its own.
struct TensorSpec {
  std::string name;
  DType dtype;
  std::vector<int64_t> shape;
};

// Writes tensors one after the other, each at a multiple of kAlignment where the format allows it
// (it allows no holes: the header is padded with spaces, and tensors are ordered by falling dtype
// size, then name, as the format's own writer does). The same specs and bytes give the same file.
class Writer {
 public:
  static absl::StatusOr<Writer> Create(const std::string& path, std::vector<TensorSpec> specs,
                                       const std::map<std::string, std::string>& metadata = {});
  // In the order of tensors(); bytes may come in pieces.
  absl::Status Append(absl::string_view bytes);
  // FAILED_PRECONDITION when bytes are missing. Not durable: the caller decides.
  absl::Status Finish();
  const std::vector<TensorInfo>& tensors() const { return tensors_; }  // in file order

 private:
  Writer(UniqueFd fd, std::string path, std::vector<TensorInfo> tensors);
  UniqueFd fd_;
  std::string path_;
  std::vector<TensorInfo> tensors_;
  int64_t written_ = 0;
};

}  // namespace radiograph::safetensors

#endif  // RADIOGRAPH_CORE_SAFETENSORS_FILE_H_
