// Names of artifacts, and foreign text in messages.
//
// A name is 1..128 bytes of UTF-8 in normal form C: letters, marks and digits of any script, and
// . _ / -. What can't be seen (control and format characters, and letters and marks that Unicode
// calls ignorable) is not in it, so that two names that look alike are not two for that reason; a
// blank, `@`, `:` and `*`, which mean something in a reference, aren't either.
#ifndef RADIOGRAPH_CORE_BASE_NAMES_H_
#define RADIOGRAPH_CORE_BASE_NAMES_H_

#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace radiograph {

inline constexpr size_t kNameBytesMax = 128;

// Foreign text for a message, at most `bytes_max` of it: as it is, but for what would not be seen,
// or would move what is seen, and bytes that are no UTF-8, which are written as \xNN.
std::string Shown(absl::string_view text, size_t bytes_max = 200);

// A name in normal form C; INVALID_ARGUMENT for what is no name.
absl::StatusOr<std::string> ParseName(absl::string_view text);

// What a name given to something new must be besides, so that on a command line it is no path and
// no flag: it does not begin with `-`, does not end in .safetensors, and nothing between its `/` is
// empty, `.` or `..`. INVALID_ARGUMENT; `name` is in normal form C.
absl::Status CheckNewName(absl::string_view name);

// A name for something called `text` elsewhere: `text` itself in normal form C if that is a name
// that may be given to something new. Else what is no part of a name becomes `_`, and a part of
// the digest of `text` follows: two texts never become one name.
std::string NameOf(absl::string_view text);

}  // namespace radiograph

#endif  // RADIOGRAPH_CORE_BASE_NAMES_H_
