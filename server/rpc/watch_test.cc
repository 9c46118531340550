// Jobs.Watch when readers are slow, many, or gone without a word: over TCP, on the real server.
#include <arpa/inet.h>
#include <grpcpp/create_channel.h>
#include <grpcpp/security/credentials.h>
#include <malloc.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <thread>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/synchronization/mutex.h"
#include "absl/synchronization/notification.h"
#include "absl/time/clock.h"
#include "core/base/file.h"
#include "radiograph/v1/jobs.grpc.pb.h"
#include "server/rpc/rpc_fixture.h"

namespace radiograph {
namespace {

using testing::RpcServerTest;

constexpr absl::Duration kPatience = absl::Minutes(2);  // more than a loaded machine needs
constexpr int kEvents = 2000, kEventBytes = 1 << 10;

// Passes bytes on between one client and the server. Frozen, it is like a machine that lost its
// power: nothing is answered, nothing is closed.
class Relay {
 public:
  explicit Relay(int server_port) {
    listener_ = UniqueFd(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
    sockaddr_in address = Loopback(0);
    socklen_t size = sizeof(address);
    EXPECT_EQ(bind(listener_.get(), reinterpret_cast<sockaddr*>(&address), size), 0);
    EXPECT_EQ(listen(listener_.get(), 1), 0);
    EXPECT_EQ(getsockname(listener_.get(), reinterpret_cast<sockaddr*>(&address), &size), 0);
    port_ = ntohs(address.sin_port);
    int ends[2];
    EXPECT_EQ(pipe(ends), 0);
    wake_ = {UniqueFd(ends[0]), UniqueFd(ends[1])};
    thread_ = std::jthread([this, server_port] { Pass(server_port); });
  }
  ~Relay() { Freeze(); }

  int port() const { return port_; }
  void Freeze() { EXPECT_EQ(write(wake_[1].get(), "!", 1), 1); }
  // Until the server has asked the client so many times whether it lives.
  bool AwaitPings(int count) {
    absl::MutexLock lock(&mu_);
    auto enough = [this, count]() ABSL_SHARED_LOCKS_REQUIRED(mu_) { return pings_ >= count; };
    return mu_.AwaitWithTimeout(absl::Condition(&enough), kPatience);
  }

 private:
  static constexpr ssize_t kPingBytes = 17;  // RFC 9113: 9 of the frame's header and 8

  static sockaddr_in Loopback(int port) {
    sockaddr_in address = {};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    address.sin_port = htons(static_cast<uint16_t>(port));
    return address;
  }
  void Pass(int server_port) {
    pollfd waiting[2] = {{listener_.get(), POLLIN, 0}, {wake_[0].get(), POLLIN, 0}};
    poll(waiting, 2, -1);
    if (waiting[1].revents != 0) return;
    client_ = UniqueFd(accept(listener_.get(), nullptr, nullptr));
    server_ = UniqueFd(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
    const sockaddr_in address = Loopback(server_port);
    EXPECT_EQ(connect(server_.get(), reinterpret_cast<const sockaddr*>(&address), sizeof(address)),
              0);
    while (true) {
      pollfd ready[3] = {
          {client_.get(), POLLIN, 0}, {server_.get(), POLLIN, 0}, {wake_[0].get(), POLLIN, 0}};
      poll(ready, 3, -1);
      if (ready[2].revents != 0) return;
      if (ready[0].revents != 0 && Copy(client_.get(), server_.get()) <= 0) return;
      if (ready[1].revents == 0) continue;
      const ssize_t size = Copy(server_.get(), client_.get());
      if (size <= 0) return;
      absl::MutexLock lock(&mu_);
      pings_ += size == kPingBytes ? 1 : 0;
    }
  }
  ssize_t Copy(int from, int to) {
    std::array<char, 64 << 10> bytes;
    const ssize_t size = read(from, bytes.data(), bytes.size());
    if (size <= 0 || !WriteAll(to, {bytes.data(), static_cast<size_t>(size)}, "a socket").ok()) {
      return 0;
    }
    return size;
  }

  UniqueFd listener_, client_, server_;
  std::array<UniqueFd, 2> wake_;
  int port_ = 0;
  absl::Mutex mu_;
  int pings_ ABSL_GUARDED_BY(mu_) = 0;
  std::jthread thread_;  // last: it ends first
};

// A stream of events that is read when the test says so.
class Watcher {
 public:
  Watcher(const std::shared_ptr<grpc::Channel>& channel, const std::string& id)
      : stub_(v1::Jobs::NewStub(channel)) {
    v1::WatchJobRequest request;
    request.set_id(id);
    reader_ = stub_->Watch(&context_, request);
  }
  ~Watcher() {
    context_.TryCancel();
    if (!finished_) static_cast<void>(reader_->Finish());
  }
  // The next event that is no heartbeat; false at the end.
  bool Next() {
    while (reader_->Read(&event_)) {
      if (event_.sequence() > 0) return true;
    }
    return false;
  }
  // Reads to the end; the number of the last event, if none was left out, repeated or out of order.
  int64_t ReadAll() {
    int64_t last = event_.sequence();
    while (Next()) {
      if (event_.sequence() != ++last) return -1;
    }
    finished_ = true;
    EXPECT_OK(FromGrpc(reader_->Finish()));
    return last;
  }
  const v1::JobEvent& event() const { return event_; }

 private:
  std::unique_ptr<v1::Jobs::Stub> stub_;
  grpc::ClientContext context_;
  std::unique_ptr<grpc::ClientReader<v1::JobEvent>> reader_;
  v1::JobEvent event_;
  bool finished_ = false;
};

class WatchTest : public RpcServerTest {
 protected:
  // Each progress is an event.
  WatchTest() : RpcServerTest({.progress_interval = absl::ZeroDuration()}) {
    server_.reset();
    Serve("127.0.0.1:0", absl::Seconds(1));
    auto created = CreateSpectrum();
    EXPECT_OK(created);
    id_ = created->job().id();
  }
  int port() {
    int port = 0;
    EXPECT_TRUE(
        absl::SimpleAtoi(server_->address().substr(server_->address().rfind(':') + 1), &port));
    return port;
  }
  // A connection of its own, on which a stream takes 64 KiB that nobody reads.
  static std::shared_ptr<grpc::Channel> Connect(int port) {
    grpc::ChannelArguments arguments;
    arguments.SetInt(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1);
    arguments.SetInt(GRPC_ARG_HTTP2_BDP_PROBE, 0);
    arguments.SetInt(GRPC_ARG_HTTP2_STREAM_LOOKAHEAD_BYTES, 64 << 10);
    return grpc::CreateCustomChannel(absl::StrCat("127.0.0.1:", port),
                                     grpc::InsecureChannelCredentials(), arguments);
  }
  void Lease() {
    v1::SynchronizeRequest idle;
    idle.set_state(v1::IDLE);
    auto answer = Synchronize(idle);
    ASSERT_OK(answer);
    token_ = answer->lease().token();
  }
  // So many events of kEventBytes, each from a call of the slot that was answered.
  void MakeProgress(int events) {
    for (int i = 1; i <= events; ++i) {
      v1::SynchronizeRequest busy;
      busy.set_state(v1::BUSY);
      busy.set_lease_token(token_);
      busy.set_answer_now(true);
      busy.mutable_progress()->set_started(true);
      busy.mutable_progress()->set_fraction(static_cast<double>(i) / (events + 1));
      busy.mutable_progress()->set_message(std::string(kEventBytes, 'x'));
      ASSERT_OK(Synchronize(busy));
    }
  }
  void Fail() {
    v1::SynchronizeRequest done;
    done.set_state(v1::DONE);
    done.set_lease_token(token_);
    done.set_answer_now(true);
    done.mutable_report()->set_outcome("FAILED");
    done.mutable_report()->mutable_error()->set_code(grpc::StatusCode::INVALID_ARGUMENT);
    ASSERT_OK(Synchronize(done));
  }
  bool AwaitWaits(int64_t count) {
    const absl::Time end = absl::Now() + kPatience;
    while (door_.InsideOf(kDefaultTenant).waits != count && absl::Now() < end) {
      absl::Notification nothing;
      nothing.WaitForNotificationWithTimeout(absl::Milliseconds(10));
    }
    return door_.InsideOf(kDefaultTenant).waits == count;
  }

  std::string id_, token_;
};

TEST_F(WatchTest, ReadersThatReadNothingHoldUpNobodyTakeLittleMemoryAndMissNothing) {
  constexpr int kSlow = 20;
  std::vector<std::unique_ptr<Watcher>> slow;
  for (int i = 0; i < kSlow; ++i) {
    slow.push_back(std::make_unique<Watcher>(Connect(port()), id_));
    ASSERT_TRUE(slow.back()->Next());
  }
  Watcher fast(Connect(port()), id_);
  int64_t fast_last = 0;
  std::jthread reads([&] { fast_last = fast.ReadAll(); });
  const size_t before = mallinfo2().uordblks;
  Lease();
  MakeProgress(kEvents);
  Fail();
  reads.join();  // the writer and this reader have come to the end, the others are where they were
  EXPECT_GE(fast_last, kEvents);
  EXPECT_EQ(fast.event().state(), v1::FAILED);
  EXPECT_TRUE(AwaitWaits(kSlow));
  const auto grown = static_cast<int64_t>(mallinfo2().uordblks - before);
  EXPECT_LT(grown, int64_t{kSlow} * kEvents * kEventBytes / 2) << "both sides together";
  for (const auto& watcher : slow) {
    EXPECT_EQ(watcher->ReadAll(), fast_last);
    EXPECT_EQ(watcher->event().state(), v1::FAILED);
  }
  EXPECT_TRUE(AwaitWaits(0));
}

TEST_F(WatchTest, ALateReaderSeesAllThatHappened) {
  Lease();
  MakeProgress(100);
  Fail();
  Watcher late(Connect(port()), id_);
  EXPECT_GE(late.ReadAll(), 100);
  EXPECT_EQ(late.event().state(), v1::FAILED);
}

TEST_F(WatchTest, AClientThatVanishedIsDropped) {
  Relay relay(port());
  Watcher watcher(Connect(relay.port()), id_);
  ASSERT_TRUE(watcher.Next());
  ASSERT_TRUE(AwaitWaits(1));
  relay.Freeze();
  EXPECT_TRUE(AwaitWaits(0));
}

// Nothing can be sent to a client that reads nothing; it is asked whether it lives all the same.
TEST_F(WatchTest, AClientThatReadNothingAndThenVanishedIsDropped) {
  Relay relay(port());
  Watcher watcher(Connect(relay.port()), id_);
  ASSERT_TRUE(watcher.Next());
  Lease();
  MakeProgress(500);
  ASSERT_TRUE(relay.AwaitPings(4));
  ASSERT_TRUE(AwaitWaits(1)) << "it lives";
  relay.Freeze();
  EXPECT_TRUE(AwaitWaits(0));
}

}  // namespace
}  // namespace radiograph
