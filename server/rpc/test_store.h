// For tests: a real store in a temporary folder, and models to put into it.
#ifndef RADIOGRAPH_SERVER_RPC_TEST_STORE_H_
#define RADIOGRAPH_SERVER_RPC_TEST_STORE_H_

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "core/base/clock.h"
#include "core/base/file.h"
#include "core/safetensors/file.h"
#include "radiograph/v1/artifacts.pb.h"
#include "server/rpc/header_cache.h"
#include "server/store/store.h"
#include "tests/support/status_matchers.h"

namespace radiograph::testing {

class StoreTest : public ::testing::Test {
 protected:
  StoreTest() : folder_(*TemporaryFolder::Make()) {
    auto store = Store::Open({.folder = folder_.path() + "/state"}, &clock_, &disk_);
    EXPECT_OK(store);
    store_ = *std::move(store);
    headers_ = std::make_unique<HeaderCache>(store_->blobs.get());
  }

  // The bytes of a safetensors file whose tensors are all zero.
  std::string Tensors(const std::vector<safetensors::TensorSpec>& specs) {
    const std::string path = folder_.path() + "/tensors";
    auto writer = safetensors::Writer::Create(path, specs);
    EXPECT_OK(writer);
    for (const safetensors::TensorInfo& tensor : writer->tensors()) {
      EXPECT_OK(writer->Append(std::string(tensor.bytes(), '\0')));
    }
    EXPECT_OK(writer->Finish());
    return *ReadFile(path, 1 << 30);
  }
  // A bilinear image model: 9 pixels, d = 6, m = 4, 3 classes.
  std::string ModelBytes() {
    const auto f32 = safetensors::DType::kF32;
    return Tensors({{"embed.weight", f32, {6, 9}},
                    {"blocks.0.weight", f32, {8, 6}},
                    {"head.weight", f32, {3, 4}}});
  }
  // Data that suits it.
  std::string DataBytes() {
    return Tensors(
        {{"inputs", safetensors::DType::kF32, {5, 9}}, {"labels", safetensors::DType::kI64, {5}}});
  }

  v1::CreateArtifactRequest Request(const std::string& name,
                                    const std::map<std::string, std::string>& files,
                                    v1::ArtifactKind kind = v1::MODEL) {
    v1::CreateArtifactRequest request;
    request.set_name(name);
    request.set_kind(kind);
    for (const auto& [file, bytes] : files) {
      v1::ArtifactFile* to = request.add_files();
      to->set_name(file);
      auto blob = store_->blobs->PutBytes(kDefaultTenant, bytes);
      EXPECT_OK(blob);
      *to->mutable_blob() = *blob;
    }
    return request;
  }

  TemporaryFolder folder_;
  SystemClock clock_;
  Disk disk_;
  std::unique_ptr<Store> store_;
  std::unique_ptr<HeaderCache> headers_;
};

}  // namespace radiograph::testing

#endif  // RADIOGRAPH_SERVER_RPC_TEST_STORE_H_
