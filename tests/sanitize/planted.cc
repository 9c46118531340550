// Faults on purpose: tests/sanitize/run looks whether they are reported. `lock` is none.
//
//   planted race|lock|overflow|leak|sum
#include <cstdint>
#include <functional>
#include <limits>
#include <string>
#include <thread>
#include <vector>

#include "absl/synchronization/mutex.h"

namespace {

// Two threads that count to 2,000 together.
int64_t Count(const std::function<void(int64_t&)>& add) {
  int64_t sum = 0;
  auto work = [&] {
    for (int i = 0; i < 1000; ++i) add(sum);
  };
  {
    std::jthread one(work), two(work);
  }
  return sum;
}

int64_t Run(const std::string& fault) {
  const int64_t size = static_cast<int64_t>(fault.size());
  if (fault == "race") return Count([](int64_t& sum) { ++sum; }) < 0;
  if (fault == "lock") {
    absl::Mutex mu;
    return Count([&mu](int64_t& sum) {
             absl::MutexLock lock(&mu);
             ++sum;
           }) != 2000;
  }
  if (fault == "overflow") return std::vector<char>(fault.begin(), fault.end()).data()[size] == 1;
  if (fault == "leak") return new std::string(fault) == nullptr;
  if (fault == "sum") return std::numeric_limits<int64_t>::max() - 1 + size < 0;
  return 2;
}

}  // namespace

int main(int argc, char** argv) { return argc == 2 ? static_cast<int>(Run(argv[1])) : 2; }
