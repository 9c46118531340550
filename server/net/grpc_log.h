// What the libraries that speak for a program of the server write to its log.
#ifndef RADIOGRAPH_SERVER_NET_GRPC_LOG_H_
#define RADIOGRAPH_SERVER_NET_GRPC_LOG_H_

namespace radiograph {

// From now on the messages of gRPC and Protobuf are lines of our log (core/base/log.h), event
// `grpc_message` or `protobuf_message`, without what may be a secret. For main(), before the first
// call of either.
void LogGrpcAsOurs();

}  // namespace radiograph

#endif  // RADIOGRAPH_SERVER_NET_GRPC_LOG_H_
