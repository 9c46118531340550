#include "core/process/frames.h"

#include <unistd.h>

#include "absl/strings/cord.h"
#include "core/base/file.h"
#include "tests/support/status_matchers.h"

namespace radiograph {
namespace {

using ::radiograph::testing::StatusIs;
using ::testing::HasSubstr;

// What one side writes, without the line end, as the other side reads it.
template <typename Frame>
absl::StatusOr<FrameFromCompute> Through(Frame frame) {
  std::string line = ToLine(FrameFromCompute(std::move(frame)));
  EXPECT_EQ(line.find('\n'), line.size() - 1);
  line.pop_back();
  return ParseFrameFromCompute(line);
}

TEST(Frames, ReadyCarriesEngineAndAnalyses) {
  ReadyFrame ready;
  ready.engine.torch_version = "2.13.0+cpu";
  ready.engine.threads = 2;
  ready.memory_bytes = int64_t{1} << 40;
  ready.analyses = {{"bilinear.spectrum", 1}, {"circles.signals", 3}};
  ASSERT_OK_AND_ASSIGN(FrameFromCompute got, Through(ready));
  EXPECT_EQ(std::get<ReadyFrame>(got).engine.torch_version, "2.13.0+cpu");
  EXPECT_EQ(std::get<ReadyFrame>(got).engine.threads, 2);
  EXPECT_EQ(std::get<ReadyFrame>(got).analyses, ready.analyses);
  EXPECT_EQ(std::get<ReadyFrame>(got).memory_bytes, int64_t{1} << 40);
}

TEST(Frames, ProgressKeepsLineEndsInsideItsLine) {
  ASSERT_OK_AND_ASSIGN(FrameFromCompute got, Through(Progress{0.125, "eigh", "two\nlines"}));
  EXPECT_EQ(std::get<Progress>(got).fraction, 0.125);
  EXPECT_EQ(std::get<Progress>(got).phase, "eigh");
  EXPECT_EQ(std::get<Progress>(got).message, "two\nlines");
}

TEST(Frames, DoneCarriesStatusWithPayloadOfAnyBytes) {
  DoneFrame done{absl::InvalidArgumentError("k is 0"), 1.5, 10, 20};
  done.status.SetPayload("a/b", absl::Cord(absl::string_view("\x00\xff", 2)));
  ASSERT_OK_AND_ASSIGN(FrameFromCompute got, Through(done));
  EXPECT_EQ(std::get<DoneFrame>(got).status, done.status);
  EXPECT_EQ(std::get<DoneFrame>(got).seconds, 1.5);
  EXPECT_EQ(std::get<DoneFrame>(got).peak_host_bytes, 10);
  EXPECT_EQ(std::get<DoneFrame>(got).peak_device_bytes, 20);
}

TEST(Frames, QuestionsKeepTheirName) {
  for (AskFrame::What what : {AskFrame::What::kSave, AskFrame::What::kLoad}) {
    for (const KeptName& name :
         {KeptName{.key = "k", .memo = ""}, KeptName{.key = "", .memo = "m"}}) {
      ASSERT_OK_AND_ASSIGN(FrameFromCompute got, Through(AskFrame{7, what, name}));
      EXPECT_EQ(std::get<AskFrame>(got).id, 7);
      EXPECT_EQ(std::get<AskFrame>(got).what, what);
      EXPECT_EQ(std::get<AskFrame>(got).name.key, name.key);
      EXPECT_EQ(std::get<AskFrame>(got).name.memo, name.memo);
    }
  }
  EXPECT_FALSE(ParseFrameFromCompute(R"({"save": {"id": 1, "key": "k"}})").ok());
  EXPECT_FALSE(ParseFrameFromCompute(R"({"load": {"id": "1", "key": "k", "memo": ""}})").ok());
  EXPECT_FALSE(ParseFrameToCompute(R"({"answer": {"id": 1, "code": 0}})").ok());
}

TEST(Frames, MessageThatIsNotUtf8IsRepaired) {
  ASSERT_OK_AND_ASSIGN(FrameFromCompute got, Through(DoneFrame{absl::InternalError("a\xff")}));
  EXPECT_EQ(std::get<DoneFrame>(got).status.message(), "a\xEF\xBF\xBD");
}

TEST(Frames, HugeMessageStaysBelowTheLineLimit) {
  DoneFrame done{absl::InternalError(std::string(3 * kLineBytesMax, '\n'))};
  EXPECT_LT(ToLine(FrameFromCompute(done)).size(), kLineBytesMax);
}

TEST(Frames, WordsToComputeArrive) {
  ASSERT_OK_AND_ASSIGN(FrameToCompute run, ParseFrameToCompute(R"({"run": "/tmp/a b"})"));
  EXPECT_EQ(std::get<RunFrame>(run).folder, "/tmp/a b");
  EXPECT_FALSE(std::get<RunFrame>(run).keeps);
  std::string line = ToLine(FrameToCompute(RunFrame{.folder = "/a", .keeps = true}));
  ASSERT_OK_AND_ASSIGN(run, ParseFrameToCompute(line));
  EXPECT_TRUE(std::get<RunFrame>(run).keeps);
  line = ToLine(FrameToCompute(AnswerFrame{.id = 3, .status = absl::AbortedError("not yours")}));
  ASSERT_OK_AND_ASSIGN(FrameToCompute answer, ParseFrameToCompute(line));
  EXPECT_EQ(std::get<AnswerFrame>(answer).id, 3);
  EXPECT_EQ(std::get<AnswerFrame>(answer).status, absl::AbortedError("not yours"));
  ASSERT_OK_AND_ASSIGN(FrameToCompute cancel, ParseFrameToCompute(R"({"cancel": true})"));
  EXPECT_TRUE(std::holds_alternative<CancelFrame>(cancel));
}

// A path may hold every byte but NUL.
TEST(Frames, FolderOfAnyBytesArrives) {
  std::string all = "/";
  for (int byte = 1; byte < 256; ++byte) all.push_back(static_cast<char>(byte));
  for (const std::string& folder : {std::string("r\xe9sultats"), std::string("/a\\n\\x41\"b\n"),
                                    std::string("/\xD1\x8F/\xF0\x28\x8C"), all}) {
    ASSERT_OK_AND_ASSIGN(FrameToCompute run,
                         ParseFrameToCompute(ToLine(FrameToCompute(RunFrame{.folder = folder}))));
    EXPECT_EQ(std::get<RunFrame>(run).folder, folder);
  }
  EXPECT_FALSE(ParseFrameToCompute(R"({"run": "/bad\\q"})").ok());
}

TEST(Frames, AnythingElseIsRefusedAndShown) {
  for (const char* line :
       {"hello", "[]", "{}", R"({"progress": 1})", R"({"done": {"code": "x"}})",
        R"({"ready": {}, "analyses": 1})", R"({"progress": {"fraction": "0.5"}})"}) {
    EXPECT_THAT(ParseFrameFromCompute(line),
                StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("no message")))
        << line;
  }
  EXPECT_THAT(ParseFrameToCompute("hello"),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("hello")));
}

