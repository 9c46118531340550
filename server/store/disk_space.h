// Room on the file system of the state folder: what is new is refused before the disk is full, so
// that what was acknowledged can still end.
//
// Below free_bytes_min() nothing new is taken: uploads, artifacts, jobs. Results of workers, which
// end what was acknowledged, may use half of what is left then. Rows (ends of jobs, cancels) are
// always tried. Reads go on, and so does everything once there is room again.
#ifndef RADIOGRAPH_SERVER_STORE_DISK_SPACE_H_
#define RADIOGRAPH_SERVER_STORE_DISK_SPACE_H_

#include <atomic>
#include <cstdint>
#include <string>

#include "absl/status/status.h"
#include "core/base/clock.h"
#include "server/store/disk.h"

namespace radiograph {

// Safe for use from many threads. Every look is one statvfs.
class DiskSpace {
 public:
  // The minimum is 1 GiB, or a twentieth of a file system where that is less.
  static constexpr int64_t kAutomatic = -1;

  // `free_bytes_min`: bytes, kAutomatic, or 0: no minimum. `disk` and `clock` must outlive it.
  DiskSpace(std::string folder, int64_t free_bytes_min, Disk* disk, const Clock* clock);

  // RESOURCE_EXHAUSTED with RetryInfo when less than free_bytes_min() would be left after `bytes`
  // more.
  absl::Status CheckNew(int64_t bytes);
  // The same for what ends acknowledged work, and half of that minimum.
  absl::Status CheckResult(int64_t bytes);
  // As CheckNew(0), with an answer that may be a second old: for small and frequent things.
  absl::Status CheckSmall();

  // Looks again, and says in the log when it has become low, or is no longer.
  void Look();
  // As of the last look.
  bool low() const { return free_bytes_ < free_bytes_min_; }
  int64_t free_bytes() const { return free_bytes_; }
  int64_t free_bytes_min() const { return free_bytes_min_; }

 private:
  absl::Status Check(int64_t bytes, int64_t min);

  const std::string folder_;
  Disk* const disk_;
  const Clock* const clock_;
  int64_t free_bytes_min_ = 0;  // of the constructor only
  std::atomic<int64_t> free_bytes_ = 0;
  std::atomic<int64_t> looked_ = 0;  // nanoseconds of the monotonic clock
  std::atomic<bool> told_low_ = false;
};

}  // namespace radiograph

#endif  // RADIOGRAPH_SERVER_STORE_DISK_SPACE_H_
