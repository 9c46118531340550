// Where a result goes: the folder of `--out`, or one that is gone at the end.
#ifndef RADIOGRAPH_CLIENT_CLI_OUT_FOLDER_H_
#define RADIOGRAPH_CLIENT_CLI_OUT_FOLDER_H_

#include <optional>
#include <string>

#include "absl/status/statusor.h"
#include "core/base/file.h"

namespace radiograph::cli {

class OutFolder {
 public:
  // `path` is made if need be; empty: none is kept. Fails before any work when it can't be written.
  static absl::StatusOr<OutFolder> Make(const std::string& path);

  // A folder for what is not ready yet, on the same disk; removed at the end.
  const std::string& staging() const { return staging_.path(); }
  bool kept() const { return !path_.empty(); }

  // The folder that holds the bundle from now on: `bundle` itself (below staging), or the kept
  // folder, into which its entries are moved. Entries of the same names are replaced, others are
  // left alone.
  absl::StatusOr<std::string> Keep(const std::string& bundle) const;

 private:
  OutFolder(std::string path, TemporaryFolder staging)
      : path_(std::move(path)), staging_(std::move(staging)) {}
  std::string path_;
  TemporaryFolder staging_;
};

}  // namespace radiograph::cli

#endif  // RADIOGRAPH_CLIENT_CLI_OUT_FOLDER_H_
