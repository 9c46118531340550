// Batches of small matrices on our own threads.
//
// LibTorch's threads split one matrix, ours take one matrix each: faster where matrices are small,
// and the bytes of a result don't depend on the number of threads, since every matrix is computed
// by one.
#ifndef RADIOGRAPH_CORE_NUMERICS_PARALLEL_H_
#define RADIOGRAPH_CORE_NUMERICS_PARALLEL_H_

#include <ATen/core/Tensor.h>

#include <cstdint>

#include "absl/functional/function_ref.h"
#include "absl/status/status.h"

namespace radiograph {

// Calls body(i) for every i in [0, count), on as many threads as LibTorch has on this one
// (at::get_num_threads()), each with a single LibTorch thread, inside RunTorch. Bodies write to
// places of their own. On an error no further i is begun; of the errors found that of the lowest i
// is returned.
//
// `report(done)` runs on the calling thread, at least twice a second; its error (CANCELLED) ends
// the loop in the same way and is returned.
absl::Status ParallelFor(int64_t count, absl::FunctionRef<absl::Status(int64_t)> body,
                         absl::FunctionRef<absl::Status(int64_t)> report,
                         int64_t threads_max = 4096);
absl::Status ParallelFor(int64_t count, absl::FunctionRef<absl::Status(int64_t)> body);

// body(begin, count) over [0, total), for bodies that take a batch of matrices on `device`: never
// more than `chunk` matrices in work, which bounds memory. On the CPU one matrix at a time by
// ParallelFor, on at most `chunk` threads; elsewhere `chunk` at a time on this thread, the device
// being parallel itself.
absl::Status ForEachChunk(at::Device device, int64_t total, int64_t chunk,
                          absl::FunctionRef<absl::Status(int64_t begin, int64_t count)> body,
                          absl::FunctionRef<absl::Status(int64_t)> report);

}  // namespace radiograph

#endif  // RADIOGRAPH_CORE_NUMERICS_PARALLEL_H_
