#include "server/rpc/artifacts.h"

#include <google/protobuf/util/message_differencer.h>

#include "absl/strings/str_cat.h"
#include "server/rpc/status.h"
#include "server/rpc/test_store.h"

namespace radiograph {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using testing::StatusIs;

class ArtifactsTest : public testing::StoreTest {
 protected:
  absl::StatusOr<v1::Artifact> Create(const v1::CreateArtifactRequest& request) {
    return CreateArtifact(*store_, kDefaultTenant, request);
  }
};

TEST_F(ArtifactsTest, AModelGetsVersionDigestAndArchitecture) {
  auto request = Request("digits", {{"model.safetensors", ModelBytes()}});
  (*request.mutable_labels())["step"] = "7";
  ASSERT_OK_AND_ASSIGN(const v1::Artifact artifact, Create(request));
  EXPECT_EQ(artifact.version(), 1);
  EXPECT_EQ(artifact.digest().size(), 64u);
  EXPECT_EQ(artifact.architecture().fields().at("family").string_value(), "bilinear");
  EXPECT_EQ(artifact.labels().at("step"), "7");
  ASSERT_OK_AND_ASSIGN(const v1::Artifact read, store_->catalogue.Get(kDefaultTenant, "digits@1"));
  EXPECT_TRUE(google::protobuf::util::MessageDifferencer::Equals(read, artifact));
}

TEST_F(ArtifactsTest, ValidateOnlyStoresNothing) {
  auto request = Request("digits", {{"model.safetensors", ModelBytes()}});
  request.set_validate_only(true);
  ASSERT_OK_AND_ASSIGN(const v1::Artifact artifact, Create(request));
  EXPECT_EQ(artifact.version(), 0);
  EXPECT_EQ(artifact.digest().size(), 64u);
  EXPECT_THAT(store_->catalogue.Get(kDefaultTenant, "digits"),
              StatusIs(absl::StatusCode::kNotFound, HasSubstr("digits")));
}

TEST_F(ArtifactsTest, WhatIsNoSafetensorsIsRefusedByFileAndRule) {
  const std::string pickle = "\x80\x04\x95" + std::string(100, 'x');
  EXPECT_THAT(Create(Request("digits", {{"model.safetensors", pickle}})),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("model.safetensors")));
  const std::string cut = ModelBytes().substr(0, ModelBytes().size() - 1);
  EXPECT_THAT(Create(Request("digits", {{"model.safetensors", cut}})),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("model.safetensors")));
}

TEST_F(ArtifactsTest, FilesThatWereNotUploadedAreNamed) {
  auto request = Request("digits", {{"model.safetensors", ModelBytes()}});
  v1::ArtifactFile* missing = request.add_files();
  missing->set_name("names.json");
  missing->mutable_blob()->set_sha256(std::string(64, 'a'));
  missing->mutable_blob()->set_size(10);
  const absl::Status status = Create(request).status();
  EXPECT_THAT(status,
              StatusIs(absl::StatusCode::kFailedPrecondition,
                       AllOf(HasSubstr("names.json"), Not(HasSubstr("model.safetensors")))));
  EXPECT_EQ(ReasonOf(status), "BLOBS_MISSING");
}

TEST_F(ArtifactsTest, AllViolationsComeAtOnce) {
  v1::CreateArtifactRequest request;
  request.set_name("no spaces");
  (*request.mutable_labels())[std::string(65, 'k')] = "v";
  (*request.mutable_roles())["inputs"] = "x";
  const std::vector<Violation> violations = ViolationsOf(Create(request).status());
  std::vector<std::string> fields;
  for (const Violation& violation : violations) fields.push_back(violation.field);
  EXPECT_THAT(fields, ::testing::ElementsAre("name", "kind", "files", "roles",
                                             absl::StrCat("labels.", std::string(64, 'k'))));
}

TEST_F(ArtifactsTest, ARoleNamesATensorThatIsThere) {
  auto request = Request("train", {{"data.safetensors", DataBytes()}}, v1::DATASET);
  (*request.mutable_roles())["inputs"] = "input";
  EXPECT_THAT(Create(request), StatusIs(absl::StatusCode::kInvalidArgument,
                                        AllOf(HasSubstr("\"input\""), HasSubstr("inputs"))));
  (*request.mutable_roles())["inputs"] = "inputs";
  ASSERT_OK_AND_ASSIGN(const v1::Artifact artifact, Create(request));
  EXPECT_EQ(artifact.roles().at("inputs"), "inputs");
  EXPECT_FALSE(artifact.has_architecture());
}

TEST_F(ArtifactsTest, TensorsComeByNameInPages) {
  ASSERT_OK(Create(Request("digits", {{"model.safetensors", ModelBytes()}})));
  v1::ListTensorsRequest request;
  request.set_ref("digits");
  request.set_page_size(2);
  ASSERT_OK_AND_ASSIGN(v1::ListTensorsResponse page,
                       ListTensors(*store_, *headers_, kDefaultTenant, request));
  ASSERT_EQ(page.tensors_size(), 2);
  EXPECT_EQ(page.tensors(0).name(), "blocks.0.weight");
  EXPECT_EQ(page.tensors(0).dtype(), "F32");
  EXPECT_EQ(page.tensors(0).shape(1), 6);
  EXPECT_EQ(page.tensors(0).file(), "model.safetensors");
  request.set_page_token(page.next_page_token());
  ASSERT_OK_AND_ASSIGN(page, ListTensors(*store_, *headers_, kDefaultTenant, request));
  ASSERT_EQ(page.tensors_size(), 1);
  EXPECT_EQ(page.tensors(0).name(), "head.weight");
  EXPECT_EQ(page.next_page_token(), "");
}

TEST_F(ArtifactsTest, TensorsOfAnUnknownArtifactAreNotFound) {
  v1::ListTensorsRequest request;
  request.set_ref("nobody");
  EXPECT_THAT(ListTensors(*store_, *headers_, kDefaultTenant, request),
              StatusIs(absl::StatusCode::kNotFound, HasSubstr("nobody")));
}

}  // namespace
}  // namespace radiograph
