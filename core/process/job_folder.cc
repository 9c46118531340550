#include "core/process/job_folder.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <set>

#include "absl/strings/str_cat.h"
#include "core/base/digest.h"
#include "core/base/disk_room.h"
#include "core/base/file.h"
#include "core/base/json.h"
#include "core/base/status_macros.h"

namespace radiograph {
namespace {

// 100,000 inputs with long names fit.
constexpr int64_t kJobBytesMax = 256 << 20;
constexpr int64_t kCopyBytes = 1 << 20;

Json InputJson(const JobInput& input) {
  Json files = Json::array();
  for (const NamedBlob& file : input.files) files.push_back({file.name, file.sha256});
  return {{"kind", input.kind},
          {"digest", input.digest},
          {"files", files},
          {"architecture", input.architecture.ToJson()},
          {"roles", input.roles}};
}

absl::StatusOr<Json> Member(const Json& object, const char* name, Json::value_t type) {
  auto it = object.is_object() ? object.find(name) : object.end();
  if (it == object.end() || it->type() != type) {
    return absl::InvalidArgumentError(absl::StrCat("job.json: ", JsonExcerpt(name),
                                                   " is missing or not of its type (",
                                                   Json(type).type_name(), ")"));
  }
  return *it;
}

absl::StatusOr<std::string> Text(const Json& object, const char* name) {
  ASSIGN_OR_RETURN(Json text, Member(object, name, Json::value_t::string));
  return text.get<std::string>();
}

absl::StatusOr<int64_t> Integer(const Json& object, const char* name) {
  auto it = object.is_object() ? object.find(name) : object.end();
  if (it == object.end() || !it->is_number_integer()) {
    return absl::InvalidArgumentError(
        absl::StrCat("job.json: \"", name, "\" is missing or not an integer"));
  }
  return it->get<int64_t>();
}

template <typename Predicate>
bool All(const Json& array, Predicate predicate) {
  return std::all_of(array.begin(), array.end(), predicate);
}

// The value as JSON tells it; NormalizeParams gives it the type that the Spec says.
absl::StatusOr<ParamValue> ParseParam(const std::string& name, const Json& json) {
  if (json.is_null()) return ParamValue();
  if (json.is_boolean()) return ParamValue(json.get<bool>());
  if (json.is_number_integer()) return ParamValue(json.get<int64_t>());
  if (json.is_number()) return ParamValue(json.get<double>());
  if (json.is_string()) return ParamValue(json.get<std::string>());
  auto is_integer = [](const Json& v) { return v.is_number_integer(); };
  auto is_number = [](const Json& v) { return v.is_number(); };
  auto is_string = [](const Json& v) { return v.is_string(); };
  if (json.is_array()) {
    if (All(json, is_integer)) return ParamValue(json.get<std::vector<int64_t>>());
    if (All(json, is_number)) return ParamValue(json.get<std::vector<double>>());
    if (All(json, is_string)) return ParamValue(json.get<std::vector<std::string>>());
  } else if (json.is_object() && All(json, is_string)) {
    return ParamValue(json.get<std::map<std::string, std::string>>());
  }
  return absl::InvalidArgumentError(absl::StrCat("job.json: parameter ", JsonExcerpt(name),
                                                 " is of no kind that a parameter can have"));
}

// Not by the library's copy, which makes an I/O error of a full disk and does not say which one.
absl::Status Copy(const std::string& from, const std::string& to) {
  ASSIGN_OR_RETURN(UniqueFd source, OpenFile(from, O_RDONLY));
  ASSIGN_OR_RETURN(UniqueFd sink, OpenFile(to, O_WRONLY | O_CREAT | O_EXCL));
  ASSIGN_OR_RETURN(const int64_t size, FileSize(source.get(), from));
  RETURN_IF_ERROR(CheckRoom(to, size, absl::StrCat("a copy of ", from)));
  std::string chunk(kCopyBytes, '\0');
  while (true) {
    ASSIGN_OR_RETURN(const int64_t got, ReadSome(source.get(), absl::MakeSpan(chunk), from));
    if (got == 0) return absl::OkStatus();
    RETURN_IF_ERROR(WriteAll(sink.get(), absl::string_view(chunk).substr(0, got), to));
  }
}

absl::StatusOr<JobInput> ParseInput(const Json& json) {
  JobInput input;
  ASSIGN_OR_RETURN(input.kind, Text(json, "kind"));
  ASSIGN_OR_RETURN(input.digest, Text(json, "digest"));
  ASSIGN_OR_RETURN(Json files, Member(json, "files", Json::value_t::array));
  for (const Json& file : files) {
    if (!file.is_array() || file.size() != 2 || !file[0].is_string() || !file[1].is_string() ||
        !IsSha256(file[1].get<std::string>())) {
      return absl::InvalidArgumentError(absl::StrCat(
          "job.json: a file is no pair of name and SHA-256: ", JsonExcerpt(file.dump())));
    }
    input.files.push_back({file[0].get<std::string>(), file[1].get<std::string>()});
  }
  ASSIGN_OR_RETURN(Json architecture, Member(json, "architecture", Json::value_t::object));
  ASSIGN_OR_RETURN(input.architecture, Architecture::FromJson(architecture));
  ASSIGN_OR_RETURN(Json roles, Member(json, "roles", Json::value_t::object));
  for (const auto& [role, tensor] : roles.items()) {
    ASSIGN_OR_RETURN(input.roles[role], Text(roles, role.c_str()));
  }
  return input;
}

}  // namespace

std::string SavePath(const std::string& folder) { return folder + "/save.safetensors"; }
std::string LoadPath(const std::string& folder) { return folder + "/load.safetensors"; }

absl::Status LinkOrCopy(const std::string& from, const std::string& to) {
  if (linkat(AT_FDCWD, from.c_str(), AT_FDCWD, to.c_str(), AT_SYMLINK_FOLLOW) == 0) {
    return absl::OkStatus();
  }
  if (errno != EXDEV && errno != EPERM && errno != EMLINK && errno != ENOTSUP) {
    return ErrnoStatus(errno, absl::StrCat("can't link ", from, " to"), to);
  }
  absl::Status copied = Copy(from, to);
  if (copied.ok() && chmod(to.c_str(), 0444) != 0) copied = ErrnoStatus(errno, "can't protect", to);
  if (!copied.ok()) unlink(to.c_str());
  return copied;
}

absl::Status LinkToFile(const std::string& from, const std::string& to) {
  std::error_code error;
  const std::filesystem::path file = std::filesystem::canonical(from, error);
  if (error) return ErrnoStatus(error.value(), "can't resolve", from);
  if (symlink(file.c_str(), to.c_str()) == 0) return absl::OkStatus();
  return ErrnoStatus(errno, "can't create link", to);
}

std::string JobRequest::ToJsonText() const {
  Json all_inputs = Json::object();
  for (const auto& [name, list] : inputs) {
    Json array = Json::array();
    for (const JobInput& input : list) array.push_back(InputJson(input));
    all_inputs[name] = std::move(array);
  }
  Json json = {{"analysis", analysis},
               {"version", version},
               {"params", ToJson(params)},
               {"seed", seed},
               {"inputs", std::move(all_inputs)},
               {"plan", {{"memory_bytes", planned_memory_bytes}, {"memory_help", memory_help}}}};
  return json.dump(-1, ' ', false, Json::error_handler_t::replace);
}

absl::StatusOr<JobRequest> JobRequest::Parse(absl::string_view text) {
  ASSIGN_OR_RETURN(Json json, ParseJson(text, {.bytes_max = kJobBytesMax}));
  JobRequest request;
  ASSIGN_OR_RETURN(request.analysis, Text(json, "analysis"));
  ASSIGN_OR_RETURN(request.version, Integer(json, "version"));
  ASSIGN_OR_RETURN(request.seed, Integer(json, "seed"));
  ASSIGN_OR_RETURN(Json params, Member(json, "params", Json::value_t::object));
  for (const auto& [name, value] : params.items()) {
    ASSIGN_OR_RETURN(request.params[name], ParseParam(name, value));
  }
  ASSIGN_OR_RETURN(Json inputs, Member(json, "inputs", Json::value_t::object));
  for (const auto& [name, list] : inputs.items()) {
    std::vector<JobInput>& artifacts = request.inputs[name];
    if (!list.is_array()) {
      return absl::InvalidArgumentError(
          absl::StrCat("job.json: input ", JsonExcerpt(name), " is not a list of artifacts"));
    }
    for (const Json& artifact : list) {
      ASSIGN_OR_RETURN(JobInput input, ParseInput(artifact));
      artifacts.push_back(std::move(input));
    }
  }
  // Requests of before had no plan.
  if (absl::StatusOr<Json> plan = Member(json, "plan", Json::value_t::object); plan.ok()) {
    ASSIGN_OR_RETURN(request.planned_memory_bytes, Integer(*plan, "memory_bytes"));
    ASSIGN_OR_RETURN(request.memory_help, Text(*plan, "memory_help"));
  }
  return request;
}

absl::Status MakeJobFolder(const std::string& folder, const JobRequest& request,
                           const std::map<std::string, std::string>& blob_paths, PlaceFile place) {
  RETURN_IF_ERROR(MakeFolders(folder + "/blobs"));
  RETURN_IF_ERROR(MakeFolders(folder + "/out"));
  std::set<std::string> linked;  // one blob may serve several inputs
  for (const auto& [name, artifacts] : request.inputs) {
    for (const JobInput& artifact : artifacts) {
      for (const NamedBlob& file : artifact.files) {
        if (!linked.insert(file.sha256).second) continue;
        auto path = blob_paths.find(file.sha256);
        if (!IsSha256(file.sha256) || path == blob_paths.end()) {
          return absl::NotFoundError(absl::StrCat("input ", name, ": no file is known for blob ",
                                                  file.sha256, " (", file.name, ")"));
        }
        RETURN_IF_ERROR(place(path->second, absl::StrCat(folder, "/blobs/", file.sha256)));
      }
    }
  }
  return WriteFile(folder + "/job.json", request.ToJsonText());
}

}  // namespace radiograph
