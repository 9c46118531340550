// The sign by which a folder is known to hold a result of ours, and which of its files we wrote:
// run.json, to which the command line adds
//   "files": {"<relative name>": "<SHA-256>", ...}   all that it wrote, run.json itself without
//                                                    these members among it
//   "replaces": {...}                                what it was about to replace or remove; only a
//                                                    run that was killed on the way leaves it
#ifndef RADIOGRAPH_CLIENT_CLI_RESULT_SIGN_H_
#define RADIOGRAPH_CLIENT_CLI_RESULT_SIGN_H_

#include <map>
#include <set>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

namespace radiograph::cli {

using FileDigests = std::map<std::string, std::string>;  // relative name -> SHA-256

// Whether a run.json of ours lies in `folder`, with or without a list of files. A reader of models
// must not take the arrays beside it for weights.
bool IsResultFolder(const std::string& folder);

// The files that the sign of a folder lists, with the digests that they may have; none without a
// sign.
struct ResultSign {
  std::map<std::string, std::set<std::string>> files;
  // Whether a regular file lies there that has such a digest: ours, and unchanged since.
  bool Owns(const std::string& folder, const std::string& name) const;
};
ResultSign ReadSign(const std::string& folder);

// run.json's text with another list of files.
absl::StatusOr<std::string> SignedRun(const std::string& run_json, FileDigests files,
                                      const FileDigests& replaces);
// The digest that run.json has in its own list.
absl::StatusOr<std::string> RunDigest(const std::string& run_json);

// The digest of a regular file; empty for anything else, links among it.
std::string DigestAt(const std::string& path);

inline constexpr char kRunFile[] = "run.json";
inline constexpr int64_t kRunBytesMax = 64 << 20;

}  // namespace radiograph::cli

#endif  // RADIOGRAPH_CLIENT_CLI_RESULT_SIGN_H_
