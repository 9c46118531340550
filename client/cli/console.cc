#include "client/cli/console.h"

#include <algorithm>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "core/base/clock.h"
#include "core/base/names.h"

namespace radiograph::cli {
namespace {

constexpr int kBarWidth = 30;
constexpr absl::Duration kBarInterval = absl::Milliseconds(100);

}  // namespace

std::ostream& Console::out() {
  EndBar();
  return out_;
}

void Console::Say(absl::string_view line) {
  EndBar();
  err_ << Printable(absl::StripTrailingAsciiWhitespace(line)) << std::endl;
}

void Console::Bar(absl::string_view label, double fraction, absl::string_view text) {
  if (!terminal_) return;
  absl::Duration now = SystemClock().Monotonic();
  if (bar_shown_ && bar_label_ == label && now - bar_time_ < kBarInterval) return;
  fraction = std::clamp(fraction, 0.0, 1.0);
  std::string bar(static_cast<size_t>(fraction * kBarWidth), '#');
  bar.resize(kBarWidth, ' ');
  err_ << absl::StrFormat("\r%-10s [%s] %3.0f%%  %s\x1b[K", label, bar, fraction * 100,
                          Printable(text))
       << std::flush;
  bar_shown_ = true;
  bar_label_ = std::string(label);
  bar_time_ = now;
}

void Console::EndBar() {
  if (!bar_shown_) return;
  err_ << "\r\x1b[K" << std::flush;
  bar_shown_ = false;
}

std::string BytesText(int64_t bytes) {
  constexpr absl::string_view kUnits[] = {"KiB", "MiB", "GiB", "TiB"};
  if (bytes < 1024) return absl::StrCat(bytes, " bytes");
  double value = static_cast<double>(bytes) / 1024;
  size_t unit = 0;
  for (; value >= 1024 && unit + 1 < std::size(kUnits); ++unit) value /= 1024;
  return absl::StrFormat("%.1f %s", value, kUnits[unit]);
}

std::string Printable(absl::string_view text) { return Shown(text, text.npos); }

}  // namespace radiograph::cli
