// Whole files, and headers with the number of data bytes in front of them (a file whose header
// length fits is found too rarely).
#include <sys/mman.h>
#include <unistd.h>

#include "core/base/file.h"
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
    FUZZ_CHECK(*safetensors::TensorBytes(tensor.dtype, tensor.shape) == tensor.bytes());
    bytes += tensor.bytes();
  }
  FUZZ_CHECK(bytes == data_bytes);
}

void CheckFile(absl::string_view bytes) {
  UniqueFd fd(memfd_create("fuzz", MFD_CLOEXEC));
  FUZZ_CHECK(WriteAll(fd.get(), bytes, "memory").ok());
  absl::StatusOr<safetensors::Header> header = safetensors::ReadHeader(fd.get(), "file");
  Check(header, header.ok() ? static_cast<int64_t>(bytes.size()) - header->data_begin : 0);
}

}  // namespace

void Fuzz(absl::string_view bytes) {
  CheckFile(bytes);
  if (bytes.empty()) return;
  int64_t data_bytes = static_cast<unsigned char>(bytes[0]);
  Check(safetensors::ParseHeader(bytes.substr(1), data_bytes), data_bytes);
}

}  // namespace radiograph
