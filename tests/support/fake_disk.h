// A disk whose N-th step fails, and every one after it, as when the machine is lost then.
#ifndef RADIOGRAPH_TESTS_SUPPORT_FAKE_DISK_H_
#define RADIOGRAPH_TESTS_SUPPORT_FAKE_DISK_H_

#include <atomic>
#include <cstdint>
#include <string>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "server/store/disk.h"

namespace radiograph::testing {

class FakeDisk : public Disk {
 public:
  explicit FakeDisk(absl::StatusCode code = absl::StatusCode::kUnavailable) : code_(code) {}

  // From the N-th step from now on, counted from 1, all fail; 0: none does.
  void FailFrom(int64_t step) {
    steps_ = 0;
    first_failure_ = step;
  }
  bool failed() const { return first_failure_ != 0 && steps_ >= first_failure_; }

  absl::Status Write(int fd, absl::string_view bytes, const std::string& path) override {
    if (absl::Status status = Step("write"); !status.ok()) {
      // Half of the bytes get there, as when a disk runs full.
      absl::Status half = Disk::Write(fd, bytes.substr(0, bytes.size() / 2), path);
      return half.ok() ? status : half;
    }
    return Disk::Write(fd, bytes, path);
  }
  absl::Status Sync(int fd, const std::string& path) override {
    absl::Status status = Step("sync");
    return status.ok() ? Disk::Sync(fd, path) : status;
  }
  absl::Status Link(const std::string& from, const std::string& to) override {
    absl::Status status = Step("link");
    return status.ok() ? Disk::Link(from, to) : status;
  }
  absl::Status Rename(const std::string& from, const std::string& to) override {
    absl::Status status = Step("rename");
    return status.ok() ? Disk::Rename(from, to) : status;
  }
  absl::Status SyncFolder(const std::string& folder) override {
    absl::Status status = Step("sync folder");
    return status.ok() ? Disk::SyncFolder(folder) : status;
  }
  absl::Status Remove(const std::string& path) override {
    if (code_ == absl::StatusCode::kResourceExhausted)
      return Disk::Remove(path);  // a full disk can
    absl::Status status = Step("remove");
    return status.ok() ? Disk::Remove(path) : status;
  }

  // What RoomOf tells of a file system of 100 GB; negative: the real one's.
  void SetFree(int64_t bytes) { free_ = bytes; }
  absl::StatusOr<Room> RoomOf(const std::string& folder) override {
    if (free_ < 0) return Disk::RoomOf(folder);
    return Room{.all = 100'000'000'000, .free = free_};
  }

 private:
  absl::Status Step(absl::string_view what) {
    if (++steps_ < first_failure_ || first_failure_ == 0) return absl::OkStatus();
    return absl::Status(code_, absl::StrCat("fake disk: ", what, " fails"));
  }

  std::atomic<int64_t> first_failure_ = 0;
  const absl::StatusCode code_;
  std::atomic<int64_t> steps_ = 0;
  std::atomic<int64_t> free_ = -1;
};

}  // namespace radiograph::testing

#endif  // RADIOGRAPH_TESTS_SUPPORT_FAKE_DISK_H_
