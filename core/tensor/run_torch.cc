#include "core/tensor/run_torch.h"

#include <unistd.h>

#include <algorithm>
#include <new>
#include <string>
#include <system_error>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "core/base/cause.h"
#include "core/base/file.h"
#include "core/base/host_memory.h"

namespace radiograph {
namespace {

// The host's allocator throws a plain c10::Error; only its text tells.
bool IsOutOfMemory(const c10::Error& error) {
  return dynamic_cast<const c10::OutOfMemoryError*>(&error) != nullptr ||
         absl::StrContains(error.what_without_backtrace(), "DefaultCPUAllocator: ");
}

// The size behind `words`, as "2.50 GiB" or "1024 bytes"; 0 when it isn't there.
int64_t SizeAfter(absl::string_view text, absl::string_view words) {
  const size_t found = text.find(words);
  if (found == absl::string_view::npos) return 0;
  text.remove_prefix(found + words.size());
  const size_t space = text.find(' ');
  double number;
  if (!absl::SimpleAtod(text.substr(0, space), &number)) return 0;
  text.remove_prefix(std::min(text.size(), space + 1));
  const double unit = absl::StartsWith(text, "GiB")   ? 0x1p30
                      : absl::StartsWith(text, "MiB") ? 0x1p20
                      : absl::StartsWith(text, "KiB") ? 0x1p10
                                                      : 1;
  constexpr double kBytesMax = 0x1p62;
  return static_cast<int64_t>(std::min(number * unit, kBytesMax));
}

absl::Status HostOutOfMemory(int64_t asked) {
  const HostMemory host = HostMemoryOf(getpid());
  return OutOfMemoryError(
      absl::StrCat("out of memory: ",
                   asked > 0 ? absl::StrCat(asked, " bytes were asked for at once; ") : "",
                   "the process has ", host.used_bytes, " bytes and may have ", host.limit_bytes),
      {.needed_bytes = host.used_bytes + asked, .available_bytes = host.limit_bytes});
}

// A thread could not be started: for want of memory for its stack, or of threads.
absl::Status NoThread(const std::system_error& error) {
  const HostMemory host = HostMemoryOf(getpid());
  constexpr int64_t kStackBytes = 8 << 20;
  if (host.limit_bytes - host.used_bytes < 2 * kStackBytes) return HostOutOfMemory(kStackBytes);
  return ErrnoStatus(error.code().value(), "can't start", "a thread");
}

}  // namespace

// The host: "... DefaultCPUAllocator: can't allocate memory: you tried to allocate 72 bytes. ..."
// CUDA: "CUDA out of memory. Tried to allocate 2.50 GiB. GPU 0 has a total capacity of 23.69 GiB of
// which 1.50 GiB is free. ..."
absl::Status OutOfMemoryFromText(const std::string& text) {
  const int64_t asked =
      std::max(SizeAfter(text, "you tried to allocate "), SizeAfter(text, "Tried to allocate "));
  const int64_t capacity = SizeAfter(text, "total capacity of ");
  if (capacity == 0) return HostOutOfMemory(asked);
  const int64_t used = std::max<int64_t>(0, capacity - SizeAfter(text, "of which "));
  return OutOfMemoryError(absl::StrCat("out of memory: ", text),
                          {.needed_bytes = used + asked, .available_bytes = capacity});
}

absl::Status RunTorch(absl::FunctionRef<absl::Status()> body) {
  try {
    c10::AutoGradMode off(false);
    return body();
  } catch (const c10::LinAlgError& error) {
    return absl::FailedPreconditionError(error.what_without_backtrace());
  } catch (const c10::Error& error) {
    const std::string text = error.what_without_backtrace();
    return IsOutOfMemory(error) ? OutOfMemoryFromText(text)
                                : absl::InternalError(absl::StrCat("LibTorch: ", text));
  } catch (const std::bad_alloc&) {
    return HostOutOfMemory(0);
  } catch (const std::system_error& error) {
    return NoThread(error);
  } catch (const std::exception& error) {
    return absl::InternalError(error.what());
  }
}

}  // namespace radiograph
