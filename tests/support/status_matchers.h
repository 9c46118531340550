// ASSERT_OK(x), EXPECT_OK(x), EXPECT_THAT(x, StatusIs(code, message matcher)) for Status and
// StatusOr.
#ifndef RADIOGRAPH_TESTS_SUPPORT_STATUS_MATCHERS_H_
#define RADIOGRAPH_TESTS_SUPPORT_STATUS_MATCHERS_H_

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

namespace radiograph::testing {

inline const absl::Status& GetStatus(const absl::Status& status) { return status; }
template <typename T>
const absl::Status& GetStatus(const absl::StatusOr<T>& value) {
  return value.status();
}

MATCHER_P2(StatusIs, code, message, "") {
  const absl::Status& status = GetStatus(arg);
  *result_listener << status.ToString();
  return status.code() == code &&
         ::testing::ExplainMatchResult(message, std::string(status.message()), result_listener);
}

}  // namespace radiograph::testing

#define EXPECT_OK(expression) \
  EXPECT_EQ(::radiograph::testing::GetStatus(expression), absl::OkStatus())
#define ASSERT_OK(expression) \
  ASSERT_EQ(::radiograph::testing::GetStatus(expression), absl::OkStatus())
// Declares or assigns from a StatusOr, or fails the test.
#define ASSERT_OK_AND_ASSIGN(declaration, expression) \
  ASSERT_OK_AND_ASSIGN_(RADIOGRAPH_TEST_CONCAT(status_or_, __LINE__), declaration, expression)
#define RADIOGRAPH_TEST_CONCAT_(a, b) a##b
#define RADIOGRAPH_TEST_CONCAT(a, b) RADIOGRAPH_TEST_CONCAT_(a, b)
#define ASSERT_OK_AND_ASSIGN_(result, declaration, expression) \
  auto result = (expression);                                  \
  ASSERT_TRUE(result.ok()) << result.status();                 \
  declaration = *std::move(result)

#endif  // RADIOGRAPH_TESTS_SUPPORT_STATUS_MATCHERS_H_
