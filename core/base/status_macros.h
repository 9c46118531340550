// RETURN_IF_ERROR(expression) and ASSIGN_OR_RETURN(declaration, expression): return early with the
// status of an absl::Status or absl::StatusOr that is not OK. For functions that return either.
#ifndef RADIOGRAPH_CORE_BASE_STATUS_MACROS_H_
#define RADIOGRAPH_CORE_BASE_STATUS_MACROS_H_

#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

#define RETURN_IF_ERROR(expression)                                               \
  do {                                                                            \
    if (absl::Status radiograph_status_ = (expression); !radiograph_status_.ok()) \
      return radiograph_status_;                                                  \
  } while (false)

#define RADIOGRAPH_CONCAT_(a, b) a##b
#define RADIOGRAPH_CONCAT(a, b) RADIOGRAPH_CONCAT_(a, b)

#define ASSIGN_OR_RETURN(declaration, expression) \
  RADIOGRAPH_ASSIGN_OR_RETURN_(RADIOGRAPH_CONCAT(radiograph_or_, __LINE__), declaration, expression)
#define RADIOGRAPH_ASSIGN_OR_RETURN_(result, declaration, expression) \
  auto result = (expression);                                         \
  if (!result.ok()) return std::move(result).status();                \
  declaration = *std::move(result)

#endif  // RADIOGRAPH_CORE_BASE_STATUS_MACROS_H_
