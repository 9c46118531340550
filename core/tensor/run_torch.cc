#include "core/tensor/run_torch.h"

#include <new>
#include <string>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"

namespace radiograph {
namespace {

// The host's allocator throws a plain c10::Error; only its text tells.
bool IsOutOfMemory(const c10::Error& error) {
  return dynamic_cast<const c10::OutOfMemoryError*>(&error) != nullptr ||
         absl::StrContains(error.what_without_backtrace(), "DefaultCPUAllocator: ");
}

}  // namespace

absl::Status RunTorch(absl::FunctionRef<absl::Status()> body) {
  try {
    c10::AutoGradMode off(false);
    return body();
  } catch (const c10::LinAlgError& error) {
    return absl::FailedPreconditionError(error.what_without_backtrace());
  } catch (const c10::Error& error) {
    const std::string text = error.what_without_backtrace();
    return IsOutOfMemory(error)
               ? absl::ResourceExhaustedError(absl::StrCat("out of memory: ", text))
               : absl::InternalError(absl::StrCat("LibTorch: ", text));
  } catch (const std::bad_alloc&) {
    return absl::ResourceExhaustedError("out of memory");
  } catch (const std::exception& error) {
    return absl::InternalError(error.what());
  }
}

}  // namespace radiograph
