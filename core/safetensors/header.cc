#include "core/safetensors/header.h"

#include <algorithm>
#include <limits>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "core/base/file.h"
#include "core/base/json.h"
#include "core/base/status_macros.h"
#include "core/safetensors/header_parser.h"

namespace radiograph::safetensors {
namespace {

struct DTypeRow {
  DType dtype;
  absl::string_view name;
  int64_t bytes;
};
constexpr DTypeRow kDTypes[] = {
    {DType::kF64, "F64", 8},   {DType::kF32, "F32", 4}, {DType::kF16, "F16", 2},
    {DType::kBF16, "BF16", 2}, {DType::kI64, "I64", 8}, {DType::kI32, "I32", 4},
    {DType::kI16, "I16", 2},   {DType::kI8, "I8", 1},   {DType::kU8, "U8", 1},
    {DType::kBool, "BOOL", 1},
};

const DTypeRow& Row(DType dtype) { return kDTypes[static_cast<int>(dtype)]; }

std::string Tensor(const TensorInfo& tensor) {
  return absl::StrCat("tensor ", JsonExcerpt(tensor.name), ": ");
}

// By name, and no name twice.
absl::Status SortByName(std::vector<TensorInfo>* tensors) {
  std::sort(tensors->begin(), tensors->end(),
            [](const auto& a, const auto& b) { return a.name < b.name; });
  auto same = std::adjacent_find(tensors->begin(), tensors->end(),
                                 [](const auto& a, const auto& b) { return a.name == b.name; });
  if (same == tensors->end()) return absl::OkStatus();
  return absl::InvalidArgumentError(
      absl::StrCat("the key ", JsonExcerpt(same->name), " appears twice in the header"));
}

absl::Status CheckBytes(const TensorInfo& tensor) {
  if (tensor.begin > tensor.end) {
    return absl::InvalidArgumentError(absl::StrCat(
        Tensor(tensor), "data_offsets run backwards, from ", tensor.begin, " to ", tensor.end));
  }
  absl::StatusOr<int64_t> bytes = TensorBytes(tensor.dtype, tensor.shape);
  if (!bytes.ok())
    return absl::InvalidArgumentError(absl::StrCat(Tensor(tensor), bytes.status().message()));
  if (*bytes != tensor.bytes()) {
    return absl::InvalidArgumentError(
        absl::StrCat(Tensor(tensor), DTypeName(tensor.dtype), " of shape ", ShapeText(tensor.shape),
                     " needs ", *bytes, " bytes; data_offsets give ", tensor.bytes()));
  }
  return absl::OkStatus();
}

// The tensors cover the data from 0 to the end, without hole or overlap.
absl::Status CheckLayout(const std::vector<TensorInfo>& tensors, int64_t data_bytes) {
  std::vector<const TensorInfo*> in_file;
  for (const TensorInfo& tensor : tensors) in_file.push_back(&tensor);
  std::sort(in_file.begin(), in_file.end(), [](const TensorInfo* a, const TensorInfo* b) {
    return std::pair(a->begin, a->end) < std::pair(b->begin, b->end);
  });
  int64_t end = 0;
  for (const TensorInfo* tensor : in_file) {
    if (tensor->begin != end) {
      return absl::InvalidArgumentError(
          absl::StrCat(Tensor(*tensor), "data_offsets begin at ", tensor->begin, " where ", end,
                       " is due: ", tensor->begin < end ? "an overlap" : "a hole"));
    }
    end = tensor->end;
  }
  if (end == data_bytes) return absl::OkStatus();
  return absl::InvalidArgumentError(
      absl::StrCat("the tensors take ", end, " bytes of data; the file has ", data_bytes,
                   end > data_bytes ? ": it is truncated" : ": something follows the last tensor"));
}

// The reason for a wrong header length is most often another format.
absl::string_view FormatHint(absl::string_view prefix) {
  if (prefix.substr(0, 4) == "PK\x03\x04" || prefix[0] == '\x80') {
    return " (it looks like a PyTorch pickle; save it as safetensors)";
  }
  return "";
}

absl::StatusOr<int64_t> HeaderBytes(absl::string_view prefix, int64_t file_bytes) {
  uint64_t length = 0;
  for (int i = 7; i >= 0; --i) length = length << 8 | static_cast<unsigned char>(prefix[i]);
  if (length > uint64_t{kHeaderBytesMax}) {
    return absl::InvalidArgumentError(absl::StrCat("not a safetensors file: its header length is ",
                                                   length, "; at most ", kHeaderBytesMax,
                                                   " is allowed", FormatHint(prefix)));
  }
  int64_t header_bytes = static_cast<int64_t>(length);
  if (header_bytes > file_bytes - 8) {
    return absl::InvalidArgumentError(
        absl::StrCat("the header length is ", header_bytes, "; the file has ", file_bytes - 8,
                     " bytes after it: it is truncated", FormatHint(prefix)));
  }
  return header_bytes;
}

absl::StatusOr<Header> ReadUnlabelled(int fd, absl::string_view label) {
  ASSIGN_OR_RETURN(int64_t file_bytes, FileSize(fd, label));
  if (file_bytes < 8) {
    return absl::InvalidArgumentError(absl::StrCat("not a safetensors file: it has ", file_bytes,
                                                   " bytes; at least 8 are needed"));
  }
  std::string text(8, '\0');
  RETURN_IF_ERROR(ReadAt(fd, 0, absl::MakeSpan(text.data(), text.size()), label));
  ASSIGN_OR_RETURN(int64_t header_bytes, HeaderBytes(text, file_bytes));
  text.resize(header_bytes);
  RETURN_IF_ERROR(ReadAt(fd, 8, absl::MakeSpan(text.data(), text.size()), label));
  ASSIGN_OR_RETURN(Header header, ParseHeader(text, file_bytes - 8 - header_bytes));
  return header;
}

// Valid names only: what else stands in the metadata says nothing of tensors.
bool MayBeAName(absl::string_view name) {
  return !name.empty() && static_cast<int64_t>(name.size()) <= kNameBytesMax &&
         std::none_of(name.begin(), name.end(),
                      [](char c) { return absl::ascii_iscntrl(static_cast<unsigned char>(c)); });
}

void AddSecondNames(Header& header) {
  std::vector<TensorInfo> second;
  for (const auto& [name, stored] : header.metadata) {
    const TensorInfo* tensor = header.Find(stored);
    if (tensor == nullptr || header.Find(name) != nullptr || !MayBeAName(name)) continue;
    second.push_back(*tensor);
    second.back().same_as = std::exchange(second.back().name, name);
  }
  if (second.empty()) return;
  for (TensorInfo& tensor : second) header.tensors.push_back(std::move(tensor));
  std::sort(header.tensors.begin(), header.tensors.end(),
            [](const auto& a, const auto& b) { return a.name < b.name; });
}

}  // namespace

absl::string_view DTypeName(DType dtype) { return Row(dtype).name; }
int64_t DTypeBytes(DType dtype) { return Row(dtype).bytes; }

absl::StatusOr<DType> ParseDType(absl::string_view name) {
  for (const DTypeRow& row : kDTypes) {
    if (row.name == name) return row.dtype;
  }
  auto append_name = [](std::string* out, const DTypeRow& row) { absl::StrAppend(out, row.name); };
  return absl::InvalidArgumentError(absl::StrCat("dtype ", JsonExcerpt(name), " is not read; ",
                                                 absl::StrJoin(kDTypes, ", ", append_name),
                                                 " are"));
}

std::string ShapeText(const std::vector<int64_t>& shape) {
  return absl::StrCat("[", absl::StrJoin(shape, ", "), "]");
}

absl::StatusOr<int64_t> TensorBytes(DType dtype, const std::vector<int64_t>& shape) {
  int64_t bytes = DTypeBytes(dtype);
  bool empty = false;
  for (int64_t size : shape) {
    if (size == 0) {
      empty = true;
    } else if (size < 0 || __builtin_mul_overflow(bytes, size, &bytes)) {
      return absl::InvalidArgumentError(absl::StrCat(
          "shape ", ShapeText(shape), " has a size below 0 or needs more than 2^63-1 bytes"));
    }
  }
  return empty ? 0 : bytes;
}

const TensorInfo* Header::Find(absl::string_view name) const {
  auto found = std::lower_bound(
      tensors.begin(), tensors.end(), name,
      [](const TensorInfo& tensor, absl::string_view name) { return tensor.name < name; });
  return found != tensors.end() && found->name == name ? &*found : nullptr;
}

absl::StatusOr<Header> ParseHeader(absl::string_view json, int64_t data_bytes) {
  ASSIGN_OR_RETURN(Header header, ParseHeaderJson(json));
  RETURN_IF_ERROR(SortByName(&header.tensors));
  for (const TensorInfo& tensor : header.tensors) RETURN_IF_ERROR(CheckBytes(tensor));
  RETURN_IF_ERROR(CheckLayout(header.tensors, data_bytes));
  header.data_begin = 8 + static_cast<int64_t>(json.size());
  AddSecondNames(header);
  return header;
}

absl::StatusOr<Header> ReadHeader(int fd, absl::string_view label) {
  absl::StatusOr<Header> header = ReadUnlabelled(fd, label);
  if (absl::IsInvalidArgument(header.status())) {
    return absl::InvalidArgumentError(absl::StrCat(label, ": ", header.status().message()));
  }
  return header;
}

}  // namespace radiograph::safetensors
