// Messages as bytes in rows.
#ifndef RADIOGRAPH_SERVER_STORE_MESSAGES_H_
#define RADIOGRAPH_SERVER_STORE_MESSAGES_H_

#include <optional>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "google/protobuf/message_lite.h"
#include "google/protobuf/repeated_field.h"
#include "google/protobuf/timestamp.pb.h"
#include "radiograph/v1/artifacts.pb.h"
#include "server/store/connection.h"
#include "server/store/tenant.h"

namespace radiograph {

// The same bytes for the same message: maps are sorted by key. Digests are taken of these.
std::string DeterministicBytes(const google::protobuf::MessageLite& message);
// DATA_LOSS when the bytes are no such message.
absl::Status ParseRecord(absl::string_view bytes, google::protobuf::MessageLite& message);

google::protobuf::Timestamp ToTimestamp(absl::Time time);
absl::Time FromTimestamp(const google::protobuf::Timestamp& timestamp);

// The size of a blob that has its row and that the tenant possesses: it has uploaded it, or was
// given it.
absl::StatusOr<std::optional<int64_t>> PossessedSize(Connection& connection,
                                                     const std::string& tenant,
                                                     absl::string_view sha256);
// FAILED_PRECONDITION naming the files whose blobs the tenant doesn't possess.
absl::Status CheckPossession(Connection& connection, const std::string& tenant,
                             const google::protobuf::RepeatedPtrField<v1::ArtifactFile>& files);
// Whoever stores what names blobs calls one of these in that transaction: so the collector
// (collector.h) learns that they are needed.
//
// The same check, in a write.
absl::Status RequireBlobs(Connection& connection, const std::string& tenant,
                          const google::protobuf::RepeatedPtrField<v1::ArtifactFile>& files);
// Makes the tenant possess what is here, from now on as needed; in a write.
absl::Status GiveBlob(Connection& connection, const std::string& tenant, absl::string_view sha256);
absl::Status GiveBlobs(Connection& connection, const std::string& tenant,
                       const google::protobuf::RepeatedPtrField<v1::ArtifactFile>& files);

}  // namespace radiograph

#endif  // RADIOGRAPH_SERVER_STORE_MESSAGES_H_
