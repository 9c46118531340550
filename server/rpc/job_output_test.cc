#include "server/rpc/job_output.h"

#include "absl/synchronization/notification.h"
#include "server/rpc/test_store.h"

namespace radiograph {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Pair;
using testing::StatusIs;
using ::testing::UnorderedElementsAre;

class JobOutputTest : public testing::StoreTest {
 protected:
  // A job "j" as it is stored; a SUCCEEDED one has left a result.
  void Insert(v1::JobState state) {
    JobRow row;
    row.job.set_id("j");
    row.job.set_state(state);
    if (state == v1::SUCCEEDED) {
      const std::string arrays = Tensors({{"eigenvalues", safetensors::DType::kF64, {3, 4}},
                                          {"effective_rank", safetensors::DType::kF64, {3}}});
      const auto files = Request("r", {{"arrays.safetensors", arrays},
                                       {"figures/a.json", "{}"},
                                       {"result.json", "{}"},
                                       {"run.json", "{}"}});
      *row.job.mutable_result() = files.files();
    }
    row.job.set_tenant(kDefaultTenant);
    v1::JobEvent event;
    event.mutable_time()->set_seconds(1);
    absl::Notification done;
    store_->jobs.Transact(
        [&](JobTransaction& transaction) { return transaction.Insert(row, event, "{}"); },
        [&](const JobStore::Changes& changes) {
          EXPECT_OK(changes);
          done.Notify();
        });
    done.WaitForNotification();
  }
  absl::StatusOr<v1::Artifact> Output(const std::string& ref, const InputSpec* input,
                                      const std::string& tenant = kDefaultTenant) {
    return JobOutput(*store_, {tenant, ref}, input);
  }
  static std::vector<std::string> FilesOf(const v1::Artifact& artifact) {
    std::vector<std::string> names;
    for (const v1::ArtifactFile& file : artifact.files()) names.push_back(file.name());
    return names;
  }
  const InputSpec directions_ = {
      .name = "directions", .kind = ArtifactKind::kDataset, .options = {.roles = {"directions"}}};
};

TEST_F(JobOutputTest, AnArrayIsADatasetInTheInputsRole) {
  Insert(v1::SUCCEEDED);
  ASSERT_OK_AND_ASSIGN(const v1::Artifact artifact, Output("job:j/eigenvalues", &directions_));
  EXPECT_EQ(artifact.kind(), v1::DATASET);
  EXPECT_EQ(artifact.name(), "job:j/eigenvalues");
  EXPECT_THAT(FilesOf(artifact), ElementsAre("arrays.safetensors"));
  EXPECT_THAT(artifact.roles(), UnorderedElementsAre(Pair("directions", "eigenvalues")));
  // Jobs.Create reads its header as that of any artifact.
  ASSERT_OK_AND_ASSIGN(const auto resolved, headers_->Get(artifact));
  EXPECT_THAT(resolved->header.Role("directions")->shape, ElementsAre(3, 4));
}

TEST_F(JobOutputTest, AnotherArrayIsAnotherInput) {
  Insert(v1::SUCCEEDED);
  ASSERT_OK_AND_ASSIGN(const v1::Artifact one, Output("job:j/eigenvalues", &directions_));
  ASSERT_OK_AND_ASSIGN(const v1::Artifact other, Output("job:j/effective_rank", &directions_));
  EXPECT_NE(one.digest(), other.digest());  // or the cache would mix them up
}

TEST_F(JobOutputTest, TheWholeResultIsWhatItsDigestCovers) {
  Insert(v1::SUCCEEDED);
  ASSERT_OK_AND_ASSIGN(const v1::Artifact artifact, Output("job:j/result", nullptr));
  EXPECT_EQ(artifact.kind(), v1::RESULT);
  EXPECT_THAT(FilesOf(artifact),
              ElementsAre("arrays.safetensors", "figures/a.json", "result.json"));
  EXPECT_OK(headers_->Get(artifact));
}

TEST_F(JobOutputTest, AnUnknownOutputNamesThoseThereAre) {
  Insert(v1::SUCCEEDED);
  EXPECT_THAT(Output("job:j/model", &directions_),
              StatusIs(absl::StatusCode::kNotFound,
                       HasSubstr("job j has no output \"model\"; it has result, effective_rank, "
                                 "eigenvalues")));
}

TEST_F(JobOutputTest, OneArrayPlaysNotSeveralRoles) {
  Insert(v1::SUCCEEDED);
  InputSpec data = directions_;
  data.options.roles = {"inputs", "labels"};
  EXPECT_THAT(Output("job:j/eigenvalues", &data),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       AllOf(HasSubstr("one array"), HasSubstr("inputs, labels"))));
}

TEST_F(JobOutputTest, AJobThatHasNotSucceededHasNone) {
  Insert(v1::FAILED);
  EXPECT_THAT(Output("job:j/eigenvalues", &directions_),
              StatusIs(absl::StatusCode::kFailedPrecondition, HasSubstr("job j is FAILED")));
  EXPECT_THAT(Output("job:k/eigenvalues", &directions_),
              StatusIs(absl::StatusCode::kNotFound, HasSubstr("k")));
}

TEST_F(JobOutputTest, AnotherTenantsJobIsNotThere) {
  Insert(v1::SUCCEEDED);
  EXPECT_THAT(Output("job:j/eigenvalues", &directions_, "theirs"),
              StatusIs(absl::StatusCode::kNotFound, HasSubstr("j")));
}

TEST_F(JobOutputTest, ARefHasAJobAndAnOutput) {
  for (const char* ref : {"job:", "job:j", "job:j/", "job:/eigenvalues"}) {
    EXPECT_TRUE(IsJobOutput(ref));
    EXPECT_THAT(Output(ref, nullptr),
                StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("job:ID/OUTPUT")));
  }
  EXPECT_FALSE(IsJobOutput("jobs/digits@2"));
}

}  // namespace
}  // namespace radiograph
