#include "core/base/json.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <nlohmann/json.hpp>
#include <set>
#include <vector>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "core/base/status_macros.h"

namespace radiograph {
namespace {

// Refuses what nlohmann's own parser lets pass: duplicate keys and great depth.
class StrictSax : public nlohmann::detail::json_sax_dom_parser<Json> {
 public:
  using Base = nlohmann::detail::json_sax_dom_parser<Json>;
  StrictSax(Json& root, int64_t depth_max) : Base(root, false), depth_max_(depth_max) {}

  bool start_object(std::size_t size) {
    keys_.emplace_back();
    return Enter() && Base::start_object(size);
  }
  bool end_object() {
    keys_.pop_back();
    --depth_;
    return Base::end_object();
  }
  bool start_array(std::size_t size) { return Enter() && Base::start_array(size); }
  bool end_array() {
    --depth_;
    return Base::end_array();
  }
  bool key(std::string& name) {
    if (!keys_.back().insert(name).second) {
      error_ = absl::StrCat("the key ", JsonExcerpt(name), " appears twice in one object");
      return false;
    }
    return Base::key(name);
  }
  bool parse_error(std::size_t position, const std::string&, const nlohmann::detail::exception& e) {
    absl::string_view reason = e.what();  // "[json.exception...] parse error at ...: reason"
    reason.remove_prefix(std::min(reason.size(), reason.find("] ") + 2));
    error_ =
        absl::StrCat("not JSON at byte ", position, ": ", absl::CHexEscape(reason.substr(0, 200)));
    return false;
  }
  const std::string& error() const { return error_; }

