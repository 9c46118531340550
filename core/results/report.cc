#include "core/results/report.h"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <vector>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "core/base/digest.h"
#include "core/base/file.h"
#include "core/base/status_macros.h"
#include "core/results/bundle.h"
#include "core/results/html.h"
#include "core/results/report_assets.h"
#include "core/results/report_sections.h"

namespace radiograph {
namespace {

constexpr int64_t kSchema = 1;
constexpr int64_t kJsonBytesMax = int64_t{64} << 20;

absl::StatusOr<Json> ReadJson(const std::string& folder, const std::string& name) {
  ASSIGN_OR_RETURN(std::string text, ReadFile(absl::StrCat(folder, "/", name), kJsonBytesMax));
  absl::StatusOr<Json> json = ParseJson(text, {.bytes_max = kJsonBytesMax});
  if (!json.ok() || !json->is_object()) {
    return absl::InvalidArgumentError(absl::StrCat(
        folder, "/", name, ": ", json.ok() ? "not a JSON object" : json.status().message()));
  }
  return json;
}

absl::StatusOr<Json> ReadResult(const std::string& folder) {
  ASSIGN_OR_RETURN(Json result, ReadJson(folder, "result.json"));
  const Json& schema = html::Member(result, "schema");
  if (schema != kSchema) {
    return absl::InvalidArgumentError(absl::StrCat(folder, "/result.json has schema ",
                                                   schema.dump(), "; this build reads ", kSchema));
  }
  return result;
}

// The figures of result.json in its order. Files are found by the figure's name, never by a path
// from JSON.
absl::StatusOr<std::vector<std::string>> ReadFigures(const std::string& folder, const Json& result,
                                                     const std::vector<std::string>& files) {
  std::vector<std::string> figures;
  for (const Json& figure : html::List(result, "figures")) {
    std::string file = absl::StrCat("figures/", html::Text(figure, "name"), ".json");
    if (std::find(files.begin(), files.end(), file) == files.end()) {
      return absl::NotFoundError(absl::StrCat(folder, "/", file, " is missing"));
    }
    ASSIGN_OR_RETURN(Json json, ReadJson(folder, file));
    ASSIGN_OR_RETURN(std::string canonical, CanonicalJson(json));
    figures.push_back(std::move(canonical));
  }
  return figures;
}

absl::StatusOr<std::string> DigestOf(const std::string& folder,
                                     const std::vector<std::string>& names) {
  std::vector<BundleFile> files;
  for (const std::string& name : names) {
    ASSIGN_OR_RETURN(FileDigest digest, Sha256OfFile(absl::StrCat(folder, "/", name)));
    files.push_back({name, digest.sha256});
  }
  return ResultDigest(std::move(files));
}

// How a Content-Security-Policy names a script that may run.
std::string ScriptHash(absl::string_view script) {
  return absl::StrCat("'sha256-", absl::Base64Escape(absl::HexStringToBytes(Sha256Hex(script))),
                      "'");
}

// Only our two scripts run, and nothing is loaded: what a name or a label smuggles in stays dead.
std::string Policy() {
  return absl::StrCat(
      "default-src 'none'; script-src ", ScriptHash(PlotlyScript()), " ",
      ScriptHash(ReportScript()),
      "; style-src 'unsafe-inline'; img-src data: blob:; base-uri 'none'; form-action 'none'");
}

std::string Head(const Json& result) {
  std::string name = html::Text(html::Member(result, "analysis"), "name");
  return absl::StrCat(
      "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n"
      "<meta http-equiv=\"Content-Security-Policy\" content=\"",
      Policy(),
      "\">\n<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n<title>",
      html::Escape(name), " - Radiograph report</title>\n<style>\n", ReportStyle(),
      "</style>\n</head>\n");
}

}  // namespace

absl::StatusOr<std::string> RenderReport(const std::string& folder) {
  ASSIGN_OR_RETURN(std::vector<std::string> files, BundleFiles(folder));
  ASSIGN_OR_RETURN(Json result, ReadResult(folder));
  ASSIGN_OR_RETURN(Json run, ReadJson(folder, "run.json"));
  ASSIGN_OR_RETURN(std::vector<std::string> figures, ReadFigures(folder, result, files));
  ASSIGN_OR_RETURN(std::string digest, DigestOf(folder, files));
  std::string page = absl::StrCat(Head(result), "<body>\n", report::Summary(result), "<main>\n");
  absl::StrAppend(&page, report::Figures(result, figures), report::Findings(result),
                  report::Numbers(result), report::Provenance(result, run, digest),
                  "</main>\n<footer>Made by Radiograph. This page is one file "
                  "and loads nothing from the network.</footer>\n");
  if (!figures.empty()) {
    absl::StrAppend(&page, "<script>", PlotlyScript(), "</script>\n<script>", ReportScript(),
                    "</script>\n");
  }
  return absl::StrCat(page, "</body>\n</html>\n");
}

}  // namespace radiograph
