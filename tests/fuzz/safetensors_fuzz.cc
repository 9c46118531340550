// Whole files, headers with the number of data bytes in front of them (a file whose header length
// fits is found too rarely), and what foreign files are said to be.
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>

#include "absl/strings/ascii.h"
#include "core/base/file.h"
#include "core/safetensors/foreign.h"
#include "core/safetensors/header.h"
#include "tests/fuzz/fuzz.h"

namespace radiograph {
namespace {

void Check(const absl::StatusOr<safetensors::Header>& header, int64_t data_bytes) {
  if (!header.ok()) return CheckRefusal(header.status());
  int64_t bytes = 0;
  for (const safetensors::TensorInfo& tensor : header->tensors) {
    FUZZ_CHECK(header->Find(tensor.name) == &tensor);
    FUZZ_CHECK(0 <= tensor.begin && tensor.begin <= tensor.end && tensor.end <= data_bytes);
    FUZZ_CHECK(!safetensors::DTypeName(tensor).empty());
    const absl::StatusOr<int64_t> size = safetensors::TensorBytes(tensor.dtype, tensor.shape);
    FUZZ_CHECK(size.ok() ? *size == tensor.bytes() : !tensor.unknown_dtype.empty());
    if (absl::Status read = safetensors::CheckReadable(tensor); !read.ok()) CheckRefusal(read);
    if (tensor.same_as.empty()) bytes += tensor.bytes();
  }
  FUZZ_CHECK(bytes == data_bytes);
  FUZZ_CHECK(header->notes.size() <= 2);
  for (const std::string& note : header->notes) FUZZ_CHECK(IsUtf8(note) && note.size() < 1024);
}

void CheckFile(absl::string_view bytes) {
  UniqueFd fd(memfd_create("fuzz", MFD_CLOEXEC));
  FUZZ_CHECK(WriteAll(fd.get(), bytes, "memory").ok());
  absl::StatusOr<safetensors::Header> header = safetensors::ReadHeader(fd.get(), "file");
  Check(header, header.ok() ? static_cast<int64_t>(bytes.size()) - header->data_begin : 0);
}

void CheckForeign(absl::string_view bytes) {
  const size_t tail = std::min(bytes.size(), safetensors::kTailBytes);
  const std::string said = safetensors::ForeignFile(bytes.substr(0, safetensors::kHeadBytes),
                                                    bytes.substr(bytes.size() - tail));
  FUZZ_CHECK(IsUtf8(said) && said.size() < 512);
  FUZZ_CHECK(std::none_of(said.begin(), said.end(), [](char c) {
    return absl::ascii_iscntrl(static_cast<unsigned char>(c));
  }));
}

}  // namespace

void Fuzz(absl::string_view bytes) {
  CheckFile(bytes);
  CheckForeign(bytes);
  if (bytes.empty()) return;
  int64_t data_bytes = static_cast<unsigned char>(bytes[0]);
  Check(safetensors::ParseHeader(bytes.substr(1), data_bytes), data_bytes);
}

}  // namespace radiograph