class LineReaderTest : public ::testing::Test {
 protected:
  void SetUp() override { ASSERT_EQ(pipe(fds_), 0); }
  void TearDown() override {
    close(fds_[0]);
    close(fds_[1]);
  }
  void Write(absl::string_view bytes) { ASSERT_OK(WriteAll(fds_[1], bytes, "pipe")); }
  int fds_[2];
};

TEST_F(LineReaderTest, PutsTogetherWhatComesInPieces) {
  LineReader lines(fds_[0], "child");
  Write("one\ntw");
  EXPECT_EQ(lines.Next(), std::nullopt);
  EXPECT_TRUE(lines.Fill().value());
  EXPECT_EQ(lines.Next(), "one");
  EXPECT_EQ(lines.Next(), std::nullopt);
  Write("o\n\n");
  EXPECT_TRUE(lines.Fill().value());
  EXPECT_EQ(lines.Next(), "two");
  EXPECT_EQ(lines.Next(), "");
  EXPECT_EQ(lines.Next(), std::nullopt);
}

TEST_F(LineReaderTest, EndIsFalseAndAnUnfinishedLineIsDropped) {
  LineReader lines(fds_[0], "child");
  Write("half");
  close(std::exchange(fds_[1], -1));
  EXPECT_TRUE(lines.Fill().value());
  EXPECT_EQ(lines.Next(), std::nullopt);
  EXPECT_FALSE(lines.Fill().value());
}

TEST_F(LineReaderTest, LineWithoutEndHitsTheLimit) {
  LineReader lines(fds_[0], "child");
  const std::string chunk(4096, 'x');
  absl::StatusOr<bool> more = true;
  for (int64_t sent = 0; more.ok() && sent <= kLineBytesMax + 4096; sent += 4096) {
    Write(chunk);
    more = lines.Fill();
    EXPECT_EQ(lines.Next(), std::nullopt);
  }
  EXPECT_THAT(more, StatusIs(absl::StatusCode::kResourceExhausted, HasSubstr("child sent a line")));
}

}  // namespace
}  // namespace radiograph
