#include "core/safetensors/header_parser.h"

#include <limits>
#include <nlohmann/json.hpp>
#include <set>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "core/base/json.h"

namespace radiograph::safetensors {
namespace {

constexpr absl::string_view kMetadataKey = "__metadata__";

// Control characters of ASCII and Latin-1 (U+0000..1F, U+007F..9F) in valid UTF-8.
bool HasControlCharacter(absl::string_view name) {
  for (size_t i = 0; i < name.size(); ++i) {
    unsigned char c = name[i];
    if (c < 0x20 || c == 0x7F) return true;
    if (c == 0xC2 && static_cast<unsigned char>(name[i + 1]) < 0xA0) return true;
  }
  return false;
}

// The first few distinct names of those that were met, for a note.
class FewNames {
 public:
  void Add(const std::string& name) {
    if (names_.size() < kMax || names_.contains(name)) {
      names_.insert(name);
    } else {
      more_ = true;
    }
  }
  bool empty() const { return names_.empty(); }
  std::string Text() const {
    auto excerpt = [](std::string* out, const std::string& name) { *out += JsonExcerpt(name); };
    return absl::StrCat(absl::StrJoin(names_, ", ", excerpt), more_ ? " and more" : "");
  }

 private:
  static constexpr size_t kMax = 3;
  std::set<std::string> names_;
  bool more_ = false;
};

// What the text may hold next, by where we are:
//   kHeader { kEntry: key { kField: key "dtype" | kField: key [ kList ] | kField: key kUnread }
//             or key { kMetadata } }
class Parser : public nlohmann::json_sax<Json> {
 public:
  absl::Status status;
  Header header;

  bool null() override {
    if (PassOver()) return true;
    if (state_ == State::kEntry && key_ == kMetadataKey) return StartMetadata();
    return Wrong("null");
  }
  bool boolean(bool) override { return PassOver() || Wrong("a boolean"); }
  bool binary(binary_t&) override { return Wrong("binary"); }

  // Of numbers with a sign: -0 is one.
  bool number_integer(number_integer_t value) override {
    if (PassOver()) return true;
    if (state_ != State::kList) return Wrong("a number");
    return Fail(Place(), " holds ", value == 0 ? "-" : "", value, "; 0..2^63-1 is allowed");
  }
  bool number_unsigned(number_unsigned_t value) override {
    if (PassOver()) return true;
    if (state_ == State::kList && value > uint64_t{std::numeric_limits<int64_t>::max()}) {
      return Fail(Place(), " holds ", value, "; 0..2^63-1 is allowed");
    }
    return Number(static_cast<int64_t>(value));
  }
  bool number_float(number_float_t, const string_t& text) override {
    if (PassOver()) return true;
    if (state_ != State::kList) return Wrong("a number");
    return Fail(Place(), " holds ", JsonExcerpt(text), ", not an integer of 0..2^63-1");
  }

  bool string(string_t& value) override {
    if (PassOver()) return true;
    if (state_ == State::kMetadata) {
      header.metadata[key_] = value;
      return true;
    }
    if (state_ != State::kField || field_ != kDType) return Wrong("a string");
    return SetDType(value);
  }

  bool start_object(std::size_t) override {
    if (PassOver(+1)) return true;
    if (state_ == State::kHeader) {
      state_ = State::kEntry;
    } else if (state_ == State::kEntry && key_ == kMetadataKey) {
      if (!StartMetadata()) return false;
      state_ = State::kMetadata;
    } else if (state_ == State::kEntry) {
      return StartTensor();
    } else {
      return Wrong("an object");
    }
    return true;
  }

  bool key(string_t& name) override {
    if (PassOver()) return true;
    if (state_ == State::kField) return StartField(name);
    if (state_ == State::kMetadata) return StartMetadataEntry(name);
    key_ = name;
    return true;
  }

  bool end_object() override {
    if (PassOver(-1)) return true;
    if (state_ != State::kField) {
      state_ = state_ == State::kMetadata ? State::kEntry : State::kHeader;
      return true;
    }
    for (Field field : {kDType, kShape, kOffsets}) {
      if (!(seen_ & (1 << field))) return Fail(Tensor(), ": ", kFieldNames[field], " is missing");
    }
    if (offsets_.size() != 2) {
      return Fail(Tensor(), ": data_offsets has ", offsets_.size(), " numbers; 2 are needed");
    }
    header.tensors.back().begin = offsets_[0];
    header.tensors.back().end = offsets_[1];
    state_ = State::kEntry;
    return true;
  }

  bool start_array(std::size_t) override {
    if (PassOver(+1)) return true;
    if (state_ != State::kField || field_ == kDType) return Wrong("a list");
    state_ = State::kList;
    return true;
  }
  bool end_array() override {
    if (PassOver(-1)) return true;
    state_ = State::kField;
    return true;
  }

  bool parse_error(std::size_t position, const std::string&,
                   const nlohmann::detail::exception& error) override {
    absl::string_view reason = error.what();  // "[json.exception...] reason"
    reason.remove_prefix(std::min(reason.size(), reason.find("] ") + 2));
    return Fail("the header is not JSON at byte ", position, ": ",
                absl::CHexEscape(reason.substr(0, 200)));
  }

  std::vector<std::string> Notes() const {
    std::vector<std::string> notes;
    if (!unread_keys_.empty()) {
      notes.push_back(
          absl::StrCat("Keys of tensors that are not read: ", unread_keys_.Text(), "."));
    }
    if (!unknown_dtypes_.empty()) {
      notes.push_back(absl::StrCat("Dtypes that are not known: ", unknown_dtypes_.Text(),
                                   "; the sizes of their tensors are what the offsets say."));
    }
    return notes;
  }

