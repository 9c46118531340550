#include "core/safetensors/foreign.h"

#include <fcntl.h>

#include <string>
#include <string_view>
#include <vector>

#include "absl/strings/str_cat.h"
#include "core/base/file.h"
#include "core/base/json.h"
#include "core/safetensors/header.h"
#include "tests/support/status_matchers.h"

namespace radiograph::safetensors {
namespace {

using std::string_literals::operator""s;
using ::radiograph::testing::StatusIs;
using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Not;

std::string LittleEndian(uint64_t value, int bytes) {
  std::string text;
  for (int i = 0; i < bytes; ++i) text.push_back(static_cast<char>(value >> (8 * i)));
  return text;
}

// What the reader of headers says of a file of these bytes.
absl::Status Refusal(absl::string_view bytes) {
  TemporaryFolder folder = *TemporaryFolder::Make();
  const std::string path = folder.path() + "/file";
  EXPECT_OK(WriteFile(path, bytes));
  absl::StatusOr<UniqueFd> fd = OpenFile(path, O_RDONLY);
  EXPECT_OK(fd);
  return ReadHeader(fd->get(), "w.safetensors").status();
}

struct Foreign {
  const char* what;
  std::string bytes;
  std::vector<std::string> says;
};

void ExpectSaid(const std::vector<Foreign>& files) {
  for (const Foreign& file : files) {
    SCOPED_TRACE(file.what);
    const absl::Status status = Refusal(file.bytes);
    EXPECT_THAT(status, StatusIs(absl::StatusCode::kInvalidArgument,
                                 HasSubstr("w.safetensors: not a safetensors file: it is ")));
    EXPECT_TRUE(IsUtf8(status.message()));
    for (const std::string& part : file.says) EXPECT_THAT(status.message(), HasSubstr(part));
  }
}

// A zip archive without its data: local headers, central directory, end.
std::string Zip(const std::vector<std::string>& names) {
  std::string local, central;
  for (const std::string& name : names) {
    const std::string sizes(18, '\0');
    absl::StrAppend(&central, "PK\x01\x02\x14\0"s, sizes, LittleEndian(0, 4),
                    LittleEndian(name.size(), 2), LittleEndian(2, 2), LittleEndian(0, 2),
                    std::string(12, '\0'), name, "xx");
    absl::StrAppend(&local, "PK\x03\x04\x14\0"s, sizes, LittleEndian(0, 2),
                    LittleEndian(name.size(), 2), LittleEndian(0, 2), name, "the bytes");
  }
  return absl::StrCat(local, central, "PK\x05\x06"s, std::string(18, '\0'));
}

TEST(ForeignFile, PointersSayHowTheFileIsFetched) {
  const std::string oid = absl::StrCat("oid sha256:", std::string(64, '0'), "\n");
  ExpectSaid({
      {"Git LFS",
       absl::StrCat("version https://git-lfs.github.com/spec/v1\n", oid, "size 12345\n"),
       {"a Git LFS pointer", "a file of 12345 bytes", "`git lfs pull`"}},
      {"Git LFS with extensions and line ends of Windows",
       absl::StrCat("version https://git-lfs.github.com/spec/v1\r\next-0-foo sha256:1\r\n", oid,
                    "size 70000000000\r\n"),
       {"a Git LFS pointer", "a file of 70000000000 bytes"}},
      {"Git LFS, cut off",
       "version https://git-lfs.github.com/spec/v1\noid sha2",
       {"a Git LFS pointer", "stands for the file;"}},
      {"Git LFS before its name",
       absl::StrCat("version https://hawser.github.com/spec/v1\n", oid),
       {"a Git LFS pointer"}},
      {"git-annex", "/annex/objects/SHA256E-s123--abc.safetensors\n", {"`git annex get`"}},
      {"a link of a cache",
       "../../blobs/0123456789abcdef",
       {"symbolic link", "it leads to ../../blobs/0123456789abcdef"}},
  });
}

TEST(ForeignFile, MessagesOfServersAreShown) {
  ExpectSaid({
      {"page",
       "<!DOCTYPE html><html><body>Not signed in</body></html>\n",
       {"a web page", "account or token", "<!DOCTYPE html><html><body>Not signed in"}},
      {"page after blank lines and a byte order mark",
       "\xEF\xBB\xBF\r\n\r\n<html>\n<b>502</b>",
       {"a web page", "<html> <b>502</b>"}},
      {"error of a store of objects",
       "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<Error><Code>AccessDenied</Code></Error>",
       {"an XML answer of a server", "<Code>AccessDenied"}},
      {"JSON",
       R"({"error":"Repository not found"})",
       {R"(JSON text)", R"(: {"error":"Repository not found"})"}},
      {"JSON whose ninth byte is a brace",
       R"({"errs":{"a":1}})",
       {R"(JSON text)", R"({"errs":{"a":1}})"}},
      {"list", "[{\"message\": \"x\"}]\n", {R"(JSON text)", R"([{"message": "x"}])"}},
      {"text", "404: Not Found\n", {"text, such as a server's message", ": 404: Not Found"}},
      {"short text", "Denied", {": Denied"}},
      {"table", "x,y,label\n1,2,0\n", {": x,y,label 1,2,0"}},
      {"text of another script",
       absl::StrCat("доступ запрещён ", std::string(200, '.')),
       {"доступ запрещён ....", "..."}},
  });
}

TEST(ForeignFile, LongTextsAreShownInPart) {
  const std::string message(Refusal(std::string(5000, 'n')).message());
  EXPECT_THAT(message, HasSubstr(std::string(kForeignTextBytes, 'n') + "..."));
  EXPECT_THAT(message, Not(HasSubstr(std::string(kForeignTextBytes + 1, 'n'))));
  // A character is not cut in two: byte 80 is the second of "é".
  EXPECT_THAT(std::string(Refusal(std::string(79, 'n') + "é" + std::string(500, 'n')).message()),
              HasSubstr(std::string(79, 'n') + "..."));
}

TEST(ForeignFile, OtherFormatsSayHowTheyAreConverted) {
  ExpectSaid({
      {"pickle", "\x80\x02}q\x01X\x04\x2e\x2e", {"a PyTorch checkpoint", "safetensors.torch"}},
      {"pickle of protocol 4", "\x80\x04\x95\x10\0\0\0\0\0\0\0}\x94"s, {"a PyTorch checkpoint"}},
      {"PyTorch", Zip({"archive/data.pkl", "archive/version"}), {"a PyTorch checkpoint"}},
      {"TorchScript", Zip({"net/code/a.py", "net/data.pkl"}), {"a PyTorch checkpoint"}},
      {"npz",
       Zip({"inputs.npy", "labels.npy"}),
       {"a numpy archive", "`import numpy, safetensors.numpy`", "dict(numpy.load(\"FILE.npz\"))"}},
      {"Keras", Zip({"metadata.json", "config.json", "model.weights.h5"}), {"a model of Keras"}},
      {"zip of safetensors",
       Zip({"m/", "m/model.safetensors"}),
       {"a zip archive that holds a .safetensors file; unpack it"}},
      {"zip", Zip({"a.txt"}), {"a zip archive"}},
      {"zip, cut off", Zip({"a/data.pkl", "b"}).substr(0, 50), {"a PyTorch checkpoint"}},
      {"zip whose list leads beyond its end",
       Zip({"a.npy", "b"}).replace(Zip({"a.npy", "b"}).find("PK\x01\x02") + 30, 2, "\xff\xff"),
       {"a numpy archive"}},
      {"zip whose name leads beyond its end",
       Zip({"a.npy", "b"}).replace(Zip({"a.npy", "b"}).find("PK\x01\x02") + 28, 2, "\xff\xff"),
       {"a numpy archive"}},
      {"empty zip", Zip({}), {"an empty zip archive"}},
      {"npy",
       "\x93NUMPY\x01\0v\0{'descr': '<f8'}"s,
       {"a numpy array", "{\"inputs\": numpy.load(\"FILE.npy\")}"}},
      {"HDF5", "\x89HDF\r\n\x1a\n\0\0\0\0"s, {"an HDF5 file, as Keras", "h5py"}},
      {"GGUF", "GGUF\x03\0\0\0\x10\0\0\0"s, {"a GGUF model of llama.cpp"}},
      {"GGML", "tjgg\x03\0\0\0\x10\0\0\0"s, {"before GGUF"}},
      {"ONNX",
       "\x08\x07\x12\x07pytorch\x1a\x05"
       "2.0.1"s,
       {"an ONNX model"}},
      {"TensorFlow Lite", "\x1c\0\0\0TFL3\x14\0"s, {"a TensorFlow Lite model"}},
      {"TensorFlow checkpoint",
       "\0\x01\x02\x03\x04\x05\x06\x07\x57\xfb\x80\x8b\x24\x75\x47\xdb"s,
       {"a TensorFlow checkpoint"}},
      {"Flax",
       "\x81\xa6params\x82\xa5"
       "Dense\x81"s,
       {"weights of Flax"}},
      {"Parquet", "PAR1\x15\x04\x15\x00\x15"s, {"a Parquet table"}},
  });
}

TEST(ForeignFile, CompressedFilesSayHowTheyAreUnpacked) {
  std::string tar = "model.safetensors"s + std::string(240, '\0') + "ustar\0"s + "00";
  tar.resize(1024);
  ExpectSaid({
      {"gzip", "\x1f\x8b\x08\0\0\0\0\0\0\x03\xed\xbd"s, {"gzip", "gunzip"}},
      {"gzip with a time", "\x1f\x8b\x08\x08\x12\x34\x56\x67\0\x03w"s, {"gzip"}},
      {"zstd", "\x28\xb5\x2f\xfd\x04\x58\0\0\0\0"s, {"Zstandard"}},
      {"xz",
       "\xfd"
       "7zXZ\0\0\x04\xe6\xd6"s,
       {"xz"}},
      {"bzip2", "BZh91AY&SY\x01\x02", {"bzip2"}},
      {"7z", "7z\xbc\xaf\x27\x1c\0\x04\x01\x02"s, {"7z"}},
      {"tar", tar, {"a tar archive"}},
      {"zlib", "\x78\x9c\xed\xbd\x07\x60\x1c\x49\x96\x25", {"zlib"}},
  });
}

TEST(ForeignFile, EmptyFilesAndDownloadsThatDidNotEndAreSaid) {
  EXPECT_THAT(Refusal(""), StatusIs(absl::StatusCode::kInvalidArgument,
                                    HasSubstr("not a safetensors file: it is empty")));
  ExpectSaid({{"zeros", std::string(4096, '\0'), {"a file of zeros", "fetch it again"}},
              {"eight zeros", std::string(8, '\0'), {"a file of zeros"}}});
}

// A recognition must never stand before the reader of real files.
TEST(ForeignFile, SafetensorsFilesAreReadWhateverTheirLengthLooksLike) {
  // Header lengths whose bytes are signs of others: gzip without a time, zlib, "PK".
  for (uint64_t length : {0x00088b1fu, 0x00009c78u, 0x00004b50u}) {
    std::string header = "{}";
    header.resize(length, ' ');
    EXPECT_OK(Refusal(absl::StrCat(LittleEndian(length, 8), header))) << length;
  }
  // The same with a blank before the header, which is refused for that: \x80\x02 begins a pickle.
  const std::string blank = " {}" + std::string(0x0280 - 3, ' ');
  EXPECT_THAT(Refusal(absl::StrCat(LittleEndian(blank.size(), 8), blank)),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       HasSubstr("w.safetensors: the header does not begin with {")));
}

TEST(ForeignFile, WhatIsNotKnownIsNotGuessed) {
  for (const std::string& bytes :
       {"\x01\x02\x03\xff\xfe\x04\x05\x06\x07\x08"s, "PK\x07\x08zzzz\x01"s, "\xEF\xBB\xBF\n"s,
        " \n\n\n\n\n\n\n\n"s, "\x80\x99zzzzzzz"s, "\x81\xa3\x01\x02\x03\x04zzzz"s,
        "\x78\x9dzzzzzzz\x01"s, "\x08\x07\x12\x03\x01\x02\x03zzz"s}) {
    EXPECT_EQ(ForeignFile(bytes, bytes), "");
    EXPECT_THAT(Refusal(bytes), StatusIs(absl::StatusCode::kInvalidArgument,
                                         HasSubstr("not a safetensors file: ")));
  }
}

}  // namespace
}  // namespace radiograph::safetensors
