// What the benchmarks of the service share: a running server, times, and rows of the table.
#ifndef RADIOGRAPH_TESTS_BENCH_SERVICE_H_
#define RADIOGRAPH_TESTS_BENCH_SERVICE_H_

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "client/cpp/client.h"
#include "core/process/child.h"

namespace radiograph {

double Seconds(absl::Time since);
double Quantile(std::vector<double> values, double q);
// A Markdown table, a row at a time.
void TableHead();
void Row(absl::string_view what, const std::string& figure, absl::string_view budget);

absl::StatusOr<std::unique_ptr<Client>> Connect(const std::string& endpoint);

struct Server {
  std::unique_ptr<Child> process;
  std::unique_ptr<Client> client;
  std::string endpoint;
  std::string http = {};  // HOST:PORT
};
// Returns once the server has answered GetInfo.
absl::StatusOr<Server> StartServer(const std::string& bin, const std::string& state,
                                   absl::string_view devices,
                                   const std::vector<std::string>& more_flags = {});
// What a page of the server says.
absl::StatusOr<std::string> HttpGet(const std::string& address, absl::string_view page);

// Uploads the weights, registers them as `model`, and asks for bilinear.spectrum without null
// draws.
absl::StatusOr<v1::CreateJobRequest> SpectrumRequest(Client& client,
                                                     const std::string& model_folder);

// Uploads the weights, registers them as `model`, and asks for bilinear.spectrum without null draws.
absl::StatusOr<v1::CreateJobRequest> SpectrumRequest(Client& client,
                                                     const std::string& model_folder);

}  // namespace radiograph

#endif  // RADIOGRAPH_TESTS_BENCH_SERVICE_H_
