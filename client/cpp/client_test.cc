#include "client/cpp/client.h"

#include <arpa/inet.h>
#include <gmock/gmock.h>
#include <google/rpc/error_details.pb.h>
#include <google/rpc/status.pb.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <filesystem>
#include <thread>

#include "absl/strings/str_cat.h"
#include "client/cpp/fake_server.h"
#include "core/base/clock.h"
#include "core/base/digest.h"
#include "core/base/file.h"
#include "tests/support/status_matchers.h"

namespace radiograph {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using testing::FakeServer;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;
using ::testing::SizeIs;
using testing::StatusIs;

using State = FakeServer::State;

constexpr RetryPolicy kImpatient = {
    .attempts_max = 3,
    .stream_attempts_max = 4,
    .pause_first = absl::ZeroDuration(),
    .pause_max = absl::ZeroDuration(),
};

class ClientTest : public ::testing::Test {
 protected:
  void SetUp() override {
    ASSERT_OK_AND_ASSIGN(client_,
                         Client::Make({.endpoint = fake_.endpoint(), .retry = kImpatient}));
    ASSERT_OK_AND_ASSIGN(TemporaryFolder folder, TemporaryFolder::Make());
    folder_.emplace(std::move(folder));
  }
  std::string Path(absl::string_view name) const {
    return absl::StrCat(folder_->path(), "/", name);
  }
  // Bytes that differ from block to block.
  static std::string Bytes(int64_t count) {
    std::string bytes(count, '\0');
    for (int64_t i = 0; i < count; ++i) bytes[i] = static_cast<char>((i * 7919) >> 3);
    return bytes;
  }
  static v1::Job InState(v1::JobState state) {
    v1::Job job;
    job.set_state(state);
    return job;
  }
  static v1::JobEvent Event(int64_t sequence, v1::JobState state) {
    v1::JobEvent event;
    event.set_sequence(sequence);
    event.set_state(state);
    return event;
  }

  FakeServer fake_;
  std::unique_ptr<Client> client_;
  std::optional<TemporaryFolder> folder_;
};

TEST(ClientMake, ChecksWhatGrpcWouldAbortOnOrLeaveOut) {
  struct Case {
    ClientOptions options;
    const char* message;
  };
  for (const Case& c :
       {Case{{.token = "hunter2 x", .retry = {}}, "token is no token: byte 8 is a blank"},
        {{.token = "hunter2\xc3\xbc", .retry = {}}, "byte 8 is no printable ASCII"},
        {{.token = "hunter2\nx", .retry = {}}, "byte 8 is an end of line"},
        {{.tls = {.authority = "no PEM"}, .retry = {}}, "tls.authority holds no certificate"},
        {{.tls = {.certificate = "x", .key = "y"}, .retry = {}}, "tls.certificate holds no"},
        {{.endpoint = "", .retry = {}}, "endpoint is ''; HOST:PORT"},
        {{.endpoint = "http://h:1", .retry = {}}, "without http://: h:1"},
        {{.endpoint = "a:hunter2@h:1", .retry = {}}, "without a user or a password"}}) {
    const absl::Status status = Client::Make(c.options).status();
    EXPECT_THAT(status, StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr(c.message)));
    EXPECT_THAT(std::string(status.message()), Not(HasSubstr("hunter2")));
  }
  for (const char* token : {"", "s3cret", "s3cret\n", "\xef\xbb\xbfs3cret"}) {
    EXPECT_OK(Client::Make({.token = token, .retry = {}})) << token;
  }
}

TEST_F(ClientTest, RepeatsACallThatIsUnavailableTwice) {
  fake_.With([](State& state) { state.faults.unavailable = 2; });
  ASSERT_OK_AND_ASSIGN(v1::ServerInfo info, client_->GetInfo());
  EXPECT_EQ(info.version(), "fake");
}

TEST_F(ClientTest, GivesUpAfterSoManyAttempts) {
  fake_.With([](State& state) { state.faults.unavailable = 3; });
  EXPECT_THAT(client_->GetInfo(),
              StatusIs(absl::StatusCode::kUnavailable,
                       AllOf(HasSubstr(fake_.endpoint()), HasSubstr("going down"))));
}

TEST_F(ClientTest, RepeatsWhatIsExhaustedForAMomentOnly) {
  fake_.With([](State& state) { state.faults.exhausted = 2; });
  EXPECT_OK(client_->GetInfo());
  fake_.With([](State& state) {
    state.create_status = grpc::Status(grpc::StatusCode::RESOURCE_EXHAUSTED, "needs 9 GB, has 8");
  });
  absl::Status status = client_->CreateJob({}).status();
  EXPECT_THAT(status, StatusIs(absl::StatusCode::kResourceExhausted, "needs 9 GB, has 8"));
  EXPECT_TRUE(FromServer(status));
}

