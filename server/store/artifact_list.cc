// Lists of artifacts: filter, order, pages.
#include <limits>
#include <utility>

#include "absl/strings/str_cat.h"
#include "core/base/names.h"
#include "core/base/status_macros.h"
#include "server/store/alias_rows.h"
#include "server/store/catalogue.h"
#include "server/store/message_filter.h"
#include "server/store/messages.h"
#include "server/store/page.h"

namespace radiograph {
namespace {

constexpr int64_t kRowsSeenMax = 2'000;  // by one call, before it answers with what it has found

// Versions of one name are numbered in the order in which all artifacts are.
absl::string_view RowsOf(bool one_name, bool descending) {
  if (one_name) {
    return descending
               ? "SELECT sequence, record FROM artifact WHERE tenant = ?1 AND (?2 = 0 OR kind = ?2)"
                 " AND sequence < ?3 AND name = ?4 ORDER BY version DESC"
               : "SELECT sequence, record FROM artifact WHERE tenant = ?1 AND (?2 = 0 OR kind = ?2)"
                 " AND sequence > ?3 AND name = ?4 ORDER BY version";
  }
  return descending
             ? "SELECT sequence, record FROM artifact AS a WHERE tenant = ?1 AND (?2 = 0 OR kind = "
               "?2) AND sequence < ?3 AND version = (SELECT max(version) FROM artifact WHERE "
               "tenant = ?1 AND name = a.name) ORDER BY sequence DESC"
             : "SELECT sequence, record FROM artifact AS a WHERE tenant = ?1 AND (?2 = 0 OR kind = "
               "?2) AND sequence > ?3 AND version = (SELECT max(version) FROM artifact WHERE "
               "tenant = ?1 AND name = a.name) ORDER BY sequence";
}

}  // namespace

absl::StatusOr<v1::ListArtifactsResponse> Catalogue::List(const std::string& tenant,
                                                          const v1::ListArtifactsRequest& request) {
  std::string name;
  if (!request.name().empty()) {
    ASSIGN_OR_RETURN(name, ParseName(request.name()));
  }
  const std::string scope = absl::StrCat("artifacts ", tenant, " ", request.kind(), " ", name, "\n",
                                         request.order_by(), "\n", request.filter());
  ASSIGN_OR_RETURN(const int64_t size, PageSize(request.page_size()));
  ASSIGN_OR_RETURN(const ListOrder order, ParseOrderBy(request.order_by(), {"create_time"}));
  ASSIGN_OR_RETURN(const MessageFilter filter,
                   MessageFilter::Parse(request.filter(), v1::Artifact::descriptor()));
  ASSIGN_OR_RETURN(const std::optional<PagePosition> after,
                   ParsePageToken(scope, request.page_token()));
  constexpr int64_t kBeyond = std::numeric_limits<int64_t>::max();
  int64_t last = after ? after->sequence : order.descending ? kBeyond : 0;
  v1::ListArtifactsResponse response;
  RETURN_IF_ERROR(database_->Read([&](Connection& connection) -> absl::Status {
    const bool one_name = !name.empty();
    Statement& rows = connection.Prepare(RowsOf(one_name, order.descending));
    rows.Bind(1, tenant).Bind(2, request.kind()).Bind(3, last);
    if (one_name) rows.Bind(4, name);
    size_t bytes = 0;
    for (int64_t seen = 0;; ++seen) {
      ASSIGN_OR_RETURN(const bool found, rows.Step());
      if (!found) return absl::OkStatus();
      if (response.artifacts_size() == size || bytes >= kPageBytesMax || seen == kRowsSeenMax) {
        response.set_next_page_token(PageToken(scope, {.sequence = last}));
        return absl::OkStatus();
      }
      last = rows.Int(0);
      v1::Artifact artifact;
      RETURN_IF_ERROR(ParseRecord(rows.Blob(1), artifact));
      RETURN_IF_ERROR(AddAliases(connection, tenant, artifact));
      if (!filter.Matches(artifact)) continue;
      bytes += artifact.ByteSizeLong();
      *response.add_artifacts() = std::move(artifact);
    }
  }));
  return response;
}

}  // namespace radiograph
