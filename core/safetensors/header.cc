#include "core/safetensors/header.h"

#include <algorithm>
#include <limits>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "core/base/file.h"
#include "core/base/json.h"
#include "core/base/status_macros.h"
#include "core/safetensors/foreign.h"
#include "core/safetensors/header_parser.h"

namespace radiograph::safetensors {
namespace {

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

// The number of elements, zero dimensions left out, and whether there are such.
struct Elements {
  int64_t count = 1;
  bool empty = false;
};

absl::StatusOr<Elements> ElementsOf(const std::vector<int64_t>& shape) {
  Elements elements;
  for (int64_t size : shape) {
    if (size == 0) {
      elements.empty = true;
    } else if (size < 0 || __builtin_mul_overflow(elements.count, size, &elements.count)) {
      return absl::InvalidArgumentError(absl::StrCat(
          "shape ", ShapeText(shape), " has a size below 0 or needs more than 2^63-1 bytes"));
    }
  }
  return elements;
}

absl::Status CheckBytes(const TensorInfo& tensor) {
  if (tensor.begin > tensor.end) {
    return absl::InvalidArgumentError(absl::StrCat(
        Tensor(tensor), "data_offsets run backwards, from ", tensor.begin, " to ", tensor.end));
  }
  const absl::StatusOr<int64_t> bytes = [&]() -> absl::StatusOr<int64_t> {
    if (tensor.dtype != DType::kUnknown) return TensorBytes(tensor.dtype, tensor.shape);
    RETURN_IF_ERROR(ElementsOf(tensor.shape).status());
    return tensor.bytes();
  }();
  if (!bytes.ok())
    return absl::InvalidArgumentError(absl::StrCat(Tensor(tensor), bytes.status().message()));
  if (*bytes != tensor.bytes()) {
    return absl::InvalidArgumentError(absl::StrCat(Tensor(tensor), DTypeName(tensor), " of shape ",
                                                   ShapeText(tensor.shape), " needs ", *bytes,
                                                   " bytes; data_offsets give ", tensor.bytes()));
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
                   end > data_bytes ? ": it is truncated; fetch or copy it again"
                                    : ": something follows the last tensor"));
}

constexpr int64_t kFormatHeaderBytesMax = 100'000'000;  // what the format allows

absl::Status NotSafetensors(absl::string_view why) {
  return absl::InvalidArgumentError(absl::StrCat("not a safetensors file: ", why));
}

// Refuses a file whose first bytes are no header: says what they are, if that is known.
absl::Status CheckKind(int fd, absl::string_view label, absl::string_view head, uint64_t length,
                       int64_t file_bytes) {
  if (file_bytes == 0) return NotSafetensors("it is empty");
  const uint64_t rest = std::max<int64_t>(file_bytes - 8, 0);
  const bool object = absl::StartsWith(
      absl::StripLeadingAsciiWhitespace(head.substr(std::min<size_t>(8, head.size()))), "{");
  if (object && length <= std::max(rest, uint64_t{kFormatHeaderBytesMax})) return absl::OkStatus();
  std::string tail(std::min<int64_t>(file_bytes, kTailBytes), '\0');
  RETURN_IF_ERROR(ReadAt(fd, file_bytes - static_cast<int64_t>(tail.size()),
                         absl::MakeSpan(tail.data(), tail.size()), label));
  if (const std::string known = ForeignFile(head, tail); !known.empty()) {
    return NotSafetensors(known);
  }
  if (file_bytes < 8) {
    return NotSafetensors(absl::StrCat("it has ", file_bytes, " bytes; at least 8 are needed"));
  }
  if (length > uint64_t{kHeaderBytesMax}) {
    return NotSafetensors(absl::StrCat("its header length is ", length, "; at most ",
                                       kHeaderBytesMax, " is allowed"));
  }
  if (rest > 0) return NotSafetensors("the header does not begin with {");
  return absl::OkStatus();
}

absl::Status CheckLength(uint64_t length, int64_t file_bytes) {
  const int64_t rest = file_bytes - 8;
  if (length > static_cast<uint64_t>(rest)) {
    return absl::InvalidArgumentError(
        absl::StrCat("the header length is ", length, "; the file has ", rest,
                     " bytes after it: it is truncated; fetch or copy it again"));
  }
  if (length > uint64_t{kHeaderBytesMax}) {
    return absl::InvalidArgumentError(
        absl::StrCat("its header has ", length, " bytes, which is too long for Radiograph; up to ",
                     kHeaderBytesMax, " are read. Most often long texts in __metadata__ are the ",
                     "cause: save it without them"));
  }
  return absl::OkStatus();
}

absl::StatusOr<Header> ReadUnlabelled(int fd, absl::string_view label) {
  ASSIGN_OR_RETURN(int64_t file_bytes, FileSize(fd, label));
  std::string text(std::min<int64_t>(file_bytes, kHeadBytes), '\0');
  RETURN_IF_ERROR(ReadAt(fd, 0, absl::MakeSpan(text.data(), text.size()), label));
  uint64_t length = 0;
  for (size_t i = std::min<size_t>(8, text.size()); i-- > 0;) {
    length = length << 8 | static_cast<unsigned char>(text[i]);
  }
  RETURN_IF_ERROR(CheckKind(fd, label, text, length, file_bytes));
  RETURN_IF_ERROR(CheckLength(length, file_bytes));
  const int64_t header_bytes = static_cast<int64_t>(length);
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

absl::string_view DTypeName(const TensorInfo& tensor) {
  return tensor.dtype == DType::kUnknown ? tensor.unknown_dtype : DTypeName(tensor.dtype);
}

absl::Status CheckReadable(const TensorInfo& tensor) {
  if (!IsRead(tensor.dtype)) {
    return absl::InvalidArgumentError(
        absl::StrCat(Tensor(tensor), "its dtype is ", DTypeName(tensor), "; analyses read ",
                     DTypesRead(), ": convert it to one of these and save it again"));
  }
  if (static_cast<int64_t>(tensor.shape.size()) > kRankReadMax) {
    return absl::InvalidArgumentError(absl::StrCat(
        Tensor(tensor), "it has ", tensor.shape.size(), " dimensions, ", ShapeText(tensor.shape),
        "; analyses read up to ", kRankReadMax, ": reshape it and save it again"));
  }
  return absl::OkStatus();
}

std::string ShapeText(const std::vector<int64_t>& shape) {
  return absl::StrCat("[", absl::StrJoin(shape, ", "), "]");
}

absl::StatusOr<int64_t> TensorBytes(DType dtype, const std::vector<int64_t>& shape) {
  const int64_t bits = DTypeBits(dtype);
  if (bits == 0) return absl::InvalidArgumentError("a dtype that is not known has no known size");
  ASSIGN_OR_RETURN(const Elements elements, ElementsOf(shape));
  // Eight elements take `bits` bytes.
  int64_t bytes = 0;
  const int64_t rest_bits = elements.count % 8 * bits;
  if (__builtin_mul_overflow(elements.count / 8, bits, &bytes) ||
      __builtin_add_overflow(bytes, rest_bits / 8, &bytes)) {
    return absl::InvalidArgumentError(
        absl::StrCat("shape ", ShapeText(shape), " needs more than 2^63-1 bytes"));
  }
  if (elements.empty) return 0;
  if (rest_bits % 8 == 0) return bytes;
  return absl::InvalidArgumentError(absl::StrCat(DTypeName(dtype), " of shape ", ShapeText(shape),
                                                 " does not end at a byte: ", elements.count,
                                                 " elements of ", bits, " bits"));
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
