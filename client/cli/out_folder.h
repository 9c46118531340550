// Where the command line writes files for its user: the one place that does. It never removes or
// replaces what it did not write.
//
// - A folder that is new or empty is ours to fill.
// - A folder with a result of ours (result_sign.h) is renewed file by file: files that we wrote and
//   nobody has changed since are replaced, or removed when the new result has none of that name.
//   All else in it stays.
// - Whatever else stands in the way, a file of ours that was changed since among it, is refused
// with
//   a usage error that names it. With `force` files of the same names are replaced, and nothing
//   else. A file that holds the same bytes already stands in nobody's way.
// - The folder of an input, or one that holds it further down, is refused with `force` too: what
//   lies there is read again, as a model among models.
// - A folder, or a symbolic link, where a folder or file of ours should be is never replaced or
//   followed; with `force` a link in the place of a file is replaced, not what it leads to.
//
// Files appear by renaming, the sign (run.json) before all others and result.json last: after a
// death on the way the folder is still ours, holds no whole result, and the same command works.
#ifndef RADIOGRAPH_CLIENT_CLI_OUT_FOLDER_H_
#define RADIOGRAPH_CLIENT_CLI_OUT_FOLDER_H_

#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "client/cli/args.h"
#include "client/cli/result_sign.h"
#include "client/cli/staging_folder.h"

namespace radiograph::cli {

struct OutOptions {
  bool force = false;
  // Files and folders that are read: no file of theirs is written over.
  std::vector<std::string> inputs = {};
};

// `--force`, for the commands that write files.
FlagSpec ForceFlag();

// All that the paths among the values of `--input NAME=REF` stand for: the paths and their files.
std::vector<std::string> InputPaths(const std::vector<std::pair<std::string, std::string>>& inputs);

class OutFolder {
 public:
  // For a result. `path` is made if need be; empty: none is kept. Fails before any work when a
  // result can't go there.
  static absl::StatusOr<OutFolder> Make(const std::string& path, OutOptions options = {});
  // For files of which all is known, which bear no sign: nothing but these may be there.
  static absl::StatusOr<OutFolder> MakeFor(const std::string& path, FileDigests files,
                                           OutOptions options = {});
  OutFolder(OutFolder&&) noexcept = default;
  // A folder that was made and holds nothing is gone again.
  ~OutFolder();

  // A folder for what is not ready yet, on the same disk; removed at the end.
  const std::string& staging() const { return staging_.path(); }
  bool kept() const { return !path_.empty(); }

  // The folder that holds the result from now on: `bundle` itself (below staging), or the kept
  // folder, into which its files are moved. When that can't be, the result is left beside them and
  // the error says where.
  absl::StatusOr<std::string> Keep(const std::string& bundle) const;

  // Of MakeFor: whether the file is to come, not there with these bytes already.
  bool Lacks(const std::string& name) const;
  // Of MakeFor: what lies in the folder besides, a few names of it; there only with `force`.
  std::vector<std::string> Others() const;
  // Moves files from below staging to where they belong.
  absl::Status KeepFiles(const std::string& folder) const;

  // Says of a full disk what can be done.
  absl::Status Explain(const absl::Status& status) const;

 private:
  OutFolder(std::string path, StagingFolder staging, OutOptions options, FileDigests files,
            bool made)
      : path_(std::move(path)),
        staging_(std::move(staging)),
        options_(std::move(options)),
        files_(std::move(files)),
        made_(made) {}
  static absl::StatusOr<OutFolder> Open(const std::string& path, OutOptions options,
                                        const FileDigests* files);
  absl::Status Install(const std::string& bundle) const;

  std::string path_;
  StagingFolder staging_;
  OutOptions options_;
  FileDigests files_;  // of MakeFor
  bool made_;
};

// One file at a path that its user has named. A link is followed. What is no file (a pipe, a
// terminal) is written to. INVALID_ARGUMENT (usage) for other bytes without `force`, and for an
// input.
absl::Status WriteOutFile(const std::string& path, absl::string_view bytes,
                          const OutOptions& options);

// One more file, or another version of one, in the folder of a result of ours.
absl::Status AddToResult(const std::string& folder, const std::string& name,
                         absl::string_view bytes, bool force);

}  // namespace radiograph::cli

#endif  // RADIOGRAPH_CLIENT_CLI_OUT_FOLDER_H_
