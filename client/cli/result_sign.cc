#include "client/cli/result_sign.h"

#include <sys/stat.h>

#include <nlohmann/json.hpp>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "core/base/digest.h"
#include "core/base/file.h"
#include "core/base/json.h"
#include "core/base/status_macros.h"

namespace radiograph::cli {
namespace {

constexpr char kFiles[] = "files";
constexpr char kReplaces[] = "replaces";

bool IsRegular(const std::string& path) {
  struct stat info;
  return lstat(path.c_str(), &info) == 0 && S_ISREG(info.st_mode);
}

// run.json of ours; else null.
Json ReadRun(const std::string& folder) {
  const std::string path = absl::StrCat(folder, "/", kRunFile);
  if (!IsRegular(path)) return nullptr;
  absl::StatusOr<std::string> text = ReadFile(path, kRunBytesMax);
  if (!text.ok()) return nullptr;
  absl::StatusOr<Json> run = ParseJson(*text, {.bytes_max = kRunBytesMax});
  if (!run.ok() || !run->is_object()) return nullptr;
  auto has = [&run](const char* name, auto is_right) {
    auto member = run->find(name);
    return member != run->end() && ((*member).*is_right)();
  };
  const bool ours = has("engine", &Json::is_object) && has("notes", &Json::is_object) &&
                    has("seconds", &Json::is_number) && has("peak_host_bytes", &Json::is_number);
  return ours ? *std::move(run) : Json(nullptr);
}

// A foreign list must not name files elsewhere.
bool StaysBelow(absl::string_view name) {
  for (absl::string_view part : absl::StrSplit(name, '/')) {
    if (part.empty() || part == "." || part == ".." || part.find('\0') != part.npos) return false;
  }
  return true;
}

absl::StatusOr<std::string> DigestOfRun(Json run) {
  run.erase(kFiles);
  run.erase(kReplaces);
  ASSIGN_OR_RETURN(const std::string text, CanonicalJson(run));
  return Sha256Hex(text);
}

absl::StatusOr<Json> ParseRun(const std::string& text) {
  ASSIGN_OR_RETURN(Json run, ParseJson(text, {.bytes_max = kRunBytesMax}));
  if (run.is_object()) return run;
  return absl::DataLossError(absl::StrCat(kRunFile, " is no JSON object"));
}

}  // namespace

std::string DigestAt(const std::string& path) {
  if (!IsRegular(path)) return "";
  absl::StatusOr<FileDigest> digest = Sha256OfFile(path);
  return digest.ok() ? digest->sha256 : "";
}

bool IsResultFolder(const std::string& folder) { return ReadRun(folder).is_object(); }

ResultSign ReadSign(const std::string& folder) {
  ResultSign sign;
  const Json run = ReadRun(folder);
  if (!run.is_object() || !run.contains(kFiles)) return sign;
  for (const char* list : {kFiles, kReplaces}) {
    auto files = run.find(list);
    if (files == run.end() || !files->is_object()) continue;
    for (const auto& [name, digest] : files->items()) {
      if (digest.is_string() && StaysBelow(name))
        sign.files[name].insert(digest.get<std::string>());
    }
  }
  return sign;
}

bool ResultSign::Owns(const std::string& folder, const std::string& name) const {
  auto listed = files.find(name);
  if (listed == files.end()) return false;
  if (name != kRunFile) return listed->second.contains(DigestAt(absl::StrCat(folder, "/", name)));
  const Json run = ReadRun(folder);
  if (!run.is_object()) return false;
  absl::StatusOr<std::string> digest = DigestOfRun(run);
  return digest.ok() && listed->second.contains(*digest);
}

absl::StatusOr<std::string> RunDigest(const std::string& run_json) {
  ASSIGN_OR_RETURN(Json run, ParseRun(run_json));
  return DigestOfRun(std::move(run));
}

absl::StatusOr<std::string> SignedRun(const std::string& run_json, FileDigests files,
                                      const FileDigests& replaces) {
  ASSIGN_OR_RETURN(Json run, ParseRun(run_json));
  ASSIGN_OR_RETURN(files[kRunFile], DigestOfRun(run));
  run[kFiles] = files;
  run.erase(kReplaces);
  if (!replaces.empty()) run[kReplaces] = replaces;
  ASSIGN_OR_RETURN(std::string text, CanonicalJson(run));
  return text + "\n";
}

}  // namespace radiograph::cli
