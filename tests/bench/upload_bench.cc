// What uploads cost, measured over loopback. Prints rows of a Markdown table.
//
//   upload_bench BIN_FOLDER STATE_PARENT
//
// Peers, in the same run: a plain write and fsync of the same bytes on the same disk, and a bare
// gRPC stream of the same messages, whose server reads them and does nothing more.
#include <fcntl.h>
#include <grpcpp/server_builder.h>
#include <signal.h>
#include <unistd.h>

#include <cstdio>
#include <cstring>
#include <thread>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "absl/time/clock.h"
#include "core/base/file.h"
#include "core/base/status_macros.h"
#include "core/safetensors/file.h"
#include "radiograph/v1/blobs.grpc.pb.h"
#include "server/rpc/blobs.h"
#include "server/store/store.h"
#include "tests/bench/service.h"

namespace radiograph {
namespace {

constexpr int kUploads = 9;
constexpr int kStreams = 16;
constexpr int64_t kUploadBytes = 256 << 20;
constexpr int64_t kStreamBytes = 64 << 20;
constexpr double kMiB = 1 << 20;

// A file that no other upload shares, as a safetensors file of one tensor.
absl::Status MakeWeights(const std::string& path, int64_t bytes, int number) {
  ASSIGN_OR_RETURN(safetensors::Writer writer,
                   safetensors::Writer::Create(path, {{"x", safetensors::DType::kU8, {bytes}}}));
  std::string piece(1 << 20, '\0');
  uint64_t state = static_cast<uint64_t>(number) + 1;
  for (int64_t done = 0; done < bytes; done += static_cast<int64_t>(piece.size())) {
    for (size_t i = 0; i < piece.size(); i += 8) {  // xorshift64
      state ^= state << 13, state ^= state >> 7, state ^= state << 17;
      memcpy(&piece[i], &state, 8);
    }
    RETURN_IF_ERROR(writer.Append(piece));
  }
  return writer.Finish();
}

absl::Status WriteAndSync(const std::string& from, const std::string& to) {
  ASSIGN_OR_RETURN(MappedFile file, MappedFile::Open(from));
  ASSIGN_OR_RETURN(UniqueFd fd, OpenFile(to, O_WRONLY | O_CREAT | O_TRUNC));
  RETURN_IF_ERROR(WriteAll(fd.get(), file.bytes(), to));
  return fsync(fd.get()) == 0 ? absl::OkStatus() : ErrnoStatus(errno, "can't sync", to);
}

// Memory that a virtual machine touches for the first time costs several times the copy itself, and
// what has been free for some seconds may be such memory again. A file that is written and removed
// leaves warm pages behind, which the next one to write finds: both sides of the comparison get
// them so.
absl::Status WarmPages(const std::string& folder) {
  const std::string path = folder + "/warm";
  for (int i = 0; i < 2; ++i) {
    RETURN_IF_ERROR(MakeWeights(path, 2 * kUploadBytes, 0));
    RETURN_IF_ERROR(RemoveTree(path));
  }
  return absl::OkStatus();
}

struct Times {
  double hashing, sending;
};

// How long the client hashes, and how long it sends: the question for what is missing, and
// Blobs.Write from its start to its answer.
absl::StatusOr<Times> TimeUpload(Client& client, const std::string& path) {
  const absl::Time begin = absl::Now();
  absl::Time hashed = begin;
  TransferOptions options;
  options.on_progress = [&](const TransferProgress& progress) {
    if (progress.phase == TransferProgress::kHashing) hashed = absl::Now();
  };
  RETURN_IF_ERROR(client.Upload({path}, options).status());
  return Times{absl::ToDoubleSeconds(hashed - begin), Seconds(hashed)};
}

// Blobs as far as an upload needs it, in this process. Without a store it only reads the stream.
class Sink final : public v1::Blobs::Service {
 public:
  explicit Sink(BlobStore* blobs) : blobs_(blobs) {
    grpc::ServerBuilder builder;
    int port = 0;
    builder.AddListeningPort("127.0.0.1:0", grpc::InsecureServerCredentials(), &port);
    builder.RegisterService(this);
    server_ = builder.BuildAndStart();
    endpoint_ = absl::StrCat("127.0.0.1:", port);
  }
  const std::string& endpoint() const { return endpoint_; }

