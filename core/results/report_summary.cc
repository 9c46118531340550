#include <nlohmann/json.hpp>
#include <tuple>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "core/results/html.h"
#include "core/results/report_sections.h"

namespace radiograph::report {
namespace {

using html::Escape;
using html::List;
using html::Text;

std::string Card(const Json& metric) {
  std::string interval = Interval(metric);
  if (!interval.empty()) interval = absl::StrCat("<p class=\"help\">", Escape(interval), "</p>");
  return absl::StrCat("<div class=\"card\"><p class=\"name\">",
                      Escape(Spoken(Text(metric, "name"))), "</p><p class=\"value\">",
                      html::Number(html::Member(metric, "value").get<double>()), " <small>",
                      Escape(Text(metric, "unit")), "</small></p>", interval, "<p class=\"help\">",
                      Escape(Text(metric, "description")), "</p></div>\n");
}

std::string Cards(const Json& result) {
  std::string cards;
  int64_t count = 0;
  for (const Json& metric : List(result, "metrics")) {
    if (!html::Member(metric, "value").is_number() || count == kCardsMax) continue;
    cards += Card(metric);
    ++count;
  }
  return cards.empty() ? "" : absl::StrCat("<div class=\"cards\">\n", cards, "</div>\n");
}

// The colour of a verdict whose word is known; others stay neutral.
const char* VerdictClass(absl::string_view value) {
  if (value == "PASS" || value == "green") return "good";
  if (value == "INCONCLUSIVE" || value == "amber") return "warning";
  if (value == "FAIL" || value == "red") return "alarm";
  return "";
}

std::string Verdicts(const Json& result) {
  std::string items;
  for (const Json& verdict : List(result, "verdicts")) {
    std::string value = Text(verdict, "value");
    absl::StrAppend(&items, "<li class=\"", VerdictClass(value), "\">",
                    Escape(Spoken(Text(verdict, "name"))), ": <b>", Escape(value), "</b></li>\n");
  }
  return items.empty() ? "" : absl::StrCat("<ul class=\"verdicts\">\n", items, "</ul>\n");
}

// Warnings and alarms in one line each, before anything else is believed.
std::string Notices(const Json& result) {
  std::string items;
  bool alarm = false;
  for (const Json& finding : List(result, "findings")) {
    std::string level = Text(finding, "level");
    if (level != "warning" && level != "alarm") continue;
    alarm = alarm || level == "alarm";
    absl::StrAppend(&items, "<p class=\"", Escape(level), "\"><span class=\"level\">",
                    Escape(Spoken(level)), ":</span> ", Escape(Text(finding, "text")), "</p>\n");
  }
  if (items.empty()) return "";
  return absl::StrCat("<div class=\"notices", alarm ? " alarm" : "", "\">\n", items, "</div>\n");
}

// Where each name that a finding may give as evidence stands on the page.
std::string EvidenceLink(const Json& result, const std::string& name) {
  for (const char* kind : {"figures", "metrics", "tables", "arrays"}) {
    for (const Json& one : List(result, kind)) {
      if (Text(one, "name") != name) continue;
      return absl::StrCat("<a href=\"#", kind, "-", Escape(name), "\"><code>", Escape(name),
                          "</code></a>");
    }
  }
  return absl::StrCat("<code>", Escape(name), "</code>");
}

std::string OneFinding(const Json& result, const Json& finding) {
  std::string level = Text(finding, "level"), caveat = Text(finding, "caveat");
  std::string article = absl::StrCat("<article class=\"finding ", Escape(level), "\">\n<p>");
  if (level != "info") {
    absl::StrAppend(&article, "<span class=\"level\">", Escape(Spoken(level)), ":</span> ");
  }
  absl::StrAppend(&article, Escape(Text(finding, "text")), "</p>\n");
  if (!caveat.empty()) {
    absl::StrAppend(&article, "<p class=\"quiet\">Caveat: ", Escape(caveat), "</p>\n");
  }
  absl::StrAppend(&article, "<p class=\"evidence\"><code>", Escape(Text(finding, "code")),
                  "</code>");
  const char* before = " &middot; evidence: ";
  for (const Json& name : List(finding, "evidence")) {
    if (!name.is_string()) continue;
    absl::StrAppend(&article, before, EvidenceLink(result, name));
    before = ", ";
  }
  return absl::StrCat(article, "</p>\n</article>\n");
}

}  // namespace

// "effective_rank_mean" -> "Effective rank mean".
std::string Spoken(absl::string_view name) {
  std::string spoken = absl::StrReplaceAll(name, {{"_", " "}});
  if (!spoken.empty() && spoken[0] >= 'a' && spoken[0] <= 'z') spoken[0] -= 'a' - 'A';
  return spoken;
}

std::string Interval(const Json& metric) {
  const Json &low = html::Member(metric, "low"), &high = html::Member(metric, "high");
  if (!low.is_number() && !high.is_number()) return "";
  auto end = [](const Json& value) {
    return value.is_number() ? html::Number(value) : "unbounded";
  };
  std::string text = absl::StrCat(end(low), " to ", end(high));
  const Json& level = html::Member(metric, "level");
  if (level.is_number())
    absl::StrAppend(&text, " (", html::Number(100 * level.get<double>()), "%)");
  return text;
}

std::string Summary(const Json& result) {
  const Json& analysis = html::Member(result, "analysis");
  std::string links;
  for (auto [id, title, list] : {std::tuple{"figures", "Figures", "figures"},
                                 {"findings", "Findings", "findings"},
                                 {"numbers", "All numbers", "metrics"}}) {
    if (!List(result, list).empty())
      absl::StrAppend(&links, "<a href=\"#", id, "\">", title, "</a>\n");
  }
  return absl::StrCat("<header>\n<p class=\"eyebrow\">Radiograph report</p>\n<h1>",
                      Escape(Text(analysis, "name")), " <small>version ",
                      Escape(html::Member(analysis, "version").dump()), "</small></h1>\n<nav>\n",
                      links, "<a href=\"#provenance\">Where it comes from</a>\n</nav>\n</header>\n",
                      Verdicts(result), Notices(result), Cards(result));
}

std::string Figures(const Json& result, const std::vector<std::string>& figures) {
  if (figures.empty()) return "";
  std::string html =
      "<h2 id=\"figures\">Figures</h2>\n<noscript><p>Figures need JavaScript.</p></noscript>\n";
  const Json& list = List(result, "figures");
  for (size_t i = 0; i < figures.size(); ++i) {
    std::string title = Escape(Text(list[i], "title"));
    absl::StrAppend(
        &html, "<figure id=\"figures-", Escape(Text(list[i], "name")), "\">\n<h3>", title,
        "</h3>\n<figcaption>", Escape(Text(list[i], "caption")),
        "</figcaption>\n<div class=\"scroll\"><div class=\"plot\" role=\"img\" aria-label=\"",
        title, "\"></div></div>\n<script type=\"application/json\">",
        html::EscapeScript(figures[i]), "</script>\n</figure>\n");
  }
  return html;
}

std::string Findings(const Json& result) {
  std::string items;
  for (const Json& finding : List(result, "findings")) items += OneFinding(result, finding);
  return items.empty() ? "" : absl::StrCat("<h2 id=\"findings\">Findings</h2>\n", items);
}

}  // namespace radiograph::report
