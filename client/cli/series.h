// Several models behind one path: checkpoints in the order of their steps.
#ifndef RADIOGRAPH_CLIENT_CLI_SERIES_H_
#define RADIOGRAPH_CLIENT_CLI_SERIES_H_

#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "radiograph/v1/artifacts.pb.h"

namespace radiograph::cli {

inline constexpr size_t kSeriesMax = 4096;  // models of one path

struct SeriesModel {
  std::string path;             // for FindFiles
  std::optional<int64_t> step;  // absent where the path is one model
};

// `path` is one model, or a series: a glob (*, ?, [...]), each match a model; a folder of
// .safetensors files that share tensors (files that don't are the shards of one model) and have
// neither index nor config.json; a folder of folders that hold models. Symbolic links are followed.
//
// A series is ordered by `step` in the `__metadata__` of each model's first file, else by the last
// number in each name. INVALID_ARGUMENT naming the models when some have neither or two have the
// same, for a series where no `list` is taken, and beyond kSeriesMax; NOT_FOUND for a glob without
// match. Of another kind than MODEL a path is always one artifact.
absl::StatusOr<std::vector<SeriesModel>> FindSeries(const std::string& path, v1::ArtifactKind kind,
                                                    bool list);

// The name that all of a series get, as versions of one artifact: that of the folder they are in.
std::string SeriesName(const std::string& path);

}  // namespace radiograph::cli

#endif  // RADIOGRAPH_CLIENT_CLI_SERIES_H_
