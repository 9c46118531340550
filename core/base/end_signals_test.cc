#include "core/base/end_signals.h"

#include <gtest/gtest.h>

namespace radiograph {
namespace {

bool Holds(const sigset_t& set, int signal) { return sigismember(&set, signal) == 1; }

TEST(EndSignals, AClosedTerminalEndsLikeTheOthers) {
  signal(SIGHUP, SIG_DFL);
  const sigset_t ends = EndSignalSet();
  EXPECT_TRUE(Holds(ends, SIGHUP));
  EXPECT_TRUE(Holds(ends, SIGTERM));
  EXPECT_TRUE(Holds(ends, SIGINT));
  EXPECT_FALSE(Holds(ends, SIGUSR1));
}

TEST(EndSignals, WhatNohupIgnoresStaysIgnored) {
  signal(SIGHUP, SIG_IGN);
  const sigset_t ends = EndSignalSet();
  signal(SIGHUP, SIG_DFL);
  EXPECT_FALSE(Holds(ends, SIGHUP));
  EXPECT_TRUE(Holds(ends, SIGTERM));
}

}  // namespace
}  // namespace radiograph
