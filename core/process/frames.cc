#include "core/process/frames.h"

#include <map>
#include <nlohmann/json.hpp>

#include "absl/strings/cord.h"
#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "core/base/file.h"
#include "core/base/json.h"
#include "core/base/status_macros.h"

namespace radiograph {
namespace {

std::string Line(const Json& json) {
  return json.dump(-1, ' ', false, Json::error_handler_t::replace) + "\n";
}

std::string Cut(absl::string_view text) { return std::string(text.substr(0, kMessageBytesMax)); }

// Payloads are bytes of any kind.
Json PayloadJson(const absl::Status& status) {
  Json payload = Json::object();
  status.ForEachPayload([&](absl::string_view url, const absl::Cord& bytes) {
    payload[std::string(url)] = absl::Base64Escape(std::string(bytes));
  });
  return payload;
}

Json ToJson(const ReadyFrame& frame) {
  Json analyses = Json::array();
  for (const auto& [name, version] : frame.analyses) analyses.push_back({name, version});
  return {{"ready", frame.engine.ToJson()},
          {"analyses", analyses},
          {"memory_bytes", frame.memory_bytes}};
}
Json ToJson(const StartedFrame&) { return {{"started", true}}; }
Json ToJson(const Progress& progress) {
  return {{"progress",
           {{"fraction", progress.fraction},
            {"phase", Cut(progress.phase)},
            {"message", Cut(progress.message)}}}};
}
Json ToJson(const AskFrame& frame) {
  return {{frame.what == AskFrame::What::kSave ? "save" : "load",
           {{"id", frame.id}, {"key", frame.name.key}, {"memo", frame.name.memo}}}};
}
Json ToJson(const DoneFrame& frame) {
  return {{"done",
           {{"code", frame.status.raw_code()},
            {"message", Cut(frame.status.message())},
            {"payload", PayloadJson(frame.status)},
            {"seconds", frame.seconds},
            {"peak_host_bytes", frame.peak_host_bytes},
            {"peak_device_bytes", frame.peak_device_bytes}}}};
}

// A path is bytes, which JSON would not carry: it goes as ASCII with C escapes.
Json ToJson(const RunFrame& frame) {
  return {{"run", absl::CHexEscape(frame.folder)}, {"keeps", frame.keeps}};
}
Json ToJson(const CancelFrame&) { return {{"cancel", true}}; }
Json ToJson(const AnswerFrame& frame) {
  return {{"answer",
           {{"id", frame.id},
            {"code", frame.status.raw_code()},
            {"message", Cut(frame.status.message())}}}};
}

absl::Status NotAFrame(absl::string_view line) {
  return absl::InvalidArgumentError(
      absl::StrCat("no message of the protocol: ", absl::CHexEscape(line.substr(0, 200))));
}

// The member of an object if it is there and has the type of `into`.
bool Get(const Json& json, const char* name, std::string* into) {
  auto it = json.find(name);
  if (it == json.end() || !it->is_string()) return false;
  *into = it->get<std::string>();
  return true;
}
bool Get(const Json& json, const char* name, int64_t* into) {
  auto it = json.find(name);
  if (it == json.end() || !it->is_number_integer()) return false;
  *into = it->get<int64_t>();
  return true;
}
bool Get(const Json& json, const char* name, double* into) {
  auto it = json.find(name);
  if (it == json.end() || !it->is_number()) return false;
  *into = it->get<double>();
  return true;
}

std::optional<ReadyFrame> ParseReady(const Json& json) {
  ReadyFrame frame;
  absl::StatusOr<Engine> engine = Engine::FromJson(json["ready"]);
  const Json analyses = json.value("analyses", Json());
  if (!engine.ok() || !analyses.is_array() || !Get(json, "memory_bytes", &frame.memory_bytes)) {
    return std::nullopt;
  }
  frame.engine = *std::move(engine);
  for (const Json& entry : analyses) {
    if (!entry.is_array() || entry.size() != 2 || !entry[0].is_string() ||
        !entry[1].is_number_integer()) {
      return std::nullopt;
    }
    frame.analyses.emplace_back(entry[0].get<std::string>(), entry[1].get<int64_t>());
  }
  return frame;
}

std::optional<Progress> ParseProgress(const Json& json) {
  Progress progress;
  if (!json.is_object() || !Get(json, "fraction", &progress.fraction) ||
      !Get(json, "phase", &progress.phase) || !Get(json, "message", &progress.message)) {
    return std::nullopt;
  }
  return progress;
}

std::optional<AskFrame> ParseAsk(AskFrame::What what, const Json& json) {
  AskFrame frame;
  frame.what = what;
  if (!json.is_object() || !Get(json, "id", &frame.id) || !Get(json, "key", &frame.name.key) ||
      !Get(json, "memo", &frame.name.memo)) {
    return std::nullopt;
  }
  return frame;
}

std::optional<AnswerFrame> ParseAnswer(const Json& json) {
  AnswerFrame frame;
  int64_t code = 0;
  std::string message;
  if (!json.is_object() || !Get(json, "id", &frame.id) || !Get(json, "code", &code) ||
      !Get(json, "message", &message)) {
    return std::nullopt;
  }
  frame.status = absl::Status(static_cast<absl::StatusCode>(code), message);
  return frame;
}

std::optional<DoneFrame> ParseDone(const Json& json) {
  DoneFrame frame;
  int64_t code = 0;
  std::string message;
  if (!json.is_object() || !Get(json, "code", &code) || !Get(json, "message", &message) ||
      !Get(json, "seconds", &frame.seconds) ||
      !Get(json, "peak_host_bytes", &frame.peak_host_bytes) ||
      !Get(json, "peak_device_bytes", &frame.peak_device_bytes)) {
    return std::nullopt;
  }
  frame.status = absl::Status(static_cast<absl::StatusCode>(code), message);
  const Json payload = json.value("payload", Json::object());
  if (!payload.is_object()) return std::nullopt;
  for (const auto& [url, value] : payload.items()) {
    std::string bytes;
    if (!value.is_string() || !absl::Base64Unescape(value.get<std::string>(), &bytes)) {
      return std::nullopt;
    }
    frame.status.SetPayload(url, absl::Cord(bytes));
  }
  return frame;
}

}  // namespace

std::string ToLine(const FrameToCompute& frame) {
  return Line(std::visit([](const auto& f) { return ToJson(f); }, frame));
}

std::string ToLine(const FrameFromCompute& frame) {
  return Line(std::visit([](const auto& f) { return ToJson(f); }, frame));
}

absl::StatusOr<FrameToCompute> ParseFrameToCompute(absl::string_view line) {
  absl::StatusOr<Json> json = ParseJson(line);
  if (!json.ok() || !json->is_object()) return NotAFrame(line);
  RunFrame run;
  if (std::string folder; Get(*json, "run", &folder)) {
    if (!absl::CUnescape(folder, &run.folder)) return NotAFrame(line);
    const Json keeps = json->value("keeps", Json(false));
    run.keeps = keeps.is_boolean() && keeps.get<bool>();
    return run;
  }
  if (json->contains("cancel")) return CancelFrame{};
  if (auto it = json->find("answer"); it != json->end()) {
    if (std::optional<AnswerFrame> answer = ParseAnswer(*it)) return *std::move(answer);
  }
  return NotAFrame(line);
}

absl::StatusOr<FrameFromCompute> ParseFrameFromCompute(absl::string_view line) {
  absl::StatusOr<Json> json = ParseJson(line);
  if (!json.ok() || !json->is_object()) return NotAFrame(line);
  if (auto it = json->find("progress"); it != json->end()) {
    if (std::optional<Progress> progress = ParseProgress(*it)) return *std::move(progress);
  } else if (auto it = json->find("save"); it != json->end()) {
    if (std::optional<AskFrame> ask = ParseAsk(AskFrame::What::kSave, *it)) return *std::move(ask);
  } else if (auto it = json->find("load"); it != json->end()) {
    if (std::optional<AskFrame> ask = ParseAsk(AskFrame::What::kLoad, *it)) return *std::move(ask);
  } else if (auto it = json->find("done"); it != json->end()) {
    if (std::optional<DoneFrame> done = ParseDone(*it)) return *std::move(done);
  } else if (json->contains("ready")) {
    if (std::optional<ReadyFrame> ready = ParseReady(*json)) return *std::move(ready);
  } else if (json->contains("started")) {
    return StartedFrame{};
  }
  return NotAFrame(line);
}

std::optional<std::string> LineReader::Next() {
  size_t end = buffer_.find('\n', scanned_);
  if (end == std::string::npos) {
    buffer_.erase(0, begin_);
    begin_ = 0;
    scanned_ = buffer_.size();
    return std::nullopt;
  }
  std::string line = buffer_.substr(begin_, end - begin_);
  begin_ = scanned_ = end + 1;
  return line;
}

absl::StatusOr<bool> LineReader::Fill() {
  if (static_cast<int64_t>(buffer_.size() - begin_) > kLineBytesMax) {
    return absl::ResourceExhaustedError(
        absl::StrCat(label_, " sent a line of more than ", kLineBytesMax, " bytes"));
  }
  char chunk[16 << 10];
  ASSIGN_OR_RETURN(int64_t got, ReadSome(fd_, absl::MakeSpan(chunk), label_));
  buffer_.append(chunk, got);
  return got > 0;
}

}  // namespace radiograph
