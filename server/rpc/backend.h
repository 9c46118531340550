// What the handlers work on. Nothing here is owned.
#ifndef RADIOGRAPH_SERVER_RPC_BACKEND_H_
#define RADIOGRAPH_SERVER_RPC_BACKEND_H_

#include <functional>

#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "radiograph/v1/server.pb.h"
#include "server/jobs/jobs.h"
#include "server/rpc/door.h"
#include "server/rpc/header_cache.h"
#include "server/rpc/pool.h"
#include "server/store/collector.h"
#include "server/store/disk.h"
#include "server/store/store.h"

namespace radiograph {

struct Backend {
  Store* store;
  Jobs* jobs;
  HeaderCache* headers;
  Door* door;
  Pool* pool;
  Collector* collector = nullptr;
  const Clock* clock = nullptr;
  Disk* disk = nullptr;
  v1::ServerInfo info = {};                      // as GetInfo tells it, but for the devices
  absl::Duration heartbeat = absl::Seconds(15);  // of Watch, when nothing happens
  absl::Duration wait_max = absl::Hours(24);     // of Wait without timeout and deadline
  absl::Duration blob_stream_idle_max = absl::Minutes(1);  // then its place is given to others
  // Told the reason (quota.h) of each call that is refused for want of room; must not block.
  std::function<void(absl::string_view reason)> on_exhausted = [](absl::string_view) {};
};

}  // namespace radiograph

#endif  // RADIOGRAPH_SERVER_RPC_BACKEND_H_
