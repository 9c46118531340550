// What must hold of a Result before it may be stored.
#ifndef RADIOGRAPH_CORE_RESULTS_BUNDLE_CHECK_H_
#define RADIOGRAPH_CORE_RESULTS_BUNDLE_CHECK_H_

#include "absl/status/status.h"
#include "core/results/result.h"

namespace radiograph {

// INTERNAL, naming what is wrong, unless:
// metrics are those of the Spec, each once, null only with a reason, intervals in order and with a
// level; verdicts are one of their values; tables are rectangular; figures are named [a-z0-9_]+ and
// hold canonical JSON {"data": [...], "layout": {...}}; arrays are outputs of the Spec with an axis
// for each dimension, bytes that fit their shape, and NaN only where allowed, infinities nowhere;
// evidence names something that is there.
absl::Status CheckResult(const Spec& spec, const Result& result);

}  // namespace radiograph

#endif  // RADIOGRAPH_CORE_RESULTS_BUNDLE_CHECK_H_
