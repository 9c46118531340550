#include "core/artifact/tensor_files.h"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <optional>
#include <set>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "core/base/json.h"
#include "core/base/status_macros.h"

namespace radiograph {
namespace {

constexpr absl::string_view kTensors = ".safetensors";
constexpr char kWhole[] = "model.safetensors";
constexpr size_t kHeaderNotesMax = 8;  // different ones

// Of an index: tensor -> file.
using WeightMap = std::map<std::string, std::string>;

absl::StatusOr<WeightMap> ParseIndex(absl::string_view text) {
  ASSIGN_OR_RETURN(const Json index,
                   ParseJson(text, {.bytes_max = kIndexBytesMax, .python_literals = true}));
  const auto map = index.is_object() ? index.find("weight_map") : index.end();
  if (!index.is_object() || map == index.end() || !map->is_object()) {
    return absl::InvalidArgumentError("its weight_map is missing or no object");
  }
  WeightMap weights;
  for (const auto& [tensor, file] : map->items()) {
    if (!file.is_string()) {
      return absl::InvalidArgumentError(
          absl::StrCat("the file of ", JsonExcerpt(tensor), " is no text"));
    }
    weights[tensor] = file.get<std::string>();
  }
  return weights;
}

class Reader {
 public:
  Reader(ArtifactKind kind, absl::Span<const SourceFile> files) : kind_(kind), files_(files) {}

  absl::StatusOr<TensorFiles> Read() {
    RETURN_IF_ERROR(ReadIndex());
    ChooseFiles();
    RETURN_IF_ERROR(ReadHeaders());
    RETURN_IF_ERROR(Merge());
    NoteHeaders();
    CompareWithIndex();
    NotePassedOver();
    return std::move(result_);
  }

 private:
  void Note(std::string sentence) { result_.notes.push_back(std::move(sentence)); }
  bool Has(absl::string_view name) const {
    return std::any_of(files_.begin(), files_.end(),
                       [&](const SourceFile& file) { return file.name == name; });
  }

  absl::Status ReadIndex() {
    for (const SourceFile& file : files_) {
      if (file.name != kIndexFile) continue;
      absl::StatusOr<std::string> text = ReadSmall(file, kIndexBytesMax);
      if (!text.ok() && !absl::IsInvalidArgument(text.status())) return text.status();
      absl::StatusOr<WeightMap> index = text.ok() ? ParseIndex(*text) : text.status();
      if (index.ok()) {
        index_ = *std::move(index);
      } else {
        index_unused_ = true;
        Note(absl::StrCat(
            kIndexFile, " was not understood and is passed over: ", index.status().message(), "."));
      }
    }
    return absl::OkStatus();
  }

  // Without headers: by the names of the files alone.
  void ChooseFiles() {
    std::set<std::string> named;
    if (index_.has_value()) {
      for (const auto& [tensor, file] : *index_) named.insert(file);
    }
    const bool by_index = std::any_of(files_.begin(), files_.end(), [&](const SourceFile& file) {
      return named.contains(file.name);
    });
    if (kind_ == ArtifactKind::kModel && Has(kWhole) && !named.contains(kWhole)) {
      if (index_.has_value()) {
        Note(absl::StrCat(kWhole, " is read, as common loaders do; ", kIndexFile,
                          ", which does not name it, is passed over",
                          by_index ? " with the shards that it names." : "."));
        index_.reset();
        index_unused_ = true;
      }
      named = {kWhole};
    } else if (!by_index) {
      named.clear();  // all files are read
    }
    for (const SourceFile& file : files_) {
      if (!absl::EndsWith(file.name, kTensors)) continue;
      const bool taken = named.empty() || named.contains(file.name);
      (taken ? taken_ : passed_over_).push_back(&file);
    }
    if (!index_.has_value()) return;
    for (const std::string& file : named) {
      if (!Has(file)) named_files_missing_.insert(file);
    }
  }

  absl::Status ReadHeaders() {
    for (const SourceFile* file : taken_) {
      ASSIGN_OR_RETURN(const UniqueFd fd, file->open());
      ASSIGN_OR_RETURN(headers_.emplace_back(), safetensors::ReadHeader(fd.get(), file->name));
    }
    return absl::OkStatus();
  }

  // What the headers of shards say is mostly the same.
  void NoteHeaders() {
    std::map<std::string, std::vector<std::string>> files_of;
    for (size_t i = 0; i < headers_.size(); ++i) {
      for (const std::string& note : headers_[i].notes) files_of[note].push_back(taken_[i]->name);
    }
    size_t noted = 0;
    for (const auto& [note, files] : files_of) {
      if (noted++ == kHeaderNotesMax) break;
      Note(absl::StrCat(note,
                        headers_.size() > 1 ? absl::StrCat(" So in ", SomeOf(files), ".") : ""));
    }
  }

