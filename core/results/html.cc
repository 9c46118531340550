#include "core/results/html.h"

#include <cmath>
#include <nlohmann/json.hpp>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_replace.h"

namespace radiograph::html {

std::string Escape(absl::string_view text) {
  return absl::StrReplaceAll(
      text, {{"&", "&amp;"}, {"<", "&lt;"}, {">", "&gt;"}, {"\"", "&quot;"}, {"'", "&#39;"}});
}

std::string EscapeScript(absl::string_view canonical) {
  return absl::StrReplaceAll(canonical, {{"<", "\\u003c"},
                                         {">", "\\u003e"},
                                         {"&", "\\u0026"},
                                         {"\xe2\x80\xa8", "\\u2028"},
                                         {"\xe2\x80\xa9", "\\u2029"}});
}

std::string Number(double value) {
  double size = std::abs(value);
  if (value == std::floor(value) && size < 1e9) return absl::StrFormat("%.0f", value);
  if (size < 1e-3 || size >= 1e6) return absl::StrFormat("%.2e", value);
  return size < 1000 ? absl::StrFormat("%.4g", value) : absl::StrFormat("%.1f", value);
}

const Json& Member(const Json& object, const char* name) {
  static const Json& null = *new Json();
  auto found = object.find(name);  // end() when it is no object
  return found != object.end() ? *found : null;
}

std::string Text(const Json& object, const char* name) {
  const Json& member = Member(object, name);
  return member.is_string() ? member.get<std::string>() : "";
}

const Json& List(const Json& object, const char* name) {
  static const Json& empty = *new Json(Json::array());
  const Json& member = Member(object, name);
  return member.is_array() ? member : empty;
}

std::string Cell(const Json& value) {
  if (value.is_number()) {
    double number = value.get<double>();
    return absl::StrCat("<td class=\"number\" title=\"", JsonNumber(number), "\">", Number(number),
                        "</td>");
  }
  if (value.is_null()) return "<td class=\"number quiet\">undefined</td>";
  return absl::StrCat("<td>", Escape(value.is_string() ? value.get<std::string>() : value.dump()),
                      "</td>");
}

}  // namespace radiograph::html
