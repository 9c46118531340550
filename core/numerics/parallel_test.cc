#include "core/numerics/parallel.h"

#include <ATen/Parallel.h>

#include <atomic>
#include <map>
#include <vector>

#include "core/numerics/random.h"
#include "tests/support/status_matchers.h"

namespace radiograph {
namespace {

using ::radiograph::testing::StatusIs;

// LibTorch's threads of this thread, put back at the end.
class Threads {
 public:
  explicit Threads(int count) : before_(at::get_num_threads()) { at::set_num_threads(count); }
  ~Threads() { at::set_num_threads(before_); }

 private:
  const int before_;
};

TEST(ParallelFor, CallsEveryIndexOnce) {
  Threads three(3);
  std::vector<std::atomic<int>> calls(100);
  EXPECT_OK(ParallelFor(100, [&](int64_t i) {
    ++calls[i];
    return absl::OkStatus();
  }));
  for (const auto& count : calls) EXPECT_EQ(count, 1);
  EXPECT_EQ(at::get_num_threads(), 3);
}

TEST(ParallelFor, NothingToDo) {
  EXPECT_OK(ParallelFor(0, [](int64_t) { return absl::InternalError("called"); }));
}

TEST(ParallelFor, ReturnsTheErrorOfTheLowestIndexAndBeginsNoMore) {
  Threads two(2);
  std::atomic<int> calls = 0;
  const absl::Status status = ParallelFor(1000, [&](int64_t i) {
    ++calls;
    return i >= 3 ? absl::OutOfRangeError(std::to_string(i)) : absl::OkStatus();
  });
  EXPECT_THAT(status, StatusIs(absl::StatusCode::kOutOfRange, "3"));
  EXPECT_LE(calls, 6);
}

TEST(ParallelFor, TurnsLibTorchsExceptionsIntoStatus) {
  EXPECT_THAT(ParallelFor(1,
                          [](int64_t) {
                            at::matmul(at::zeros({2, 3}), at::zeros({2, 3}));
                            return absl::OkStatus();
                          }),
              StatusIs(absl::StatusCode::kInternal, ::testing::HasSubstr("LibTorch")));
}

TEST(ParallelFor, AnErrorOfReportEndsTheLoop) {
  Threads one(1);
  std::atomic<bool> reported = false;
  const absl::Status status = ParallelFor(
      int64_t{1} << 40,
      [&](int64_t) {
        at::ones({64, 64}).sum();
        return absl::OkStatus();
      },
      [&](int64_t) {
        reported = true;
        return absl::CancelledError("user");
      });
  EXPECT_TRUE(reported);
  EXPECT_THAT(status, StatusIs(absl::StatusCode::kCancelled, "user"));
}

TEST(ParallelFor, BytesDoNotDependOnTheNumberOfThreads) {
  const at::Tensor matrices = RandomNormal({.seed = 1}, {8, 50, 50});
  std::vector<at::Tensor> results;
  for (const int threads : {1, 2, 4}) {
    Threads set(threads);
    at::Tensor values = at::empty({8, 50}, at::kDouble);
    EXPECT_OK(ParallelFor(8, [&](int64_t i) {
      values[i].copy_(at::linalg_eigvalsh(at::matmul(matrices[i], matrices[i].t())));
      return absl::OkStatus();
    }));
    results.push_back(values);
  }
  EXPECT_TRUE(at::equal(results[0], results[1]));
  EXPECT_TRUE(at::equal(results[0], results[2]));
}

TEST(ForEachChunk, OneByOneOnTheCpuInChunksElsewhere) {
  Threads one(1);
  for (const auto& [device, sizes] : std::map<at::DeviceType, std::vector<int64_t>>{
           {at::kCPU, {1, 1, 1, 1, 1}}, {at::kMeta, {2, 2, 1}}}) {
    std::vector<int64_t> begins, counts;
    EXPECT_OK(ForEachChunk(
        device, 5, 2,
        [&](int64_t begin, int64_t count) {
          begins.push_back(begin);
          counts.push_back(count);
          return absl::OkStatus();
        },
        [](int64_t) { return absl::OkStatus(); }));
    EXPECT_EQ(counts, sizes) << device;
    for (size_t i = 1; i < begins.size(); ++i) EXPECT_EQ(begins[i], begins[i - 1] + counts[i - 1]);
  }
}

TEST(ForEachChunk, CancelsBetweenChunks) {
  int64_t calls = 0;
  const absl::Status status = ForEachChunk(
      at::kMeta, 100, 10,
      [&](int64_t, int64_t) {
        ++calls;
        return absl::OkStatus();
      },
      [](int64_t done) { return done == 30 ? absl::CancelledError("user") : absl::OkStatus(); });
  EXPECT_THAT(status, StatusIs(absl::StatusCode::kCancelled, "user"));
  EXPECT_EQ(calls, 3);
}

}  // namespace
}  // namespace radiograph
