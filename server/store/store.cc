#include "server/store/store.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "core/base/status_macros.h"

namespace radiograph {

absl::StatusOr<std::unique_ptr<Store>> Store::Open(BlobStore::Options options, const Clock* clock,
                                                   Disk* disk) {
  ASSIGN_OR_RETURN(StateFolder folder, StateFolder::Lock(options.folder));
  ASSIGN_OR_RETURN(std::unique_ptr<Database> database,
                   Database::Open({.path = absl::StrCat(folder.path(), "/radiograph.db"),
                                   .check_integrity = folder.unclean()}));
  ASSIGN_OR_RETURN(std::unique_ptr<BlobStore> blobs,
                   BlobStore::Open(std::move(options), database.get(), clock, disk));
  folder.SetOpened();
  Catalogue catalogue(database.get(), clock);
  JobStore jobs(database.get());
  return std::unique_ptr<Store>(
      new Store{std::move(folder), std::move(database), std::move(blobs), catalogue, jobs});
}

}  // namespace radiograph
