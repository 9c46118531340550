#include "server/store/messages.h"

#include <algorithm>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "core/base/status_macros.h"
#include "google/protobuf/io/coded_stream.h"
#include "google/protobuf/io/zero_copy_stream_impl_lite.h"

namespace radiograph {

std::string DeterministicBytes(const google::protobuf::MessageLite& message) {
  std::string bytes;
  {
    google::protobuf::io::StringOutputStream stream(&bytes);
    google::protobuf::io::CodedOutputStream coded(&stream);
    coded.SetSerializationDeterministic(true);
    message.SerializeToCodedStream(&coded);
  }
  return bytes;
}

absl::Status ParseRecord(absl::string_view bytes, google::protobuf::MessageLite& message) {
  if (message.ParseFromArray(bytes.data(), static_cast<int>(bytes.size()))) return absl::OkStatus();
  return absl::DataLossError(
      absl::StrCat("database: a record of ", bytes.size(), " bytes is no ", message.GetTypeName()));
}

google::protobuf::Timestamp ToTimestamp(absl::Time time) {
  google::protobuf::Timestamp timestamp;
  const timespec parts = absl::ToTimespec(time);
  timestamp.set_seconds(parts.tv_sec);
  timestamp.set_nanos(static_cast<int32_t>(parts.tv_nsec));
  return timestamp;
}

absl::Time FromTimestamp(const google::protobuf::Timestamp& timestamp) {
  return absl::FromUnixSeconds(timestamp.seconds()) + absl::Nanoseconds(timestamp.nanos());
}

absl::StatusOr<std::optional<int64_t>> PossessedSize(Connection& connection,
                                                     const std::string& tenant,
                                                     absl::string_view sha256) {
  Statement& find =
      connection
          .Prepare(
              "SELECT size FROM blob WHERE sha256 = ?1 AND (?2 = '*' OR EXISTS "
              "(SELECT 1 FROM possession WHERE tenant = ?2 AND possession.sha256 = ?1))")
          .Bind(1, sha256)
          .Bind(2, tenant);
  ASSIGN_OR_RETURN(bool found, find.Step());
  if (!found) return std::nullopt;
  return find.Int(0);
}

absl::Status GiveBlob(Connection& connection, const std::string& tenant, absl::string_view sha256) {
  return connection
      .Prepare(
          "INSERT INTO possession (tenant, sha256) VALUES (?, ?) ON CONFLICT (tenant, sha256) "
          "DO UPDATE SET unneeded_since = 0 WHERE unneeded_since <> 0")
      .Bind(1, tenant)
      .Bind(2, sha256)
      .Run();
}

absl::Status GiveBlobs(Connection& connection, const std::string& tenant,
                       const google::protobuf::RepeatedPtrField<v1::ArtifactFile>& files) {
  for (const v1::ArtifactFile& file : files) {
    RETURN_IF_ERROR(GiveBlob(connection, tenant, file.blob().sha256()));
  }
  return absl::OkStatus();
}

absl::Status CheckPossession(Connection& connection, const std::string& tenant,
                             const google::protobuf::RepeatedPtrField<v1::ArtifactFile>& files) {
  std::vector<std::string> missing;
  for (const v1::ArtifactFile& file : files) {
    ASSIGN_OR_RETURN(const std::optional<int64_t> size,
                     PossessedSize(connection, tenant, file.blob().sha256()));
    if (size != file.blob().size())
      missing.push_back(absl::StrCat(file.name(), " (", file.blob().sha256(), ")"));
  }
  if (missing.empty()) return absl::OkStatus();
  constexpr size_t kNamed = 10;
  const size_t count = missing.size();
  missing.resize(std::min(count, kNamed));
  return absl::FailedPreconditionError(absl::StrCat("upload these ", count,
                                                    " blobs first: ", absl::StrJoin(missing, ", "),
                                                    count > kNamed ? ", ..." : ""));
}

absl::Status RequireBlobs(Connection& connection, const std::string& tenant,
                          const google::protobuf::RepeatedPtrField<v1::ArtifactFile>& files) {
  RETURN_IF_ERROR(CheckPossession(connection, tenant, files));
  return GiveBlobs(connection, tenant, files);
}

}  // namespace radiograph
