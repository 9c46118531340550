// What a file is that is taken for a safetensors file and is none: told by its first bytes, so that
// a refusal names the cause and what to do.
#ifndef RADIOGRAPH_CORE_SAFETENSORS_FOREIGN_H_
#define RADIOGRAPH_CORE_SAFETENSORS_FOREIGN_H_

#include <cstddef>
#include <string>

#include "absl/strings/string_view.h"

namespace radiograph::safetensors {

inline constexpr size_t kHeadBytes = 512;        // a tar archive shows itself at byte 257
inline constexpr size_t kTailBytes = 64 << 10;   // of an archive, whose list of files is at its end
inline constexpr size_t kForeignTextBytes = 80;  // of a server's message that is shown

// "it is a Git LFS pointer, ...; fetch the file with `git lfs pull`": a clause in UTF-8 without
// control characters, for a file that begins with `head` (its first kHeadBytes, or all) and ends
// with `tail` (its last kTailBytes, or all). Empty for bytes that are not recognised with
// certainty.
//
// Known are: Git LFS and git-annex pointers, pages and messages of servers (HTML, XML, JSON), any
// other text, PyTorch and other pickles, numpy (.npy, .npz), Keras, HDF5, GGUF and its
// predecessors, ONNX, TFLite, TensorFlow checkpoints, Flax (msgpack), Parquet, Arrow, archives,
// what is compressed, and files of zeros.
std::string ForeignFile(absl::string_view head, absl::string_view tail);

}  // namespace radiograph::safetensors

#endif  // RADIOGRAPH_CORE_SAFETENSORS_FOREIGN_H_
