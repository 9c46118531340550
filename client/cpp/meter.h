// Counts the bytes of a transfer, tells them to the caller, and asks whether to go on.
#ifndef RADIOGRAPH_CLIENT_CPP_METER_H_
#define RADIOGRAPH_CLIENT_CPP_METER_H_

#include "client/cpp/client.h"
#include "client/cpp/session.h"

namespace radiograph {

inline constexpr int64_t kChunkBytes = 512 << 10;

class Meter {
 public:
  Meter(const TransferOptions& options, TransferProgress::Phase phase, int64_t bytes_total)
      : options_(options), progress_{phase, 0, bytes_total} {}

  // CANCELLED once a stop was requested.
  absl::Status Set(int64_t bytes_done) {
    progress_.bytes_done = bytes_done;
    if (options_.on_progress) options_.on_progress(progress_);
    return options_.stop.stop_requested() ? StoppedError() : absl::OkStatus();
  }
  absl::Status Add(int64_t bytes) { return Set(progress_.bytes_done + bytes); }
  int64_t bytes_done() const { return progress_.bytes_done; }

 private:
  const TransferOptions& options_;
  TransferProgress progress_;
};

}  // namespace radiograph

#endif  // RADIOGRAPH_CLIENT_CPP_METER_H_
