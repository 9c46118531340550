#include "server/rpc/idle_limit.h"

#include <grpcpp/server.h>
#include <grpcpp/server_builder.h>

#include <atomic>

#include "radiograph/v1/blobs.grpc.pb.h"
#include "tests/support/status_matchers.h"

namespace radiograph {
namespace {

// Counts what comes and goes.
class Counting final : public v1::Blobs::Service {
 public:
  explicit Counting(absl::Duration idle_max) : idle_max_(idle_max) {}
  grpc::Status Write(grpc::ServerContext* context, grpc::ServerReader<v1::WriteRequest>* reader,
                     v1::WriteResponse* response) override {
    IdleLimit idle(context, idle_max_);
    v1::WriteRequest message;
    while (idle.Wait([&] { return reader->Read(&message); })) ++steps;
    response->set_committed_size(steps);
    return grpc::Status::OK;
  }
  grpc::Status Read(grpc::ServerContext* context, const v1::ReadRequest*,
                    grpc::ServerWriter<v1::ReadResponse>* writer) override {
    IdleLimit idle(context, idle_max_);
    v1::ReadResponse piece;
    piece.set_data(std::string(1 << 20, 'x'));
    while (idle.Wait([&] { return writer->Write(piece); })) ++steps;
    return grpc::Status::OK;
  }
  std::atomic<int> steps = 0;

 private:
  const absl::Duration idle_max_;
};

class IdleLimitTest : public ::testing::Test {
 protected:
  void Serve(absl::Duration idle_max) {
    service_ = std::make_unique<Counting>(idle_max);
    server_ = grpc::ServerBuilder().RegisterService(service_.get()).BuildAndStart();
    stub_ = v1::Blobs::NewStub(server_->InProcessChannel({}));
  }
  std::unique_ptr<Counting> service_;
  std::unique_ptr<grpc::Server> server_;
  std::unique_ptr<v1::Blobs::Stub> stub_;
};

TEST_F(IdleLimitTest, AClientThatSendsNothingLosesItsCall) {
  Serve(absl::Milliseconds(20));
  grpc::ClientContext context;
  v1::WriteResponse response;
  auto writer = stub_->Write(&context, &response);
  EXPECT_EQ(writer->Finish().error_code(), grpc::StatusCode::CANCELLED);
}

TEST_F(IdleLimitTest, AClientThatTakesNothingLosesItsCall) {
  Serve(absl::Milliseconds(20));
  grpc::ClientContext context;
  auto reader = stub_->Read(&context, {});
  // Finish discards nothing that has not been read: it waits for the end of the call.
  EXPECT_EQ(reader->Finish().error_code(), grpc::StatusCode::CANCELLED);
}

TEST_F(IdleLimitTest, AClientThatSendsKeepsIt) {
  Serve(absl::Hours(1));
  grpc::ClientContext context;
  v1::WriteResponse response;
  auto writer = stub_->Write(&context, &response);
  for (int i = 0; i < 100; ++i) ASSERT_TRUE(writer->Write({}));
  writer->WritesDone();
  EXPECT_TRUE(writer->Finish().ok());
  EXPECT_EQ(response.committed_size(), 100);
}

}  // namespace
}  // namespace radiograph
