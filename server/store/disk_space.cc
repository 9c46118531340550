#include "server/store/disk_space.h"

#include <algorithm>
#include <limits>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/time/time.h"
#include "core/base/log.h"
#include "server/store/quota.h"

namespace radiograph {
namespace {

// What must be there for ends of jobs while nothing new comes: the rows of 20,000 jobs and the
// write-ahead log take some 200 MB, and half of the minimum is for results.
constexpr int64_t kMinAtMost = int64_t{1} << 30;
constexpr int64_t kMinPart = 20;  // of the file system's size
constexpr absl::Duration kLookInterval = absl::Seconds(1);
constexpr absl::Duration kRetry = absl::Seconds(5);

}  // namespace

DiskSpace::DiskSpace(std::string folder, int64_t free_bytes_min, Disk* disk, const Clock* clock)
    : folder_(std::move(folder)), disk_(disk), clock_(clock), free_bytes_min_(free_bytes_min) {
  if (free_bytes_min_ == kAutomatic) {
    const absl::StatusOr<Disk::Room> room = disk_->RoomOf(folder_);
    free_bytes_min_ = room.ok() ? std::min(kMinAtMost, room->all / kMinPart) : 0;
  }
  Look();
}

void DiskSpace::Look() {
  const absl::StatusOr<Disk::Room> room = disk_->RoomOf(folder_);
  // What can't be seen is not refused: the write itself will tell.
  free_bytes_ = room.ok() ? room->free : std::numeric_limits<int64_t>::max();
  looked_ = absl::ToInt64Nanoseconds(clock_->Monotonic());
  const bool is_low = low();
  if (told_low_.exchange(is_low) == is_low) return;
  Log(is_low ? LogLevel::kError : LogLevel::kInfo, is_low ? "disk_low" : "disk_has_room",
      {{"free_bytes", free_bytes()}, {"free_bytes_min", free_bytes_min_}});
}

absl::Status DiskSpace::CheckNew(int64_t bytes) {
  Look();
  return Check(bytes, free_bytes_min_);
}

absl::Status DiskSpace::CheckResult(int64_t bytes) {
  Look();
  return Check(bytes, free_bytes_min_ / 2);
}

absl::Status DiskSpace::CheckSmall() {
  if (clock_->Monotonic() - absl::Nanoseconds(looked_.load()) >= kLookInterval) Look();
  return Check(0, free_bytes_min_);
}

absl::Status DiskSpace::Check(int64_t bytes, int64_t min) {
  const int64_t free = free_bytes_;
  if (min == 0 || free - bytes >= min) return absl::OkStatus();
  return QuotaExceeded(
      {.quota = Quota::kDiskSpace,
       .text = absl::StrCat("the server's disk is low: ", free, " bytes are free, and ",
                            bytes + min, " must be for this",
                            bytes == 0 ? "" : absl::StrCat(", which takes ", bytes)),
       .retry = kRetry});
}

}  // namespace radiograph
