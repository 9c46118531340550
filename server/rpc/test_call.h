// Calls of tests whose messages aren't ours, and what reflection tells.
#ifndef RADIOGRAPH_SERVER_RPC_TEST_CALL_H_
#define RADIOGRAPH_SERVER_RPC_TEST_CALL_H_

#include <google/protobuf/descriptor.h>
#include <grpcpp/channel.h>
#include <grpcpp/client_context.h>
#include <grpcpp/impl/client_unary_call.h>
#include <grpcpp/support/byte_buffer.h>
#include <gtest/gtest.h>

#include <memory>
#include <set>
#include <string>

#include "absl/strings/str_cat.h"

namespace radiograph::testing {

inline constexpr char kReflection[] =
    "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo";
inline constexpr char kListServices[] = "\x3a\x01*";  // field 7

// One message there, one back. The message of an error.
inline std::string CallBytes(const std::shared_ptr<grpc::Channel>& channel, const char* method,
                             const std::string& message) {
  using grpc::ByteBuffer;
  grpc::ClientContext context;
  const grpc::internal::RpcMethod rpc(method, grpc::internal::RpcMethod::NORMAL_RPC, channel);
  grpc::Slice slice(message);
  const ByteBuffer request(&slice, 1);
  ByteBuffer response;
  const grpc::Status status =
      grpc::internal::BlockingUnaryCall<ByteBuffer, ByteBuffer, ByteBuffer, ByteBuffer>(
          channel.get(), rpc, &context, request, &response);
  if (!status.ok() || !response.DumpToSingleSlice(&slice).ok()) return status.error_message();
  return std::string(reinterpret_cast<const char*>(slice.begin()), slice.size());
}

// "Jobs.Create" and all others. The names of our services stand in reflection's answer, their
// methods in their descriptors.
inline std::set<std::string> MethodsByReflection(const std::shared_ptr<grpc::Channel>& channel) {
  const std::string text = CallBytes(channel, kReflection, kListServices);
  std::set<std::string> methods;
  for (size_t at = text.find("radiograph.v1."); at != text.npos;
       at = text.find("radiograph.v1.", at + 1)) {
    const size_t size = static_cast<unsigned char>(text[at - 1]);  // of a short string
    const auto* service = google::protobuf::DescriptorPool::generated_pool()->FindServiceByName(
        text.substr(at, size));
    EXPECT_NE(service, nullptr) << text.substr(at, size);
    for (int i = 0; service != nullptr && i < service->method_count(); ++i) {
      methods.insert(absl::StrCat(service->name(), ".", service->method(i)->name()));
    }
  }
  return methods;
}

}  // namespace radiograph::testing

#endif  // RADIOGRAPH_SERVER_RPC_TEST_CALL_H_