TEST_F(ClientTest, NamesTheEndpointWhenNoServerIsThere) {
  std::string endpoint = absl::StrCat("unix:", Path("nobody"));
  ASSERT_OK_AND_ASSIGN(auto client, Client::Make({.endpoint = endpoint, .retry = kImpatient}));
  absl::Status status = client->GetInfo().status();
  EXPECT_THAT(status, StatusIs(absl::StatusCode::kUnavailable, HasSubstr(endpoint)));
  EXPECT_TRUE(FromServer(status));
}

// gRPC connects anew in the pauses between the attempts, and must hear what became of that.
TEST_F(ClientTest, SaysThatAConnectionWasRefusedEveryTime) {
  const int taken = socket(AF_INET, SOCK_STREAM, 0);  // bound, and nobody listens
  sockaddr_in address = {};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof(address);
  ASSERT_EQ(bind(taken, reinterpret_cast<sockaddr*>(&address), size), 0);
  ASSERT_EQ(getsockname(taken, reinterpret_cast<sockaddr*>(&address), &size), 0);
  ASSERT_OK_AND_ASSIGN(
      auto client,
      Client::Make({.endpoint = absl::StrCat("127.0.0.1:", ntohs(address.sin_port)),
                    .retry = {.attempts_max = 4, .pause_first = absl::Milliseconds(350)}}));
  EXPECT_THAT(client->GetInfo(),
              StatusIs(absl::StatusCode::kUnavailable, HasSubstr("(Connection refused)")));
  close(taken);
}

TEST_F(ClientTest, PutsFieldViolationsIntoTheMessageOnce) {
  google::rpc::BadRequest bad;
  auto* known = bad.add_field_violations();
  known->set_field("params.k");
  known->set_description("is 0; 1..4096 is allowed");
  auto* more = bad.add_field_violations();
  more->set_field("inputs.model");
  more->set_description("is missing");
  google::rpc::Status details;
  details.add_details()->PackFrom(bad);
  fake_.With([&](State& state) {
    state.create_status =
        grpc::Status(grpc::StatusCode::INVALID_ARGUMENT, "params.k is 0; 1..4096 is allowed",
                     details.SerializeAsString());
  });
  EXPECT_THAT(client_->CreateJob({}),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       "params.k is 0; 1..4096 is allowed: inputs.model is missing"));
}

TEST_F(ClientTest, UploadsOnlyWhatIsMissing) {
  std::string old_bytes = Bytes(5000), new_bytes = Bytes(3'000'000);
  ASSERT_OK(WriteFile(Path("old"), old_bytes));
  ASSERT_OK(WriteFile(Path("new"), new_bytes));
  ASSERT_OK(WriteFile(Path("again"), new_bytes));
  fake_.With([&](State& state) { state.blobs[Sha256Hex(old_bytes)] = old_bytes; });
  std::vector<TransferProgress> progress;
  ASSERT_OK_AND_ASSIGN(
      std::vector<v1::Blob> blobs,
      client_->Upload({Path("old"), Path("new"), Path("again")},
                      {.on_progress = [&](const TransferProgress& now) { progress.push_back(now); },
                       .stop = {}}));
  ASSERT_THAT(blobs, SizeIs(3));
  EXPECT_EQ(blobs[0].sha256(), Sha256Hex(old_bytes));
  EXPECT_EQ(blobs[1].sha256(), Sha256Hex(new_bytes));
  EXPECT_EQ(blobs[2].sha256(), Sha256Hex(new_bytes));
  EXPECT_EQ(blobs[1].size(), 3'000'000);
  fake_.With([&](State& state) {
    EXPECT_EQ(state.blobs[Sha256Hex(new_bytes)], new_bytes);
    EXPECT_EQ(state.bytes_received, 3'000'000);
  });
  EXPECT_EQ(progress.front().phase, TransferProgress::kHashing);
  EXPECT_EQ(progress.back().phase, TransferProgress::kSending);
  EXPECT_EQ(progress.back().bytes_done, 6'005'000);
  EXPECT_EQ(progress.back().bytes_total, 6'005'000);
}

TEST_F(ClientTest, UploadsAnEmptyFile) {
  ASSERT_OK(WriteFile(Path("empty"), ""));
  ASSERT_OK(client_->Upload({Path("empty")}));
  fake_.With([](State& state) { EXPECT_TRUE(state.blobs.contains(Sha256Hex(""))); });
}

