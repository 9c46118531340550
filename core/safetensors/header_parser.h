// The JSON of a safetensors header, read in one pass without a document tree: 16 MiB of hostile
// text costs no more memory than the limits of header.h allow.
#ifndef RADIOGRAPH_CORE_SAFETENSORS_HEADER_PARSER_H_
#define RADIOGRAPH_CORE_SAFETENSORS_HEADER_PARSER_H_

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "core/safetensors/header.h"

namespace radiograph::safetensors {

// Tensors in the order of the text, each valid by itself; duplicates and the layout of the data are
// the caller's to check.
absl::StatusOr<Header> ParseHeaderJson(absl::string_view json);

}  // namespace radiograph::safetensors

#endif  // RADIOGRAPH_CORE_SAFETENSORS_HEADER_PARSER_H_
