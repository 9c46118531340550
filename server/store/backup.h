// A consistent copy of all that is stored, made while the server serves.
#ifndef RADIOGRAPH_SERVER_STORE_BACKUP_H_
#define RADIOGRAPH_SERVER_STORE_BACKUP_H_

#include "absl/status/statusor.h"
#include "core/base/clock.h"
#include "radiograph/v1/server.pb.h"
#include "server/store/collector.h"
#include "server/store/disk.h"
#include "server/store/store.h"

namespace radiograph {

// The newest; older ones are removed once a new one is whole.
inline constexpr int kBackupsKept = 3;

// Makes backups/<time> in the state folder: a copy of the database as it is at one moment, and hard
// links to all blobs that it knows, so that bytes are stored once. It is durable when OK, has its
// name only when it is whole, and is a state folder: another server can be started on it, or on a
// copy of it elsewhere. A blob whose file is lost already is left out, with a line in the log.
//
// Nothing is collected meanwhile; all else goes on. RESOURCE_EXHAUSTED when the disk has too little
// room for the database's copy. CANCELLED once `stopped`; what a backup that
// broke off has left is removed by the next. Backups run one at a time.
absl::StatusOr<v1::Backup> MakeBackup(Store& store, Collector& collector, const Clock& clock,
                                      Disk& disk, Stopped stopped);

}  // namespace radiograph

#endif  // RADIOGRAPH_SERVER_STORE_BACKUP_H_