  // Whether the tensor of file `b` goes before the one of the same name of file `a`; nothing: who
  // knows.
  std::optional<bool> GoesBefore(const safetensors::TensorInfo& a, const std::string& file_a,
                                 const safetensors::TensorInfo& b,
                                 const std::string& file_b) const {
    if (a.same_as.empty() != b.same_as.empty()) return b.same_as.empty();
    if (!index_.has_value()) return std::nullopt;
    const auto said = index_->find(a.name);
    if (said == index_->end() || (said->second != file_a && said->second != file_b)) {
      return std::nullopt;
    }
    return said->second == file_b;
  }

  absl::Status Merge() {
    std::map<std::string, std::pair<size_t, const safetensors::TensorInfo*>> by_name;
    std::vector<std::string> twice;
    for (size_t i = 0; i < headers_.size(); ++i) {
      for (const safetensors::TensorInfo& tensor : headers_[i].tensors) {
        const auto [found, fresh] = by_name.try_emplace(tensor.name, i, &tensor);
        if (fresh) continue;
        const std::string &other = taken_[found->second.first]->name, &file = taken_[i]->name;
        const std::optional<bool> before = GoesBefore(*found->second.second, other, tensor, file);
        if (!before.has_value()) {
          return absl::InvalidArgumentError(
              absl::StrCat("the tensor ", JsonExcerpt(tensor.name), " is in ", other, " and in ",
                           file, ": these are two models; name the file that is meant"));
        }
        if (tensor.same_as.empty() && found->second.second->same_as.empty())
          twice.push_back(tensor.name);
        if (*before) found->second = {i, &tensor};
      }
    }
    if (!twice.empty()) {
      Note(absl::StrCat("Where two files hold a tensor, ", kIndexFile, " decides: ", SomeOf(twice),
                        "."));
    }
    for (const auto& [name, place] : by_name) {
      result_.tensors.push_back(*place.second);
      result_.file_of[name] = taken_[place.first]->name;
    }
    return absl::OkStatus();
  }

  void CompareWithIndex() {
    if (!index_.has_value()) return;
    std::vector<std::string> elsewhere, extra;
    for (const auto& [tensor, file] : *index_) {
      const auto held = result_.file_of.find(tensor);
      if (held == result_.file_of.end()) {
        result_.missing.push_back(tensor);
      } else if (held->second != file) {
        elsewhere.push_back(tensor);
      }
    }
    for (const safetensors::TensorInfo& tensor : result_.tensors) {
      if (tensor.same_as.empty() && !index_->contains(tensor.name)) extra.push_back(tensor.name);
    }
    if (!named_files_missing_.empty()) {
      const std::vector<std::string> files(named_files_missing_.begin(),
                                           named_files_missing_.end());
      Note(absl::StrCat(kIndexFile, " names files that are not there: ", SomeOf(files), "."));
    }
    if (!result_.missing.empty()) {
      Note(absl::StrCat(kIndexFile, " names tensors that no file holds: ", SomeOf(result_.missing),
                        "."));
    }
    if (!elsewhere.empty()) {
      Note(absl::StrCat("Tensors are in another file than ", kIndexFile,
                        " says: ", SomeOf(elsewhere), "."));
    }
    if (!extra.empty()) {
      Note(absl::StrCat("Tensors that ", kIndexFile,
                        " leaves out are read all the same: ", SomeOf(extra), "."));
    }
  }

  void NotePassedOver() {
    for (const SourceFile* file : passed_over_) result_.passed_over.push_back(file->name);
    if (!result_.passed_over.empty()) {
      Note(absl::StrCat("Files that were passed over: ", SomeOf(result_.passed_over), "."));
    }
    if (index_unused_) result_.passed_over.push_back(kIndexFile);
  }

  const ArtifactKind kind_;
  const absl::Span<const SourceFile> files_;
  std::optional<WeightMap> index_;
  bool index_unused_ = false;
  std::vector<const SourceFile*> taken_, passed_over_;
  std::vector<safetensors::Header> headers_;  // of taken_
  std::set<std::string> named_files_missing_;
  TensorFiles result_;
};

}  // namespace

absl::StatusOr<TensorFiles> ReadTensorFiles(ArtifactKind kind, absl::Span<const SourceFile> files) {
  return Reader(kind, files).Read();
}

absl::StatusOr<std::string> ReadSmall(const SourceFile& file, int64_t bytes_max) {
  ASSIGN_OR_RETURN(const UniqueFd fd, file.open());
  ASSIGN_OR_RETURN(const int64_t size, FileSize(fd.get(), file.name));
  if (size > bytes_max) {
    return absl::InvalidArgumentError(
        absl::StrCat(file.name, " has ", size, " bytes; at most ", bytes_max, " are allowed"));
  }
  std::string text(size, '\0');
  RETURN_IF_ERROR(ReadAt(fd.get(), 0, absl::MakeSpan(text), file.name));
  return text;
}

std::string SomeOf(absl::Span<const std::string> names, size_t shown) {
  const size_t count = std::min(shown, names.size());
  std::vector<std::string> first;
  for (const std::string& name : names.subspan(0, count)) first.push_back(JsonExcerpt(name));
  const size_t more = names.size() - count;
  return absl::StrCat(absl::StrJoin(first, ", "),
                      more == 0 ? "" : absl::StrCat(" and ", more, " more"));
}

}  // namespace radiograph
