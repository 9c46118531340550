#include "server/net/listener.h"

#include <netinet/in.h>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "absl/base/thread_annotations.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "tests/support/status_matchers.h"

namespace radiograph {
namespace {

using ::testing::HasSubstr;
using ::testing::MatchesRegex;
using testing::StatusIs;

constexpr absl::Duration kLong = absl::Minutes(1);

int PortOf(const Listener& listener) {
  int port = 0;
  EXPECT_TRUE(absl::SimpleAtoi(listener.address().substr(listener.address().rfind(':') + 1), &port));
  return port;
}

// A connection to this machine; a descriptor of its own, made before any limit is lowered.
class Caller {
 public:
  bool Connect(int port) {
    sockaddr_in address = {};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    address.sin_port = htons(static_cast<uint16_t>(port));
    return connect(fd_.get(), reinterpret_cast<sockaddr*>(&address), sizeof(address)) == 0;
  }
  // The other side has closed it: nothing can be read.
  bool IsClosed() {
    char byte;
    return read(fd_.get(), &byte, 1) <= 0;
  }

 private:
  UniqueFd fd_{socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)};
};

class ListenerTest : public ::testing::Test {
 protected:
  ~ListenerTest() override { setrlimit(RLIMIT_NOFILE, &before_); }
  void Listen(const std::string& address = "127.0.0.1:0") {
    auto listener = Listener::Start(address, [this](UniqueFd fd) {
      absl::MutexLock lock(&mu_);
      taken_.push_back(std::move(fd));
    });
    ASSERT_OK(listener);
    listener_ = *std::move(listener);
  }
  bool HasTaken(size_t count) {
    absl::MutexLock lock(&mu_);
    auto all = [&]() ABSL_SHARED_LOCKS_REQUIRED(mu_) { return taken_.size() >= count; };
    return mu_.AwaitWithTimeout(absl::Condition(&all), kLong);
  }
  // So many descriptors that one more could not be had.
  void LowerLimit(rlim_t files) {
    rlimit lower = before_;
    lower.rlim_cur = files;
    ASSERT_EQ(setrlimit(RLIMIT_NOFILE, &lower), 0);
  }
  // The number of the next descriptor. All before are in use: what started this process may have left
  // gaps.
  rlim_t FirstFree() {
    do {
      fillers_.emplace_back(eventfd(0, EFD_CLOEXEC));
    } while (fillers_.back().get() < kFilesBefore);
    return fillers_.back().get() + 1;
  }

  const rlimit before_ = [] {
    rlimit files;
    getrlimit(RLIMIT_NOFILE, &files);
    return files;
  }();
  static constexpr int kFilesBefore = 100;
  std::vector<UniqueFd> fillers_;
  absl::Mutex mu_;
  std::vector<UniqueFd> taken_ ABSL_GUARDED_BY(mu_);
  std::unique_ptr<Listener> listener_;
};

TEST_F(ListenerTest, HandsConnectionsOn) {
  Listen();
  EXPECT_THAT(listener_->address(), MatchesRegex("127\\.0\\.0\\.1:[1-9][0-9]+"));
  Caller first, second;
  EXPECT_TRUE(first.Connect(PortOf(*listener_)));
  EXPECT_TRUE(second.Connect(PortOf(*listener_)));
  EXPECT_TRUE(HasTaken(2));
}

TEST_F(ListenerTest, ANameMayHaveSeveralAddresses) {
  Listen("localhost:0");
  EXPECT_THAT(listener_->address(), MatchesRegex("localhost:[1-9][0-9]+"));
  Caller caller;
  EXPECT_TRUE(caller.Connect(PortOf(*listener_)));
  EXPECT_TRUE(HasTaken(1));
}

TEST_F(ListenerTest, AnAddressThatIsTakenOrUnknownIsRefused) {
  Listen();
  EXPECT_THAT(Listener::Start(listener_->address(), [](UniqueFd) {}),
              StatusIs(absl::StatusCode::kUnavailable, HasSubstr(listener_->address())));
  EXPECT_THAT(Listener::Start("192.0.2.1:0", [](UniqueFd) {}),  // of documents only
              StatusIs(absl::StatusCode::kUnavailable, HasSubstr("192.0.2.1:0")));
  EXPECT_THAT(Listener::Start("no.such.host.invalid:0", [](UniqueFd) {}),
              StatusIs(absl::StatusCode::kUnavailable, HasSubstr("no.such.host.invalid")));
}

TEST_F(ListenerTest, TakesConnectionsAgainOnceThereAreDescriptors) {
  Listen();
  Caller caller;
  LowerLimit(FirstFree());
  EXPECT_TRUE(caller.Connect(PortOf(*listener_)));  // the system's own queue takes it
  {
    absl::MutexLock lock(&mu_);
    EXPECT_TRUE(taken_.empty());
  }
  LowerLimit(before_.rlim_cur);
  EXPECT_TRUE(HasTaken(1));
}

TEST_F(ListenerTest, SomeDescriptorsAreKeptFromConnections) {
  Listen();
  Caller caller, refused;
  // The next descriptor is the last for a connection.
  const rlim_t for_connections = FirstFree() + 1;
  rlim_t limit = for_connections;
  while (limit - limit / kFilesKeptOneIn < for_connections) ++limit;
  LowerLimit(limit);
  EXPECT_TRUE(caller.Connect(PortOf(*listener_)));
  EXPECT_TRUE(HasTaken(1));
  EXPECT_TRUE(refused.Connect(PortOf(*listener_)));
  EXPECT_TRUE(refused.IsClosed());
}

}  // namespace
}  // namespace radiograph
