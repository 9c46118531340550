// The protocol between an agent and a compute process: one JSON object a line, as compute_process.h
// shows. Both sides write and read it with these functions.
#ifndef RADIOGRAPH_CORE_PROCESS_FRAMES_H_
#define RADIOGRAPH_CORE_PROCESS_FRAMES_H_

#include <optional>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "core/process/compute_process.h"
#include "core/process/keeper.h"
#include "core/results/result.h"

namespace radiograph {

// A longer line ends the conversation: neither side holds more than this of the other's words.
inline constexpr int64_t kLineBytesMax = 1 << 20;
// Longer messages of a status are cut before they are sent.
inline constexpr size_t kMessageBytesMax = 64 << 10;

// To compute.
struct RunFrame {
  std::string folder;
  bool keeps = false;  // AskFrame is answered: there is a Keeper
};
struct CancelFrame {};
struct AnswerFrame {  // to the AskFrame of that id
  int64_t id = 0;
  absl::Status status;
};
using FrameToCompute = std::variant<RunFrame, CancelFrame, AnswerFrame>;

// From compute.
struct ReadyFrame {
  Engine engine;
  std::vector<std::pair<std::string, int64_t>> analyses;
  int64_t memory_bytes = 0;  // of the device, that a job may use
};
struct StartedFrame {};
// For the Keeper. The bytes are <job folder>/save.safetensors, to be taken before the answer, or
// will be <job folder>/load.safetensors by then. Compute asks for one thing at a time, and waits
// for the answer unless it is cancelled meanwhile: that answer then comes late, and is known by its
// id.
struct AskFrame {
  enum class What { kSave, kLoad };
  int64_t id = 0;
  What what = What::kLoad;
  KeptName name;
};
struct DoneFrame {
  absl::Status status;  // with its payloads
  double seconds = 0;
  int64_t peak_host_bytes = 0;
  int64_t peak_device_bytes = 0;
};
using FrameFromCompute = std::variant<ReadyFrame, StartedFrame, Progress, AskFrame, DoneFrame>;

// A line, its end included. Bytes that aren't UTF-8 are replaced.
std::string ToLine(const FrameToCompute& frame);
std::string ToLine(const FrameFromCompute& frame);

// INVALID_ARGUMENT with the beginning of the line for anything else.
absl::StatusOr<FrameToCompute> ParseFrameToCompute(absl::string_view line);
absl::StatusOr<FrameFromCompute> ParseFrameFromCompute(absl::string_view line);

// Cuts what a descriptor delivers into lines.
class LineReader {
 public:
  // `fd` stays the caller's. `label` names it in messages.
  LineReader(int fd, std::string label) : fd_(fd), label_(std::move(label)) {}
  // A line that is here already, without its end.
  std::optional<std::string> Next();
  // One read(2). False at the end of the stream; RESOURCE_EXHAUSTED for a line over kLineBytesMax.
  absl::StatusOr<bool> Fill();

 private:
  int fd_;
  std::string label_;
  std::string buffer_;
  size_t begin_ = 0;    // of the first line not given yet
  size_t scanned_ = 0;  // no line end before this
};

}  // namespace radiograph

#endif  // RADIOGRAPH_CORE_PROCESS_FRAMES_H_