TEST_F(ClientTest, ABrokenUploadGoesOnWhereItWasCommitted) {
  std::string bytes = Bytes(5 << 20);
  ASSERT_OK(WriteFile(Path("f"), bytes));
  fake_.With(
      [](State& state) { state.faults = {.write_breaks = 2, .write_break_bytes = 2 << 20}; });
  ASSERT_OK(client_->Upload({Path("f")}));
  fake_.With([&](State& state) {
    EXPECT_EQ(state.blobs[Sha256Hex(bytes)], bytes);
    EXPECT_EQ(state.bytes_received, 5 << 20);  // nothing twice
  });
}

TEST_F(ClientTest, AForgottenUploadStartsAnew) {
  std::string bytes = Bytes(3 << 20);
  ASSERT_OK(WriteFile(Path("f"), bytes));
  fake_.With([](State& state) {
    state.faults = {.write_breaks = 1, .write_break_bytes = 2 << 20, .forget_uploads = true};
  });
  ASSERT_OK(client_->Upload({Path("f")}));
  fake_.With([&](State& state) { EXPECT_EQ(state.blobs[Sha256Hex(bytes)], bytes); });
}

TEST_F(ClientTest, AnUploadThatNeverGetsOnIsGivenUp) {
  ASSERT_OK(WriteFile(Path("f"), Bytes(1000)));
  fake_.With([](State& state) { state.faults = {.write_breaks = 1000, .forget_uploads = true}; });
  EXPECT_THAT(client_->Upload({Path("f")}),
              StatusIs(absl::StatusCode::kUnavailable, HasSubstr("connection reset")));
}

TEST_F(ClientTest, AStopRequestEndsAnUpload) {
  ASSERT_OK(WriteFile(Path("f"), Bytes(3 << 20)));
  std::stop_source source;
  TransferOptions options = {.on_progress =
                                 [&](const TransferProgress& now) {
                                   if (now.phase == TransferProgress::kSending)
                                     source.request_stop();
                                 },
                             .stop = source.get_token()};
  EXPECT_THAT(client_->Upload({Path("f")}, options),
              StatusIs(absl::StatusCode::kCancelled, "stopped by request"));
  fake_.With([](State& state) { EXPECT_THAT(state.blobs, IsEmpty()); });
}

TEST_F(ClientTest, AMissingFileIsNotTheServersFault) {
  absl::Status status = client_->Upload({Path("none")}).status();
  EXPECT_THAT(status, StatusIs(absl::StatusCode::kNotFound, HasSubstr(Path("none"))));
  EXPECT_FALSE(FromServer(status));
}

class DownloadTest : public ClientTest {
 protected:
  v1::Blob Store(const std::string& bytes) {
    v1::Blob blob;
    blob.set_sha256(Sha256Hex(bytes));
    blob.set_size(bytes.size());
    fake_.With([&](State& state) { state.blobs[blob.sha256()] = bytes; });
    return blob;
  }
  int FilesInFolder() const {
    return std::distance(std::filesystem::directory_iterator(folder_->path()), {});
  }
};

