// Cancel to device free, measured on the real programs.
#ifndef RADIOGRAPH_TESTS_BENCH_CANCEL_H_
#define RADIOGRAPH_TESTS_BENCH_CANCEL_H_

#include "absl/status/status.h"
#include "radiograph/v1/jobs.pb.h"
#include "tests/bench/service.h"

namespace radiograph {

// How long after Jobs.Cancel the one device of the server runs the first instruction of the job
// that waits behind: when the cancelled one stops by itself, and when it must be killed. Two rows.
// `request` is for bilinear.spectrum.
absl::Status MeasureCancel(Server& server, v1::CreateJobRequest request);

}  // namespace radiograph

#endif  // RADIOGRAPH_TESTS_BENCH_CANCEL_H_
