// Takes connections at an address and hands them on, for gRPC and for HTTP.
//
// gRPC's own listener (1.51) stops for ever when the process is once out of file descriptors.
#ifndef RADIOGRAPH_SERVER_NET_LISTENER_H_
#define RADIOGRAPH_SERVER_NET_LISTENER_H_

#include <functional>
#include <memory>
#include <stop_token>
#include <string>
#include <thread>
#include <vector>

#include "absl/status/statusor.h"
#include "core/base/file.h"

namespace radiograph {

// Of the descriptors that the process may have, one in so many is kept from connections: for the
// store, and for the answers to those who are inside.
inline constexpr int kFilesKeptOneIn = 4;

class Listener {
 public:
  // `listen` is HOST:PORT, a name or a number, [::1] in brackets; port 0 takes a free one. `take`
  // is handed each connection on the listener's thread, and should not block it. A connection past
  // the share of descriptors is closed at once; with none left at all, connections wait.
  // UNAVAILABLE when the address can't be had.
  static absl::StatusOr<std::unique_ptr<Listener>> Start(const std::string& listen,
                                                         std::function<void(UniqueFd)> take);
  // Returns once `take` is not called any more.
  ~Listener() = default;

  // HOST:PORT with the port that was taken.
  const std::string& address() const { return address_; }

 private:
  explicit Listener(std::function<void(UniqueFd)> take) : take_(std::move(take)) {}
  absl::Status Open(const std::string& listen);
  void Run(std::stop_token stop);
  void Accept(int socket);

  const std::function<void(UniqueFd)> take_;
  std::string address_;
  std::vector<UniqueFd> sockets_;  // a name may have several addresses
  UniqueFd wake_;                  // an eventfd: the end
  bool out_of_files_ = false;      // and it has been said
  std::jthread thread_;            // last: it ends first
};

}  // namespace radiograph

#endif  // RADIOGRAPH_SERVER_NET_LISTENER_H_
