#include "core/safetensors/file.h"

#include <fcntl.h>

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "core/base/json.h"
#include "core/base/status_macros.h"

namespace radiograph::safetensors {
namespace {

// Larger elements first, so that every tensor is aligned for its dtype; then by name.
absl::StatusOr<std::vector<TensorInfo>> LayOut(std::vector<TensorSpec> specs) {
  std::sort(specs.begin(), specs.end(), [](const TensorSpec& a, const TensorSpec& b) {
    return std::pair(-DTypeBits(a.dtype), absl::string_view(a.name)) <
           std::pair(-DTypeBits(b.dtype), absl::string_view(b.name));
  });
  std::vector<TensorInfo> tensors;
  int64_t end = 0;
  for (TensorSpec& spec : specs) {
    ASSIGN_OR_RETURN(int64_t bytes, TensorBytes(spec.dtype, spec.shape));
    int64_t begin = end;
    if (__builtin_add_overflow(begin, bytes, &end)) {
      return absl::InvalidArgumentError("the tensors need more than 2^63-1 bytes");
    }
    tensors.push_back({std::move(spec.name), spec.dtype, std::move(spec.shape), begin, end});
    RETURN_IF_ERROR(CheckReadable(tensors.back()));  // what we write, we read
  }
  return tensors;
}

std::string HeaderJson(const std::vector<TensorInfo>& tensors,
                       const std::map<std::string, std::string>& metadata) {
  std::vector<std::string> entries;
  if (!metadata.empty()) {
    auto append = [](std::string* out, const auto& entry) {
      absl::StrAppend(out, JsonString(entry.first), ":", JsonString(entry.second));
    };
    entries.push_back(
        absl::StrCat("\"__metadata__\":{", absl::StrJoin(metadata, ",", append), "}"));
  }
  for (const TensorInfo& tensor : tensors) {
    entries.push_back(absl::StrCat(JsonString(tensor.name), ":{\"dtype\":\"",
                                   DTypeName(tensor.dtype), "\",\"shape\":[",
                                   absl::StrJoin(tensor.shape, ","), "],\"data_offsets\":[",
                                   tensor.begin, ",", tensor.end, "]}"));
  }
  std::string json = absl::StrCat("{", absl::StrJoin(entries, ","), "}");
  while ((8 + json.size()) % kAlignment != 0) json.push_back(' ');
  return json;
}

std::string LittleEndian(uint64_t value) {
  std::string bytes;
  for (int i = 0; i < 8; ++i) bytes.push_back(static_cast<char>(value >> (8 * i)));
  return bytes;
}

int64_t DataBytes(const std::vector<TensorInfo>& in_file) {
  return in_file.empty() ? 0 : in_file.back().end;
}

}  // namespace

absl::StatusOr<std::shared_ptr<const MappedTensors>> MappedTensors::Open(const std::string& path,
                                                                         absl::string_view label) {
  ASSIGN_OR_RETURN(UniqueFd fd, OpenFile(path, O_RDONLY));
  ASSIGN_OR_RETURN(Header header, ReadHeader(fd.get(), label));
  ASSIGN_OR_RETURN(int64_t size, FileSize(fd.get(), label));
  ASSIGN_OR_RETURN(MappedFile file, MappedFile::Open(path));
  if (static_cast<int64_t>(file.bytes().size()) != size) {
    return absl::DataLossError(absl::StrCat(label, " changed its size while it was opened"));
  }
  return std::shared_ptr<const MappedTensors>(
      new MappedTensors(std::move(file), std::move(header)));
}

absl::string_view MappedTensors::Bytes(const TensorInfo& tensor) const {
  return file_.bytes().substr(header_.data_begin + tensor.begin, tensor.bytes());
}

bool MappedTensors::Aligned(const TensorInfo& tensor) const {
  return (header_.data_begin + tensor.begin) % kAlignment == 0;  // the mapping starts at a page
}

Writer::Writer(UniqueFd fd, std::string path, std::vector<TensorInfo> tensors)
    : fd_(std::move(fd)), path_(std::move(path)), tensors_(std::move(tensors)) {}

absl::StatusOr<Writer> Writer::Create(const std::string& path, std::vector<TensorSpec> specs,
                                      const std::map<std::string, std::string>& metadata) {
  ASSIGN_OR_RETURN(std::vector<TensorInfo> tensors, LayOut(std::move(specs)));
  std::string json = HeaderJson(tensors, metadata);
  // Names and counts are checked in one place.
  RETURN_IF_ERROR(ParseHeader(json, DataBytes(tensors)).status());
  ASSIGN_OR_RETURN(UniqueFd fd, OpenFile(path, O_WRONLY | O_CREAT | O_TRUNC));
  RETURN_IF_ERROR(WriteAll(fd.get(), absl::StrCat(LittleEndian(json.size()), json), path));
  return Writer(std::move(fd), path, std::move(tensors));
}

absl::Status Writer::Append(absl::string_view bytes) {
  int64_t missing = DataBytes(tensors_) - written_;
  if (static_cast<int64_t>(bytes.size()) > missing || !fd_.valid()) {
    return absl::FailedPreconditionError(absl::StrCat(
        path_, ": ", bytes.size(), " bytes more, but only ", missing, " are still due"));
  }
  written_ += static_cast<int64_t>(bytes.size());
  return WriteAll(fd_.get(), bytes, path_);
}

absl::Status Writer::Finish() {
  if (int64_t missing = DataBytes(tensors_) - written_; missing != 0) {
    return absl::FailedPreconditionError(absl::StrCat(path_, ": ", missing, " bytes are missing"));
  }
  fd_.Reset();
  return absl::OkStatus();
}

}  // namespace radiograph::safetensors
