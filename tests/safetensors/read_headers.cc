// Reads many files from stdin with our reader, for differential.py. Each is 8 bytes, little-endian,
// with its size, then its bytes. Answers one line of JSON for each: {"refused": MESSAGE} or
// {"data_begin": N, "metadata": {...}, "tensors": {NAME: [DTYPE, SHAPE, BEGIN, END]}}, without
// second names.
#include <sys/mman.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <nlohmann/json.hpp>
#include <string>

#include "core/base/file.h"
#include "core/base/json.h"
#include "core/safetensors/header.h"

namespace radiograph {
namespace {

Json Answer(const absl::StatusOr<safetensors::Header>& header) {
  if (!header.ok()) return {{"refused", std::string(header.status().message())}};
  Json tensors = Json::object();
  for (const safetensors::TensorInfo& tensor : header->tensors) {
    if (!tensor.same_as.empty()) continue;
    tensors[tensor.name] = {std::string(safetensors::DTypeName(tensor)), tensor.shape, tensor.begin,
                            tensor.end};
  }
  return {{"data_begin", header->data_begin}, {"metadata", header->metadata}, {"tensors", tensors}};
}

// False at the end of the input.
bool ReadOne(std::string* bytes) {
  uint64_t size = 0;
  if (std::fread(&size, sizeof(size), 1, stdin) != 1) return false;
  bytes->resize(size);
  return std::fread(bytes->data(), 1, size, stdin) == size;
}

int Run() {
  std::string bytes;
  while (ReadOne(&bytes)) {
    const UniqueFd fd(memfd_create("file", MFD_CLOEXEC));
    if (!WriteAll(fd.get(), bytes, "memory").ok()) return 1;
    std::puts(Answer(safetensors::ReadHeader(fd.get(), "file")).dump().c_str());
  }
  return 0;
}

}  // namespace
}  // namespace radiograph

int main() { return radiograph::Run(); }