 private:
  bool Enter() {
    if (++depth_ <= depth_max_) return true;
    error_ = absl::StrCat("nested deeper than ", depth_max_);
    return false;
  }
  int64_t depth_max_;
  int64_t depth_ = 0;
  std::vector<std::set<std::string>> keys_;
  std::string error_;
};

// The text with NaN, Infinity and -Infinity as null, where they stand outside of strings. What is
// wrong beside such a word stays wrong: "NaN1" becomes "null1".
std::string NullForPythonLiterals(absl::string_view text) {
  std::string out;
  out.reserve(text.size());
  bool in_string = false;
  for (size_t i = 0; i < text.size();) {
    size_t length = 1;
    if (in_string) {
      if (text[i] == '\\') length = std::min<size_t>(2, text.size() - i);
    } else {
      bool literal = false;
      for (absl::string_view word : {"NaN", "Infinity", "-Infinity"}) {
        if (text.substr(i, word.size()) != word) continue;
        out += "null";
        i += word.size();
        literal = true;
        break;
      }
      if (literal) continue;
    }
    if (text[i] == '"') in_string = !in_string;
    out.append(text.data() + i, length);
    i += length;
  }
  return out;
}

// Decodes one code point of valid UTF-8.
char32_t NextCodePoint(absl::string_view* text) {
  auto byte = [&](size_t i) { return static_cast<unsigned char>((*text)[i]); };
  size_t length = byte(0) < 0x80 ? 1 : byte(0) < 0xE0 ? 2 : byte(0) < 0xF0 ? 3 : 4;
  char32_t code = length == 1 ? byte(0) : byte(0) & (0x7F >> length);
  for (size_t i = 1; i < length; ++i) code = (code << 6) | (byte(i) & 0x3F);
  text->remove_prefix(length);
  return code;
}

// RFC 8785, 3.2.3: property names compare as arrays of UTF-16 code units.
std::u16string Utf16(absl::string_view text) {
  std::u16string units;
  while (!text.empty()) {
    char32_t code = NextCodePoint(&text);
    if (code < 0x10000) {
      units.push_back(static_cast<char16_t>(code));
    } else {
      units.push_back(static_cast<char16_t>(0xD800 + ((code - 0x10000) >> 10)));
      units.push_back(static_cast<char16_t>(0xDC00 + ((code - 0x10000) & 0x3FF)));
    }
  }
  return units;
}

absl::Status AppendCanonical(const Json& value, std::string* out);

absl::Status AppendInteger(const Json& value, std::string* out) {
  std::string text = value.dump();
  if (text != JsonNumber(value.get<double>())) {
    return absl::InvalidArgumentError(
        absl::StrCat(text, " is beyond 2^53; a JSON number doesn't hold it exactly"));
  }
  out->append(text);
  return absl::OkStatus();
}

absl::Status AppendObject(const Json& value, std::string* out) {
  std::vector<std::pair<std::u16string, std::string>> keys;
  for (const auto& item : value.items()) {
    if (!IsUtf8(item.key())) return absl::InvalidArgumentError("a key is not UTF-8");
    keys.emplace_back(Utf16(item.key()), item.key());
  }
  std::sort(keys.begin(), keys.end());
  out->push_back('{');
  for (size_t i = 0; i < keys.size(); ++i) {
    absl::StrAppend(out, i ? "," : "", JsonString(keys[i].second), ":");
    RETURN_IF_ERROR(AppendCanonical(value.at(keys[i].second), out));
  }
  out->push_back('}');
  return absl::OkStatus();
}

absl::Status AppendCanonical(const Json& value, std::string* out) {
  switch (value.type()) {
    case Json::value_t::object:
      return AppendObject(value, out);
    case Json::value_t::array:
      out->push_back('[');
      for (size_t i = 0; i < value.size(); ++i) {
        if (i) out->push_back(',');
        RETURN_IF_ERROR(AppendCanonical(value[i], out));
      }
      out->push_back(']');
      return absl::OkStatus();
    case Json::value_t::string:
      if (!IsUtf8(value.get_ref<const std::string&>())) {
        return absl::InvalidArgumentError("a string is not UTF-8");
      }
      out->append(JsonString(value.get_ref<const std::string&>()));
      return absl::OkStatus();
    case Json::value_t::boolean:
      out->append(value.get<bool>() ? "true" : "false");
      return absl::OkStatus();
    case Json::value_t::number_integer:
    case Json::value_t::number_unsigned:
      return AppendInteger(value, out);
    case Json::value_t::number_float:
      if (!std::isfinite(value.get<double>())) {
        return absl::InvalidArgumentError("NaN and infinities are not JSON");
      }
      out->append(JsonNumber(value.get<double>()));
      return absl::OkStatus();
    case Json::value_t::null:
      out->append("null");
      return absl::OkStatus();
    default:
      return absl::InvalidArgumentError("binary values are not JSON");
  }
}

}  // namespace

absl::StatusOr<Json> ParseJson(absl::string_view text, JsonLimits limits) {
  if (static_cast<int64_t>(text.size()) > limits.bytes_max) {
    return absl::InvalidArgumentError(
        absl::StrCat("JSON of ", text.size(), " bytes; at most ", limits.bytes_max, " are read"));
  }
  // The library takes a NUL for the end of the text.
  if (size_t position = text.find('\0'); position != absl::string_view::npos) {
    return absl::InvalidArgumentError(absl::StrCat("not JSON at byte ", position, ": NUL"));
  }
  std::string rewritten;
  if (limits.python_literals) text = rewritten = NullForPythonLiterals(text);
  Json root;
  StrictSax sax(root, limits.depth_max);
  if (!Json::sax_parse(text.begin(), text.end(), &sax)) {
    return absl::InvalidArgumentError(sax.error().empty() ? "not JSON" : sax.error());
  }
  return root;
}

absl::StatusOr<std::string> CanonicalJson(const Json& value) {
  std::string out;
  RETURN_IF_ERROR(AppendCanonical(value, &out));
  return out;
}

// ECMAScript's Number::toString (ECMA-262, 6.1.6.1.20), from the shortest digits that round-trip.
std::string JsonNumber(double value) {
  if (!std::isfinite(value)) return "null";
  if (value == 0) return "0";
  char buffer[32];
  auto [end, error] = std::to_chars(buffer, buffer + sizeof(buffer), std::abs(value),
                                    std::chars_format::scientific);
  absl::string_view text(buffer, end - buffer);  // d[.ddd]e[+-]dd
  size_t e = text.find('e');
  int exponent = 0;
  std::from_chars(buffer + e + (text[e + 1] == '+' ? 2 : 1), end, exponent);
  std::string digits(1, text[0]);
  if (e > 1) absl::StrAppend(&digits, text.substr(2, e - 2));
  int count = static_cast<int>(digits.size());
  int point = exponent + 1;  // value = 0.digits * 10^point
  std::string sign = value < 0 ? "-" : "";
  if (count <= point && point <= 21)
    return absl::StrCat(sign, digits, std::string(point - count, '0'));
  if (0 < point && point <= 21)
    return absl::StrCat(sign, digits.substr(0, point), ".", digits.substr(point));
  if (-6 < point && point <= 0) return absl::StrCat(sign, "0.", std::string(-point, '0'), digits);
  return absl::StrCat(sign, digits.substr(0, 1), count > 1 ? "." : "", digits.substr(1), "e",
                      exponent < 0 ? "-" : "+", std::abs(exponent));
}

std::string JsonString(absl::string_view text) {
  std::string out = "\"";
  for (char c : text) {
    switch (c) {
      case '"':
        out += "\\\"";
        break;
      case '\\':
        out += "\\\\";
        break;
      case '\b':
        out += "\\b";
        break;
      case '\f':
        out += "\\f";
        break;
      case '\n':
        out += "\\n";
        break;
      case '\r':
        out += "\\r";
        break;
      case '\t':
        out += "\\t";
        break;
      default:
        if (static_cast<unsigned char>(c) < 0x20) {
          absl::StrAppendFormat(&out, "\\u%04x", static_cast<unsigned>(c));
        } else {
          out.push_back(c);
        }
    }
  }
  return out + "\"";
}

std::string JsonExcerpt(absl::string_view text, size_t bytes_max) {
  if (text.size() <= bytes_max) return JsonString(text);
  size_t end = bytes_max;
  while (end > 0 && (static_cast<unsigned char>(text[end]) & 0xC0) == 0x80)
    --end;  // whole characters
  return JsonString(absl::StrCat(text.substr(0, end), "..."));
}

bool IsUtf8(absl::string_view text) {
  size_t i = 0;
  auto byte = [&](size_t at) { return static_cast<unsigned char>(text[at]); };
  while (i < text.size()) {
    if (byte(i) < 0x80) {
      ++i;
      continue;
    }
    size_t length = byte(i) >= 0xF0 ? 4 : byte(i) >= 0xE0 ? 3 : 2;
    if (byte(i) < 0xC2 || byte(i) > 0xF4 || i + length > text.size()) return false;
    for (size_t j = 1; j < length; ++j) {
      if ((byte(i + j) & 0xC0) != 0x80) return false;
    }
    if (byte(i) == 0xE0 && byte(i + 1) < 0xA0) return false;  // overlong
    if (byte(i) == 0xED && byte(i + 1) > 0x9F) return false;  // surrogate
    if (byte(i) == 0xF0 && byte(i + 1) < 0x90) return false;  // overlong
    if (byte(i) == 0xF4 && byte(i + 1) > 0x8F) return false;  // beyond U+10FFFF
    i += length;
  }
  return true;
}

}  // namespace radiograph