 private:
  enum class State { kHeader, kEntry, kMetadata, kField, kList, kUnread };
  enum Field { kDType, kShape, kOffsets };
  static constexpr absl::string_view kFieldNames[] = {"dtype", "shape", "data_offsets"};

  template <typename... Parts>
  bool Fail(const Parts&... parts) {
    status = absl::InvalidArgumentError(absl::StrCat(parts...));
    return false;
  }

  // True inside the value of a key that is not read. `nesting` is how an event changes its depth.
  bool PassOver(int nesting = 0) {
    if (state_ != State::kUnread) return false;
    unread_depth_ += nesting;
    if (unread_depth_ == 0) state_ = State::kField;
    return true;
  }

  std::string Tensor() const { return absl::StrCat("tensor ", JsonExcerpt(key_)); }

  std::string Place() const {
    switch (state_) {
      case State::kHeader:
        return "the header";
      case State::kEntry:
        return key_ == kMetadataKey ? "__metadata__" : Tensor();
      case State::kMetadata:
        return absl::StrCat("__metadata__: ", JsonExcerpt(key_));
      case State::kField:
      case State::kList:
        return absl::StrCat(Tensor(), ": ", kFieldNames[field_]);
      case State::kUnread:
        break;
    }
    return "";
  }

  bool Wrong(absl::string_view got) {
    absl::string_view wanted = state_ == State::kHeader || state_ == State::kEntry ? "an object"
                               : state_ == State::kMetadata                        ? "a string"
                               : state_ == State::kList                            ? "an integer"
                               : field_ == kDType                                  ? "a string"
                                                                                   : "a list";
    return Fail(Place(), state_ == State::kList ? " holds " : " is ", got, ", not ", wanted);
  }

  bool StartMetadata() {
    if (metadata_seen_) return Fail("the key \"__metadata__\" appears twice");
    metadata_seen_ = true;
    return true;
  }

  bool StartMetadataEntry(const std::string& name) {
    if (header.metadata.contains(name)) {
      return Fail("__metadata__: the key ", JsonExcerpt(name), " appears twice");
    }
    if (static_cast<int64_t>(header.metadata.size()) == kMetadataMax) {
      return Fail("__metadata__ has more than ", kMetadataMax, " entries");
    }
    key_ = name;
    return true;
  }

  bool StartTensor() {
    if (static_cast<int64_t>(header.tensors.size()) == kTensorsMax) {
      return Fail("the header has more than ", kTensorsMax, " tensors");
    }
    if (static_cast<int64_t>(key_.size()) > kNameBytesMax) {
      return Fail(Tensor(), " has a name of ", key_.size(), " bytes; ", kNameBytesMax,
                  " are allowed");
    }
    if (HasControlCharacter(key_)) {
      return Fail("tensor \"", absl::CHexEscape(key_), "\" has a control character in its name");
    }
    header.tensors.push_back({.name = key_, .dtype = DType::kU8, .shape = {}});
    offsets_.clear();
    seen_ = 0;
    state_ = State::kField;
    return true;
  }

  bool StartField(const std::string& name) {
    for (Field field : {kDType, kShape, kOffsets}) {
      if (kFieldNames[field] != name) continue;
      if (seen_ & (1 << field))
        return Fail(Tensor(), ": the key ", JsonExcerpt(name), " appears twice");
      seen_ |= 1 << field;
      field_ = field;
      return true;
    }
    unread_keys_.Add(name);
    unread_depth_ = 0;
    state_ = State::kUnread;
    return true;
  }

  bool SetDType(const std::string& name) {
    if (name.empty() || static_cast<int64_t>(name.size()) > kDTypeBytesMax) {
      return Fail(Tensor(), ": dtype ", JsonExcerpt(name), " has ", name.size(), " bytes; 1..",
                  kDTypeBytesMax, " are allowed");
    }
    if (HasControlCharacter(name)) {
      return Fail(Tensor(), ": dtype \"", absl::CHexEscape(name), "\" has a control character");
    }
    TensorInfo& tensor = header.tensors.back();
    tensor.dtype = DTypeOfName(name);
    if (tensor.dtype != DType::kUnknown) return true;
    tensor.unknown_dtype = name;
    unknown_dtypes_.Add(name);
    return true;
  }

  bool Number(int64_t value) {
    if (state_ != State::kList) return Wrong("a number");
    std::vector<int64_t>& list = field_ == kShape ? header.tensors.back().shape : offsets_;
    int64_t size_max = field_ == kShape ? kRankMax : 2;
    if (static_cast<int64_t>(list.size()) == size_max) {
      return Fail(Place(), " has more than ", size_max, " numbers");
    }
    list.push_back(value);
    return true;
  }

  State state_ = State::kHeader;
  Field field_ = kDType;
  int seen_ = 0;  // bits of Field
  bool metadata_seen_ = false;
  int64_t unread_depth_ = 0;  // of lists and objects
  FewNames unread_keys_, unknown_dtypes_;
  std::string key_;  // of the header or of __metadata__
  std::vector<int64_t> offsets_;
};

}  // namespace

absl::StatusOr<Header> ParseHeaderJson(absl::string_view json) {
  if (json.empty() || json.front() != '{') {
    return absl::InvalidArgumentError("the header does not begin with {");
  }
  // The library takes a NUL for the end of the text.
  if (size_t position = json.find('\0'); position != absl::string_view::npos) {
    return absl::InvalidArgumentError(
        absl::StrCat("the header is not JSON at byte ", position, ": NUL"));
  }
  Parser parser;
  if (!Json::sax_parse(json.begin(), json.end(), &parser)) return parser.status;
  parser.header.notes = parser.Notes();
  return std::move(parser.header);
}

}  // namespace radiograph::safetensors
