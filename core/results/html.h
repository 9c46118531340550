// Text from outside as HTML, and numbers for people.
#ifndef RADIOGRAPH_CORE_RESULTS_HTML_H_
#define RADIOGRAPH_CORE_RESULTS_HTML_H_

#include <string>

#include "absl/strings/string_view.h"
#include "core/base/json.h"

namespace radiograph::html {

// For the inside of an element or of a quoted attribute.
std::string Escape(absl::string_view text);

// JSON for the inside of a <script>: no "</script>", no "<!--", no line ends that JavaScript knows
// and JSON doesn't. `canonical` is JSON; it keeps its meaning.
std::string EscapeScript(absl::string_view canonical);

// Four significant digits: "0.9667", "1.23e-16", "1797".
std::string Number(double value);

// The member `name`; null when there is none, or no object.
const Json& Member(const Json& object, const char* name);
// The member `name` as text; empty when it isn't there or not a string.
std::string Text(const Json& object, const char* name);
// The member `name`, or an empty list when it isn't there or not a list.
const Json& List(const Json& object, const char* name);

// A number, text or null as table cell: "<td>...</td>", numbers to the right with all digits as
// tooltip.
std::string Cell(const Json& value);

}  // namespace radiograph::html

#endif  // RADIOGRAPH_CORE_RESULTS_HTML_H_