  grpc::Status FindMissing(grpc::ServerContext*, const v1::FindMissingRequest* request,
                           v1::FindMissingResponse* response) override {
    *response->mutable_missing() = request->sha256();
    return grpc::Status::OK;
  }
  grpc::Status Write(grpc::ServerContext*, grpc::ServerReader<v1::WriteRequest>* reader,
                     v1::WriteResponse* response) override {
    auto next = [&](v1::WriteRequest& message) { return reader->Read(&message); };
    if (blobs_ != nullptr) {
      auto written = WriteBlob(*blobs_, kDefaultTenant, next);
      if (!written.ok())
        return grpc::Status(grpc::StatusCode::UNKNOWN, written.status().ToString());
      *response = *written;
      return grpc::Status::OK;
    }
    v1::WriteRequest message;
    while (next(message)) {
    }
    response->set_complete(true);
    return grpc::Status::OK;
  }

 private:
  BlobStore* const blobs_;
  std::unique_ptr<grpc::Server> server_;
  std::string endpoint_;
};

// Takes bytes and keeps none.
class NoDisk final : public Disk {
 public:
  absl::Status Write(int, absl::string_view, const std::string&) override {
    return absl::OkStatus();
  }
};

absl::Status MeasureHashing(const std::string& parent) {
  ASSIGN_OR_RETURN(TemporaryFolder folder, TemporaryFolder::Make(parent));
  SystemClock clock;
  NoDisk disk;
  ASSIGN_OR_RETURN(auto store, Store::Open({.folder = folder.path() + "/state"}, &clock, &disk));
  Sink bare(nullptr), hashing(store->blobs.get());
  ASSIGN_OR_RETURN(auto to_bare, Connect(bare.endpoint()));
  ASSIGN_OR_RETURN(auto to_hashing, Connect(hashing.endpoint()));
  const std::string path = folder.path() + "/weights";
  RETURN_IF_ERROR(MakeWeights(path, kUploadBytes, 0));
  std::vector<double> bares, hashings;
  for (int i = 0; i < kUploads; ++i) {
    ASSIGN_OR_RETURN(Times times, TimeUpload(*to_bare, path));
    bares.push_back(times.sending);
    ASSIGN_OR_RETURN(times, TimeUpload(*to_hashing, path));
    hashings.push_back(times.sending);
  }
  const double bare_time = Quantile(bares, 0.5), hashing_time = Quantile(hashings, 0.5);
  const double mib = kUploadBytes / kMiB;
  Row("Blobs.Write of 256 MiB, hashed and not written",
      absl::StrFormat("%.0f MiB/s, %.2f of a bare gRPC stream (%.0f MiB/s)", mib / hashing_time,
                      bare_time / hashing_time, mib / bare_time),
      ">= 0.60");
  return absl::OkStatus();
}

absl::Status MeasureTime(const std::string& bin, const std::string& parent) {
  ASSIGN_OR_RETURN(TemporaryFolder folder, TemporaryFolder::Make(parent));
  ASSIGN_OR_RETURN(Server server, StartServer(bin, folder.path() + "/state", "none"));
  std::vector<double> writes, sendings, wholes, agains;
  for (int i = 0; i < kUploads; ++i) {
    const std::string path = absl::StrCat(folder.path(), "/", i, ".safetensors");
    RETURN_IF_ERROR(MakeWeights(path, kUploadBytes, i));
    sync();
    RETURN_IF_ERROR(WarmPages(folder.path()));
    const absl::Time begin = absl::Now();
    RETURN_IF_ERROR(WriteAndSync(path, path + ".copy"));
    writes.push_back(Seconds(begin));
    RETURN_IF_ERROR(WarmPages(folder.path()));
    ASSIGN_OR_RETURN(Times times, TimeUpload(*server.client, path));
    sendings.push_back(times.sending);
    wholes.push_back(times.hashing + times.sending);
    ASSIGN_OR_RETURN(times, TimeUpload(*server.client, path));
    agains.push_back(times.hashing + times.sending);
  }
  const double plain = Quantile(writes, 0.5), mib = kUploadBytes / kMiB;
  auto row = [&](absl::string_view what, const std::vector<double>& times) {
    const double time = Quantile(times, 0.5);
    Row(what,
        absl::StrFormat("%.0f MiB/s, %.2f of write + fsync (%.0f MiB/s)", mib / time, plain / time,
                        mib / plain),
        ">= 0.80");
  };
  row("upload of 256 MiB, the client's hashing included", wholes);
  row("Blobs.Write of 256 MiB", sendings);
  Row("upload of weights that are known",
      absl::StrFormat("%.0f ms, hashing them here", 1e3 * Quantile(agains, 0.5)),
      "no tensor bytes sent");
  return absl::OkStatus();
}

absl::StatusOr<int64_t> PeakBytes(int pid) {
  ASSIGN_OR_RETURN(std::string status, ReadFile(absl::StrCat("/proc/", pid, "/status"), 1 << 20));
  for (absl::string_view line : absl::StrSplit(status, '\n')) {
    int64_t kib = 0;
    if (absl::ConsumePrefix(&line, "VmHWM:") &&
        absl::SimpleAtoi(absl::StripSuffix(absl::StripAsciiWhitespace(line), " kB"), &kib)) {
      return kib << 10;
    }
  }
  return absl::NotFoundError("no VmHWM");
}

// What `streams` uploads at once add to the most memory that a fresh server has had.
absl::Status MeasureMemory(const std::string& bin, const std::string& parent, int streams) {
  ASSIGN_OR_RETURN(TemporaryFolder folder, TemporaryFolder::Make(parent));
  ASSIGN_OR_RETURN(Server server, StartServer(bin, folder.path() + "/state", "none"));
  ASSIGN_OR_RETURN(const int64_t idle, PeakBytes(server.process->pid()));
  std::vector<absl::Status> statuses(streams);
  {
    std::vector<std::jthread> threads;
    for (int i = 0; i < streams; ++i) {
      const std::string path = absl::StrCat(folder.path(), "/", i, ".safetensors");
      RETURN_IF_ERROR(MakeWeights(path, kStreamBytes, i));
      threads.emplace_back([&server, status = &statuses[i], path] {
        auto client = Connect(server.endpoint);
        *status = client.ok() ? (*client)->Upload({path}).status() : client.status();
      });
    }
  }
  for (const absl::Status& status : statuses) RETURN_IF_ERROR(status);
  ASSIGN_OR_RETURN(const int64_t peak, PeakBytes(server.process->pid()));
  const double added = static_cast<double>(peak - idle) / kMiB;
  Row(absl::StrFormat("server memory added by %d upload%s of 64 MiB at once", streams,
                      streams == 1 ? "" : "s"),
      absl::StrFormat("%.1f MiB, %.1f a stream", added, added / streams), "< 8 MiB a stream");
  return absl::OkStatus();
}

absl::Status Measure(const std::string& bin, const std::string& parent) {
  TableHead();
  RETURN_IF_ERROR(MeasureTime(bin, parent));
  RETURN_IF_ERROR(MeasureHashing(parent));
  RETURN_IF_ERROR(MeasureMemory(bin, parent, 1));
  return MeasureMemory(bin, parent, kStreams);
}

}  // namespace
}  // namespace radiograph

int main(int argc, char** argv) {
  if (argc != 3) {
    fprintf(stderr, "usage: upload_bench BIN_FOLDER STATE_PARENT\n");
    return 2;
  }
  signal(SIGPIPE, SIG_IGN);
  absl::Status status = radiograph::Measure(argv[1], argv[2]);
  if (!status.ok()) fprintf(stderr, "upload_bench: %s\n", status.ToString().c_str());
  return status.ok() ? 0 : 1;
}
