// All that a server keeps, opened together.
#ifndef RADIOGRAPH_SERVER_STORE_STORE_H_
#define RADIOGRAPH_SERVER_STORE_STORE_H_

#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "core/base/clock.h"
#include "server/store/blob_store.h"
#include "server/store/catalogue.h"
#include "server/store/database.h"
#include "server/store/disk.h"
#include "server/store/job_store.h"
#include "server/store/state_folder.h"

namespace radiograph {

struct Store {
  // Locks the folder (one server per folder), opens or makes what is in it. `options.folder` is the
  // state folder; `clock` and `disk` must outlive the store.
  static absl::StatusOr<std::unique_ptr<Store>> Open(BlobStore::Options options, const Clock* clock,
                                                     Disk* disk);
  StateFolder folder;
  std::unique_ptr<Database> database;
  std::unique_ptr<BlobStore> blobs;
  Catalogue catalogue;
  JobStore jobs;
};

}  // namespace radiograph

#endif  // RADIOGRAPH_SERVER_STORE_STORE_H_
