#include "client/cli/series.h"

#include <fcntl.h>
#include <glob.h>

#include <algorithm>
#include <filesystem>
#include <set>
#include <system_error>

#include "absl/cleanup/cleanup.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "client/cli/local_files.h"
#include "core/artifact/tensor_files.h"
#include "core/base/file.h"
#include "core/base/status_macros.h"
#include "core/safetensors/header.h"

namespace radiograph::cli {
namespace {

namespace fs = std::filesystem;

constexpr size_t kDigitsMax = 18;  // of a number in a name: they fit 64 bits

bool IsGlob(const std::string& path) {
  std::error_code ignored;
  return path.find_first_of("*?[") != path.npos && !fs::exists(path, ignored);
}

// What lies in a folder, by name.
absl::StatusOr<std::vector<std::string>> Entries(const fs::path& folder) {
  std::vector<std::string> paths;
  std::error_code error;
  for (fs::directory_iterator entry(folder, error), end; !error && entry != end;
       entry.increment(error)) {
    paths.push_back(entry->path().string());
  }
  if (error) return ErrnoStatus(error.value(), "list", folder.string());
  std::sort(paths.begin(), paths.end());
  return paths;
}

absl::StatusOr<std::vector<std::string>> TensorFiles(const std::string& folder) {
  ASSIGN_OR_RETURN(std::vector<std::string> paths, Entries(folder));
  std::erase_if(paths, [](const std::string& path) { return !IsTensorFile(path); });
  return paths;
}

absl::StatusOr<safetensors::Header> HeaderOf(const std::string& path) {
  ASSIGN_OR_RETURN(UniqueFd fd, OpenFile(path, O_RDONLY));
  return safetensors::ReadHeader(fd.get(), path);
}

// Whether a tensor stands in two of the files.
absl::StatusOr<bool> ShareTensors(const std::vector<std::string>& files) {
  std::set<std::string> names;
  for (const std::string& file : files) {
    ASSIGN_OR_RETURN(safetensors::Header header, HeaderOf(file));
    for (const safetensors::TensorInfo& tensor : header.tensors) {
      if (tensor.same_as.empty() && !names.insert(tensor.name).second) return true;
    }
  }
  return false;
}

absl::StatusOr<std::vector<std::string>> Matches(const std::string& pattern) {
  glob_t found = {};
  absl::Cleanup release = [&found] { globfree(&found); };
  const int error = glob(pattern.c_str(), 0, nullptr, &found);
  if (error != 0 && error != GLOB_NOMATCH) {
    return absl::InvalidArgumentError(absl::StrCat(pattern, " can't be matched"));
  }
  std::vector<std::string> paths(found.gl_pathv, found.gl_pathv + found.gl_pathc);
  std::error_code ignored;
  std::erase_if(paths, [&](const std::string& path) {
    return !fs::is_directory(path, ignored) && !IsTensorFile(path);
  });
  if (!paths.empty()) return paths;
  return absl::NotFoundError(absl::StrCat("no .safetensors file or folder matches ", pattern));
}

// Of a folder that is no model itself; else empty.
absl::StatusOr<std::vector<std::string>> ModelsIn(const fs::path& folder) {
  std::error_code ignored;
  for (const char* sign : {kIndexFile, kConfigFile, "model.safetensors"}) {
    if (fs::exists(folder / sign, ignored)) return std::vector<std::string>();
  }
  ASSIGN_OR_RETURN(std::vector<std::string> files, TensorFiles(folder.string()));
  if (!files.empty()) {
    ASSIGN_OR_RETURN(const bool share, ShareTensors(files));
    return share ? files : std::vector<std::string>();
  }
  ASSIGN_OR_RETURN(std::vector<std::string> folders, Entries(folder));
  std::erase_if(folders, [](const std::string& path) { return !HoldsTensors(path); });
  return folders;
}

absl::StatusOr<std::optional<int64_t>> StepInMetadata(const std::string& model) {
  ASSIGN_OR_RETURN(LocalArtifact artifact, FindFiles(model, v1::MODEL));
  for (const LocalFile& file : artifact.files) {
    if (!IsTensorFile(file.path)) continue;
    ASSIGN_OR_RETURN(safetensors::Header header, HeaderOf(file.path));
    int64_t step = 0;
    auto found = header.metadata.find("step");
    if (found == header.metadata.end() || !absl::SimpleAtoi(found->second, &step)) break;
    return step;
  }
  return std::nullopt;
}

// The last number in the name of a file or folder; model.safetensors goes by its folder. A revision
// of a Hugging Face cache is named by a hash, whose digits say nothing.
std::optional<int64_t> NumberInName(const std::string& model) {
  fs::path path = fs::path(model).lexically_normal();
  if (path.filename().empty() || path.filename() == "model.safetensors") path = path.parent_path();
  const std::string name(absl::StripSuffix(path.filename().string(), ".safetensors"));
  const bool hash = name.size() >= 40 && name.find_first_not_of("0123456789abcdef") == name.npos;
  const size_t last = name.find_last_of("0123456789");
  if (hash || last == name.npos) return std::nullopt;
  const size_t before = name.find_last_not_of("0123456789", last);
  const size_t first = before == name.npos ? 0 : before + 1;
  int64_t number = 0;
  if (last + 1 - first > kDigitsMax) return std::nullopt;
  if (!absl::SimpleAtoi(name.substr(first, last + 1 - first), &number)) return std::nullopt;
  return number;
}

absl::Status NoOrder(const std::string& why) {
  return absl::InvalidArgumentError(absl::StrCat(
      why,
      "; give each a `step` in its __metadata__ or a number in its name, or name them one by "
      "one in the order you mean"));
}

absl::Status SetSteps(std::vector<SeriesModel>& models) {
  bool all = true;
  for (SeriesModel& model : models) {
    ASSIGN_OR_RETURN(model.step, StepInMetadata(model.path));
    all = all && model.step.has_value();
  }
  if (all) return absl::OkStatus();
  for (SeriesModel& model : models) {
    model.step = NumberInName(model.path);
    if (!model.step.has_value()) {
      return NoOrder(absl::StrCat("where ", model.path, " stands in the series is not known"));
    }
  }
  return absl::OkStatus();
}

absl::StatusOr<std::vector<std::string>> FindModels(const std::string& path) {
  std::error_code ignored;
  if (IsGlob(path)) return Matches(path);
  if (!fs::is_directory(path, ignored)) return std::vector<std::string>{path};
  ASSIGN_OR_RETURN(std::vector<std::string> models, ModelsIn(path));
  return models.empty() ? std::vector<std::string>{path} : models;
}

}  // namespace

std::string SeriesName(const std::string& path) {
  const size_t glob = IsGlob(path) ? path.find_first_of("*?[") : path.npos;
  if (glob == path.npos) return SuggestName(path);
  const std::string folder = fs::path(path.substr(0, glob)).parent_path().string();
  return SuggestName(folder.empty() ? "." : folder);
}

absl::StatusOr<std::vector<SeriesModel>> FindSeries(const std::string& path, v1::ArtifactKind kind,
                                                    bool list) {
  if (kind != v1::MODEL) return std::vector<SeriesModel>{{path, std::nullopt}};
  ASSIGN_OR_RETURN(const std::vector<std::string> paths, FindModels(path));
  const size_t count_max = list ? kSeriesMax : 1;
  if (paths.size() > count_max) {
    return absl::InvalidArgumentError(
        absl::StrCat(path, " stands for ", paths.size(), " models (", paths[0], ", ...); ",
                     count_max, list ? " are the most that are taken" : " is taken here"));
  }
  std::vector<SeriesModel> models;
  for (const std::string& model : paths) models.push_back({model, std::nullopt});
  if (models.size() == 1) return models;
  RETURN_IF_ERROR(SetSteps(models));
  std::sort(models.begin(), models.end(),
            [](const SeriesModel& a, const SeriesModel& b) { return a.step < b.step; });
  for (size_t i = 1; i < models.size(); ++i) {
    if (models[i].step != models[i - 1].step) continue;
    return NoOrder(absl::StrCat(models[i - 1].path, " and ", models[i].path, " are both step ",
                                *models[i].step));
  }
  return models;
}

}  // namespace radiograph::cli
