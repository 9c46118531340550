// The flags of lists: --filter in the language of AIP-160, and short ways to write parts of it.
#ifndef RADIOGRAPH_CLIENT_CLI_FILTER_FLAGS_H_
#define RADIOGRAPH_CLIENT_CLI_FILTER_FLAGS_H_

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "client/cli/args.h"

namespace radiograph::cli {

// --filter, --label, --order-by. `example` is a filter.
std::vector<FlagSpec> FilterFlags(const std::string& example);

// The filter that --filter and --label make together; `more` are comparisons to add.
absl::StatusOr<std::string> FilterOf(const Args& args, std::vector<std::string> more = {});

}  // namespace radiograph::cli

#endif  // RADIOGRAPH_CLIENT_CLI_FILTER_FLAGS_H_