TEST_F(DownloadTest, GoesOnWhereTheStreamBroke) {
  std::string bytes = Bytes(10'500);
  v1::Blob blob = Store(bytes);
  fake_.With([](State& state) { state.faults.read_breaks = 6; });  // more than stream_attempts_max
  ASSERT_OK(client_->Download(blob, Path("f")));
  ASSERT_OK_AND_ASSIGN(std::string read, ReadFile(Path("f"), 1 << 20));
  EXPECT_EQ(read, bytes);
  EXPECT_EQ(FilesInFolder(), 1);
}

TEST_F(DownloadTest, WrongBytesNeverAppear) {
  v1::Blob blob = Store(Bytes(5000));
  fake_.With([](State& state) { state.faults.corrupt_reads = true; });
  EXPECT_THAT(client_->Download(blob, Path("f")),
              StatusIs(absl::StatusCode::kDataLoss, HasSubstr(blob.sha256())));
  EXPECT_EQ(FilesInFolder(), 0);
}

TEST_F(DownloadTest, TooManyOrTooFewBytesNeverAppear) {
  v1::Blob blob = Store(Bytes(5000));
  for (int64_t size : {4999, 5001}) {
    blob.set_size(size);
    EXPECT_THAT(client_->Download(blob, Path("f")),
                StatusIs(absl::StatusCode::kDataLoss, HasSubstr(absl::StrCat(size))));
    EXPECT_EQ(FilesInFolder(), 0) << size;
  }
}

TEST_F(DownloadTest, BringsAResultIntoItsFolder) {
  v1::Job job = InState(v1::SUCCEEDED);
  for (absl::string_view name : {"result.json", "figures/spectrum.json"}) {
    v1::ArtifactFile* file = job.add_result();
    file->set_name(std::string(name));
    *file->mutable_blob() = Store(std::string(name));
  }
  ASSERT_OK(client_->DownloadResult(job, Path("out")));
  ASSERT_OK_AND_ASSIGN(std::string figure, ReadFile(Path("out/figures/spectrum.json"), 100));
  EXPECT_EQ(figure, "figures/spectrum.json");
}

TEST_F(DownloadTest, AFileNameNeverLeavesTheFolder) {
  for (absl::string_view name : {"../evil", "/etc/evil", "a//b", "a/./b", ""}) {
    v1::Job job = InState(v1::SUCCEEDED);
    v1::ArtifactFile* file = job.add_result();
    file->set_name(std::string(name));
    *file->mutable_blob() = Store("evil");
    EXPECT_THAT(client_->DownloadResult(job, Path("out")),
                StatusIs(absl::StatusCode::kDataLoss, HasSubstr("no relative path")))
        << name;
  }
  EXPECT_EQ(FilesInFolder(), 0);
}

TEST_F(DownloadTest, OnlyASucceededJobHasAResult) {
  EXPECT_THAT(client_->DownloadResult(InState(v1::FAILED), Path("out")),
              StatusIs(absl::StatusCode::kFailedPrecondition, HasSubstr("FAILED")));
}

TEST_F(ClientTest, ListsFollowAllPages) {
  fake_.With([](State& state) {
    for (int i = 0; i < 5; ++i) {
      state.tensors.emplace_back().set_name(absl::StrCat("t", i));
      state.jobs[absl::StrCat("job-", i)].set_id(absl::StrCat("job-", i));
    }
  });
  ASSERT_OK_AND_ASSIGN(std::vector<v1::Tensor> tensors, client_->ListTensors("m"));
  ASSERT_THAT(tensors, SizeIs(5));
  EXPECT_EQ(tensors[4].name(), "t4");
  ASSERT_OK_AND_ASSIGN(std::vector<v1::Job> jobs, client_->ListJobs({}, 3));
  EXPECT_THAT(jobs, SizeIs(3));
}

TEST_F(ClientTest, ARepeatedCreateMakesOneJob) {
  fake_.With([](State& state) { state.faults.unavailable = 1; });
  ASSERT_OK_AND_ASSIGN(v1::CreateJobResponse response, client_->CreateJob({}));
  EXPECT_EQ(response.job().id(), "job-1");
  fake_.With([](State& state) {
    ASSERT_THAT(state.created, SizeIs(1));
    EXPECT_THAT(state.created[0].request_id(), SizeIs(36));
  });
}

TEST_F(ClientTest, ArtifactsComeAndGo) {
  v1::CreateArtifactRequest request;
  request.set_name("digits");
  request.set_kind(v1::DATASET);
  (*request.mutable_roles())["labels"] = "y";
  ASSERT_OK(client_->CreateArtifact(request));
  ASSERT_OK_AND_ASSIGN(v1::Artifact artifact, client_->GetArtifact("digits"));
  EXPECT_EQ(artifact.kind(), v1::DATASET);
  EXPECT_EQ(artifact.roles().at("labels"), "y");
  ASSERT_OK_AND_ASSIGN(std::vector<v1::Artifact> all, client_->ListArtifacts({}));
  EXPECT_THAT(all, SizeIs(1));
  ASSERT_OK(client_->DeleteArtifact("digits@1"));
  EXPECT_THAT(client_->GetArtifact("digits"),
              StatusIs(absl::StatusCode::kNotFound, HasSubstr("digits")));
}

class FollowTest : public ClientTest {
 protected:
  void SetUp() override {
    ClientTest::SetUp();
    fake_.With([](State& state) {
      state.jobs["j"] = InState(v1::RUNNING);
      state.endings["j"] = InState(v1::SUCCEEDED);
      state.events["j"] = {Event(1, v1::QUEUED), Event(0, v1::QUEUED), Event(2, v1::RUNNING),
                           Event(3, v1::RUNNING), Event(4, v1::SUCCEEDED)};
    });
  }
};

TEST_F(FollowTest, EveryEventComesOnceThoughTheStreamBreaks) {
  fake_.With([](State& state) { state.faults.watch_breaks = 3; });
  std::vector<int64_t> seen;
  ASSERT_OK_AND_ASSIGN(v1::Job job, client_->WatchJob("j", 0, [&](const v1::JobEvent& event) {
    seen.push_back(event.sequence());
  }));
  EXPECT_THAT(seen, ElementsAre(1, 2, 3, 4));
  EXPECT_EQ(job.state(), v1::SUCCEEDED);
}

TEST_F(FollowTest, WatchStartsAfterASequence) {
  std::vector<int64_t> seen;
  ASSERT_OK(client_->WatchJob(
      "j", 2, [&](const v1::JobEvent& event) { seen.push_back(event.sequence()); }));
  EXPECT_THAT(seen, ElementsAre(3, 4));
}

TEST_F(FollowTest, WatchGivesUpWhenEventsEndBeforeTheJob) {
  fake_.With([](State& state) { state.endings.clear(); });
  EXPECT_THAT(client_->WatchJob("j", 0, [](const v1::JobEvent&) {}),
              StatusIs(absl::StatusCode::kUnavailable, HasSubstr("end before the job")));
}

TEST_F(FollowTest, WatchOfAnUnknownJobIsNotFound) {
  EXPECT_THAT(client_->WatchJob("x", 0, [](const v1::JobEvent&) {}),
              StatusIs(absl::StatusCode::kNotFound, "no job x"));
}

TEST_F(FollowTest, AStopRequestEndsWatchingNotTheJob) {
  std::stop_source source;
  EXPECT_THAT(client_->WatchJob(
                  "j", 0, [&](const v1::JobEvent&) { source.request_stop(); }, source.get_token()),
              StatusIs(absl::StatusCode::kCancelled, "stopped by request"));
  fake_.With([](State& state) { EXPECT_THAT(state.cancelled, IsEmpty()); });
}

TEST_F(FollowTest, WaitAsksUntilTheJobHasEnded) {
  fake_.With([](State& state) {
    state.waits_until_end = 2;
    state.faults.unavailable = 1;
  });
  ASSERT_OK_AND_ASSIGN(v1::Job job, client_->WaitJob("j"));
  EXPECT_EQ(job.state(), v1::SUCCEEDED);
}

TEST_F(FollowTest, WaitDoesNotHammerAServerThatAnswersAtOnce) {
  fake_.With([](State& state) { state.waits_until_end = 5; });
  const absl::Duration begin = SystemClock().Monotonic();
  ASSERT_OK_AND_ASSIGN(v1::Job job, client_->WaitJob("j"));
  EXPECT_EQ(job.state(), v1::SUCCEEDED);
  EXPECT_GE(SystemClock().Monotonic() - begin, 5 * absl::Milliseconds(100));
}

TEST_F(FollowTest, WaitForAServerThatAnswersAtOnceEndsAtItsTimeout) {
  fake_.With([](State& state) { state.endings.clear(); });
  EXPECT_THAT(client_->WaitJob("j", absl::Milliseconds(250)),
              StatusIs(absl::StatusCode::kDeadlineExceeded, HasSubstr("goes on")));
}

TEST_F(FollowTest, AStopRequestEndsWaitingForAServerThatAnswersAtOnce) {
  fake_.With([](State& state) { state.endings.clear(); });
  std::stop_source source;
  std::jthread stopper([&] { source.request_stop(); });
  EXPECT_THAT(client_->WaitJob("j", absl::InfiniteDuration(), source.get_token()),
              StatusIs(absl::StatusCode::kCancelled, "stopped by request"));
}

TEST_F(FollowTest, WaitEndsAtItsTimeoutAndSaysThatTheJobGoesOn) {
  fake_.With([](State& state) { state.endings.clear(); });
  EXPECT_THAT(client_->WaitJob("j", absl::ZeroDuration()),
              StatusIs(absl::StatusCode::kDeadlineExceeded,
                       AllOf(HasSubstr("RUNNING"), HasSubstr("goes on"))));
}

TEST_F(ClientTest, IsSafeForManyThreads) {
  ASSERT_OK(WriteFile(Path("f"), Bytes(2 << 20)));
  std::vector<absl::Status> results(8);
  {
    std::vector<std::jthread> threads;
    for (absl::Status& result : results) {
      threads.emplace_back([&] { result = client_->Upload({Path("f")}).status(); });
    }
  }
  for (const absl::Status& result : results) EXPECT_OK(result);
}

}  // namespace
}  // namespace radiograph
