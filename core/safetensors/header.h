// The header of a safetensors file, validated. Format: 8 bytes little-endian header length, a JSON
// object {name: {dtype, shape, data_offsets: [begin, end]}}, then the data.
// Source: the safetensors format description (huggingface/safetensors, README).
//
// Strict on bytes, offsets and names; lenient on what no analysis reads. README.md has each rule on
// which this reader and the `safetensors` package differ, with its reason.
// A header that breaks a rule below is INVALID_ARGUMENT naming the rule and the value:
// file >= 8 bytes; header length <= kHeaderBytesMax and inside the file; a UTF-8 JSON object that
// begins at its first byte, without duplicate names; `__metadata__` maps strings to strings
// (<= kMetadataMax) or is null; each tensor has dtype, shape and data_offsets, other keys are told
// in `notes`; rank <= kRankMax; <= kTensorsMax tensors; names of <= kNameBytesMax bytes without
// control characters; offsets that run from 0 to the end of the file without hole or overlap;
// product(shape) * size of the dtype, computed with overflow checks before any zero dimension is
// looked at, a whole number of bytes and equal to end - begin. The size of a dtype that dtype.h
// does not know is what the offsets say.
#ifndef RADIOGRAPH_CORE_SAFETENSORS_HEADER_H_
#define RADIOGRAPH_CORE_SAFETENSORS_HEADER_H_

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "core/safetensors/dtype.h"

namespace radiograph::safetensors {

inline constexpr int64_t kHeaderBytesMax = 16 << 20;
inline constexpr int64_t kTensorsMax = 200'000;
inline constexpr int64_t kMetadataMax = 100'000;
inline constexpr int64_t kRankMax = 64;
inline constexpr int64_t kRankReadMax = 8;  // of tensors that an analysis reads
inline constexpr int64_t kNameBytesMax = 1024;
// Tensors that start at a multiple of this in the file are used where they are mapped.
inline constexpr int64_t kAlignment = 64;

struct TensorInfo {
  std::string name;
  DType dtype;
  std::vector<int64_t> shape;
  int64_t begin = 0;  // bytes from the start of the data
  int64_t end = 0;
  // Where `name` is a second name of bytes that the file holds under another: that other.
  std::string same_as = {};
  std::string unknown_dtype = {};  // the name in the file, where `dtype` is kUnknown

  int64_t bytes() const { return end - begin; }
};

// The name of the dtype as the file has it.
absl::string_view DTypeName(const TensorInfo& tensor);

// OK for a tensor that an analysis can read: IsRead(dtype), rank <= kRankReadMax.
// INVALID_ARGUMENT naming the tensor, what it is and what would do.
absl::Status CheckReadable(const TensorInfo& tensor);

// The name under which its file holds the tensor's bytes.
inline const std::string& StoredName(const TensorInfo& tensor) {
  return tensor.same_as.empty() ? tensor.name : tensor.same_as;
}

// product(shape) * size of the dtype; INVALID_ARGUMENT when it overflows, even beside a zero
// dimension, is no whole number of bytes, or the dtype is kUnknown.
absl::StatusOr<int64_t> TensorBytes(DType dtype, const std::vector<int64_t>& shape);

// "[2, 3]"
std::string ShapeText(const std::vector<int64_t>& shape);

struct Header {
  // By name, ascending bytes. A tensor has an entry for each second name, too: an entry of
  // `__metadata__` whose value is the name of a tensor and whose key is none, as writers of tied
  // weights leave it.
  std::vector<TensorInfo> tensors;
  std::map<std::string, std::string> metadata;  // `__metadata__`
  int64_t data_begin = 0;                       // offset of the data in the file
  // At most two sentences: keys that were not read, dtypes that are not known. Usually none.
  std::vector<std::string> notes;

  // Null when there is none of that name.
  const TensorInfo* Find(absl::string_view name) const;
};

// `json` is the header's text, `data_bytes` what follows it in the file.
absl::StatusOr<Header> ParseHeader(absl::string_view json, int64_t data_bytes);

// Reads and validates by pread, never by mapping: safe on a file that another process truncates.
// `label` names the file in messages. A file that is no safetensors file is refused with what it is
// and what to do (foreign.h).
absl::StatusOr<Header> ReadHeader(int fd, absl::string_view label);

}  // namespace radiograph::safetensors

#endif  // RADIOGRAPH_CORE_SAFETENSORS_HEADER_H_
