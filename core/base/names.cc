#include "core/base/names.h"

#include <utf8proc.h>

#include <cstdlib>
#include <memory>
#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "core/base/digest.h"
#include "core/base/json.h"

namespace radiograph {
namespace {

constexpr size_t kDigestDigits = 8;
constexpr absl::string_view kTensors = ".safetensors";

// The character at the start of a text that isn't empty; -1 with one byte where there is none.
struct Character {
  int32_t code;
  absl::string_view bytes;
};
Character First(absl::string_view text) {
  int32_t code = -1;
  const utf8proc_ssize_t size = utf8proc_iterate(reinterpret_cast<const uint8_t*>(text.data()),
                                                 static_cast<utf8proc_ssize_t>(text.size()), &code);
  return size > 0 ? Character{code, text.substr(0, size)} : Character{-1, text.substr(0, 1)};
}

bool IsMark(int32_t code) {
  const utf8proc_category_t category = utf8proc_category(code);
  return category == UTF8PROC_CATEGORY_MN || category == UTF8PROC_CATEGORY_MC ||
         category == UTF8PROC_CATEGORY_ME;
}

bool IsIgnorable(int32_t code) { return utf8proc_get_property(code)->ignorable; }

bool IsNameCharacter(int32_t code) {
  if (code < 0x80) {
    const char c = static_cast<char>(code);
    return code > 0 && (absl::ascii_isalnum(c) || absl::StrContains("._/-", c));
  }
  switch (utf8proc_category(code)) {
    case UTF8PROC_CATEGORY_LU:
    case UTF8PROC_CATEGORY_LL:
    case UTF8PROC_CATEGORY_LT:
    case UTF8PROC_CATEGORY_LM:
    case UTF8PROC_CATEGORY_LO:
    case UTF8PROC_CATEGORY_MN:
    case UTF8PROC_CATEGORY_MC:
    case UTF8PROC_CATEGORY_ND:
    case UTF8PROC_CATEGORY_NL:
    case UTF8PROC_CATEGORY_NO:
      return !IsIgnorable(code);
    default:
      return false;
  }
}

bool IsShown(int32_t code) {
  switch (utf8proc_category(code)) {
    case UTF8PROC_CATEGORY_CC:
    case UTF8PROC_CATEGORY_CF:
    case UTF8PROC_CATEGORY_CS:
    case UTF8PROC_CATEGORY_CO:
    case UTF8PROC_CATEGORY_CN:
    case UTF8PROC_CATEGORY_ZL:
    case UTF8PROC_CATEGORY_ZP:
      return false;
    default:
      return !IsIgnorable(code);
  }
}

// In normal form C; `text` is UTF-8.
std::string Composed(absl::string_view text) {
  uint8_t* composed = nullptr;
  const utf8proc_ssize_t size = utf8proc_map(
      reinterpret_cast<const uint8_t*>(text.data()), static_cast<utf8proc_ssize_t>(text.size()),
      &composed, static_cast<utf8proc_option_t>(UTF8PROC_STABLE | UTF8PROC_COMPOSE));
  const std::unique_ptr<uint8_t, decltype(&std::free)> owned(composed, &std::free);
  return size < 0 ? std::string(text) : std::string(reinterpret_cast<char*>(composed), size);
}

absl::Status WrongName(absl::string_view name, absl::string_view why) {
  return absl::InvalidArgumentError(absl::StrCat("'", Shown(name), "' is no name", why));
}

// What is no part of a name becomes `_`, and an end without a whole character is left out.
std::string Replaced(absl::string_view text, size_t bytes_max) {
  std::string name;
  bool begins = true;  // a mark would change the character before the name
  while (!text.empty()) {
    const Character character = First(text);
    text.remove_prefix(character.bytes.size());
    const bool kept = character.code >= 0 && IsNameCharacter(character.code) &&
                      !(begins && IsMark(character.code));
    const absl::string_view bytes = kept ? character.bytes : "_";
    if (name.size() + bytes.size() > bytes_max) break;
    absl::StrAppend(&name, bytes);
    begins = character.code == '/';
  }
  return name;
}

}  // namespace

std::string Shown(absl::string_view text, size_t bytes_max) {
  std::string shown;
  while (!text.empty()) {
    const Character character = First(text);
    if (shown.size() + character.bytes.size() > bytes_max) return shown + "...";
    if (character.code >= 0 && IsShown(character.code)) {
      absl::StrAppend(&shown, character.bytes);
    } else {
      for (const char byte : character.bytes) {
        absl::StrAppendFormat(&shown, "\\x%02x", static_cast<unsigned char>(byte));
      }
    }
    text.remove_prefix(character.bytes.size());
  }
  return shown;
}

absl::StatusOr<std::string> ParseName(absl::string_view text) {
  constexpr char kForm[] = ": 1..128 bytes of letters, digits and . _ / - are allowed";
  if (!IsUtf8(text)) return WrongName(text, ", because it is not UTF-8");
  const std::string name = Composed(text);
  if (name.empty()) return WrongName(name, kForm);
  if (name.size() > kNameBytesMax) {
    return WrongName(name, absl::StrCat(kForm, ", and it has ", name.size(), " bytes"));
  }
  // What stays when nothing has to be replaced.
  if (Replaced(name, kNameBytesMax) != name) return WrongName(name, kForm);
  return name;
}

absl::Status CheckNewName(absl::string_view name) {
  if (absl::StartsWith(name, "-")) return WrongName(name, ": on a command line it is a flag");
  if (absl::EndsWith(name, kTensors)) {
    return WrongName(name, ": on a command line what ends in .safetensors is a path");
  }
  for (const absl::string_view part : absl::StrSplit(name, '/')) {
    if (part.empty() || part == "." || part == "..") {
      return WrongName(name,
                       ": it would be a path, with a part between its / that is empty, . or ..");
    }
  }
  return absl::OkStatus();
}

std::string NameOf(absl::string_view text) {
  const absl::StatusOr<std::string> name = ParseName(text);
  if (name.ok() && CheckNewName(*name).ok()) return *name;
  const std::string whole = IsUtf8(text) ? Composed(text) : std::string(text);
  std::vector<std::string> parts;
  for (const absl::string_view part :
       absl::StrSplit(Replaced(whole, kNameBytesMax - kDigestDigits - 1), '/', absl::SkipEmpty())) {
    if (part != "." && part != "..") parts.emplace_back(part);
  }
  std::string replaced = absl::StrJoin(parts, "/");
  if (absl::StartsWith(replaced, "-")) replaced[0] = '_';
  return absl::StrCat(replaced, replaced.empty() ? "" : "-",
                      Sha256Hex(text).substr(0, kDigestDigits));
}

}  // namespace radiograph
