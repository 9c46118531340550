#include "core/safetensors/foreign.h"

#include <algorithm>
#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "core/base/json.h"

namespace radiograph::safetensors {
namespace {

// With the NULs that it holds.
template <size_t kSize>
constexpr absl::string_view Bytes(const char (&text)[kSize]) {
  return {text, kSize - 1};
}

constexpr char kPyTorch[] =
    "a PyTorch checkpoint (a pickle); pickles run code when they are loaded and are never read "
    "here: load it with torch.load(..., weights_only=True) and save its state dict with "
    "safetensors.torch.save_file";
constexpr char kNumpyArchive[] =
    "a numpy archive (.npz); two lines of Python convert it: `import numpy, safetensors.numpy` and "
    "`safetensors.numpy.save_file(dict(numpy.load(\"FILE.npz\")), \"FILE.safetensors\")`";
constexpr char kNumpyArray[] =
    "a numpy array (.npy); two lines of Python convert it: `import numpy, safetensors.numpy` and "
    "`safetensors.numpy.save_file({\"inputs\": numpy.load(\"FILE.npy\")}, \"FILE.safetensors\")`";
constexpr char kKeras[] =
    "a model of Keras (.keras); load it with keras.models.load_model and save its weights, by "
    "name, with safetensors.numpy.save_file";
constexpr char kGgml[] =
    "a model of llama.cpp (GGML, before GGUF); take the safetensors files that it was made from";

struct Sign {
  size_t at;
  absl::string_view bytes;
  const char* what;
};
constexpr Sign kSigns[] = {
    {0, Bytes("\x93NUMPY"), kNumpyArray},
    {0, Bytes("\x89HDF\r\n\x1a\n"),
     "an HDF5 file, as Keras and MATLAB write it (.h5, .mat); read it with h5py and save its "
     "arrays "
     "with safetensors.numpy.save_file"},
    {0, Bytes("GGUF"),
     "a GGUF model of llama.cpp, whose weights are mostly quantised; take the safetensors files "
     "that "
     "it was made from"},
    {0, Bytes("lmgg"), kGgml},
    {0, Bytes("fmgg"), kGgml},
    {0, Bytes("tjgg"), kGgml},
    {4, Bytes("TFL3"),
     "a TensorFlow Lite model; save its weights with safetensors.numpy.save_file"},
    {0, Bytes("MATLAB 5.0 MAT-file"),
     "a MATLAB file; read it with scipy.io.loadmat and save its arrays with "
     "safetensors.numpy.save_file"},
    {0, Bytes("PAR1"), "a Parquet table; save its columns with safetensors.numpy.save_file"},
    {0, Bytes("ARROW1"), "an Arrow table; save its columns with safetensors.numpy.save_file"},
    {0, Bytes("SQLite format 3\0"), "an SQLite database"},
    {0, Bytes("PK\x05\x06"), "an empty zip archive"},
    {0, Bytes("\x1f\x8b"), "compressed with gzip; unpack it with gunzip"},
    {0, Bytes("\x28\xb5\x2f\xfd"), "compressed with Zstandard; unpack it with unzstd"},
    {0,
     Bytes("\xfd"
           "7zXZ\0"),
     "compressed with xz; unpack it with unxz"},
    {4, Bytes("1AY&SY"), "compressed with bzip2; unpack it with bunzip2"},
    {0, Bytes("\x04\x22\x4d\x18"), "compressed with LZ4; unpack it with unlz4"},
    {0, Bytes("7z\xbc\xaf\x27\x1c"), "a 7z archive; unpack it with 7z x"},
    {0, Bytes("Rar!\x1a\x07"), "a RAR archive; unpack it first"},
    {257, Bytes("ustar"), "a tar archive; unpack it with tar -xf"},
    {0, Bytes("\x89PNG\r\n\x1a\n"), "a PNG image"},
    {0, Bytes("\xff\xd8\xff"), "a JPEG image"},
    {0, Bytes("%PDF-"), "a PDF document"},
    {0,
     Bytes("\x7f"
           "ELF"),
     "a program or library (ELF)"},
};

uint64_t LittleEndian(absl::string_view bytes) {
  uint64_t value = 0;
  for (size_t i = bytes.size(); i-- > 0;) value = value << 8 | static_cast<unsigned char>(bytes[i]);
  return value;
}

// The names of the files in a zip archive: of the first one, and of its central directory as far as
// it is in the tail.
std::vector<std::string> NamesInZip(absl::string_view head, absl::string_view tail) {
  std::vector<std::string> names;
  if (head.size() > 30) names.emplace_back(head.substr(30, LittleEndian(head.substr(26, 2))));
  constexpr size_t kEntry = 46;
  size_t at = tail.find("PK\x01\x02");
  while (at < tail.size() && at + kEntry <= tail.size() && tail.substr(at, 4) == "PK\x01\x02") {
    const size_t name = LittleEndian(tail.substr(at + 28, 2));
    names.emplace_back(tail.substr(at + kEntry, name));
    at += kEntry + name + LittleEndian(tail.substr(at + 30, 2)) +
          LittleEndian(tail.substr(at + 32, 2));
  }
  return names;
}

const char* Zip(absl::string_view head, absl::string_view tail) {
  const std::vector<std::string> names = NamesInZip(head, tail);
  auto ends_with = [&](absl::string_view end) {
    return std::any_of(names.begin(), names.end(),
                       [end](const std::string& name) { return absl::EndsWith(name, end); });
  };
  if (ends_with("model.weights.h5")) return kKeras;
  if (ends_with("data.pkl")) return kPyTorch;
  if (ends_with(".npy")) return kNumpyArchive;
  if (ends_with(".safetensors")) return "a zip archive that holds a .safetensors file; unpack it";
  return "a zip archive; unpack it, if the weights are inside";
}

bool IsPrintable(absl::string_view text) {
  return std::all_of(text.begin(), text.end(),
                     [](char c) { return absl::ascii_isprint(static_cast<unsigned char>(c)); });
}

// ModelProto: field 1 is ir_version, field 2 producer_name.
bool IsOnnx(absl::string_view head) {
  if (head.size() < 5 || head[0] != 0x08 || head[1] > 32 || head[2] != 0x12) return false;
  const size_t length = static_cast<unsigned char>(head[3]);
  return length >= 1 && length <= 64 && head.size() > 4 + length &&
         IsPrintable(head.substr(4, length)) && (head[4 + length] & 7) == 2;
}

// A map whose first key is a short text and whose first value is a map or an array of Flax.
bool IsMsgpack(absl::string_view head) {
  auto byte = [&](size_t at) {
    return at < head.size() ? static_cast<unsigned char>(head[at]) : 0u;
  };
  auto is_map = [](unsigned first) {
    return (first > 0x80 && first < 0x90) || first == 0xde || first == 0xdf;
  };
  if (!is_map(byte(0))) return false;
  const size_t key = byte(0) == 0xde ? 3 : byte(0) == 0xdf ? 5 : 1;
  if (byte(key) <= 0xa0 || byte(key) >= 0xc0) return false;
  const size_t length = byte(key) & 31, value = key + 1 + length;
  return IsPrintable(head.substr(std::min(head.size(), key + 1), length)) &&
         (is_map(byte(value)) || (byte(value) >= 0xc7 && byte(value) <= 0xc9));
}

// Text of people and servers, with a character at its end that may be cut off.
bool IsText(absl::string_view text) {
  for (int cut = 0; cut < 4 && !text.empty(); ++cut, text.remove_suffix(1)) {
    if (!IsUtf8(text)) continue;
    return std::all_of(text.begin(), text.end(), [](char c) {
      return !absl::ascii_iscntrl(static_cast<unsigned char>(c)) || absl::ascii_isspace(c);
    });
  }
  return false;
}

// The beginning of a text on one line.
std::string Shown(absl::string_view text) {
  std::string shown(text.substr(0, kForeignTextBytes));
  while (!IsUtf8(shown)) shown.pop_back();
  for (char& c : shown) {
    if (absl::ascii_iscntrl(static_cast<unsigned char>(c))) c = ' ';
  }
  absl::RemoveExtraAsciiWhitespace(&shown);
  return absl::StrCat(shown, shown.size() < text.size() ? "..." : "");
}

// "a file of 12345 bytes"
std::string LfsFile(absl::string_view pointer) {
  const size_t at = pointer.find("\nsize ");
  if (at == pointer.npos) return "the file";
  const absl::string_view line = pointer.substr(at + 6, pointer.find('\n', at + 6) - (at + 6));
  int64_t size = 0;
  return absl::SimpleAtoi(line, &size) ? absl::StrCat("a file of ", size, " bytes") : "the file";
}

// Of a text without blanks around it, and not empty.
std::string Text(absl::string_view text) {
  if (absl::StartsWith(text, "version https://git-lfs") ||
      absl::StartsWith(text, "version https://hawser")) {
    return absl::StrCat("a Git LFS pointer, a text that stands for ", LfsFile(text),
                        "; fetch it with `git lfs pull` in that repository");
  }
  if (absl::StrContains(text, "/annex/objects/")) {
    return "a git-annex pointer; fetch the file with `git annex get`";
  }
  if (absl::StartsWith(text, "../") && !absl::StrContains(text, '\n')) {
    return absl::StrCat(
        "the text of a symbolic link, whose file was not copied along; it leads to ", Shown(text));
  }
  if (text[0] == '<') {
    return absl::StrCat("a web page or an XML answer of a server in place of the file; fetch the ",
                        "file again, with an account or token if it needs one: ", Shown(text));
  }
  if (text[0] == '{' || text[0] == '[') {
    return absl::StrCat("JSON text, such as a server's message in place of the file: ",
                        Shown(text));
  }
  return absl::StrCat("text, such as a server's message in place of the file: ", Shown(text));
}

std::string What(absl::string_view head, absl::string_view tail) {
  for (const Sign& sign : kSigns) {
    if (head.size() >= sign.at && absl::StartsWith(head.substr(sign.at), sign.bytes)) {
      return sign.what;
    }
  }
  if (absl::StartsWith(head, "PK\x03\x04")) return Zip(head, tail);
  if (head.size() > 1 && head[0] == '\x80' && head[1] >= 2 && head[1] <= 5) return kPyTorch;
  if (IsOnnx(head)) {
    return "an ONNX model; save its weights with safetensors.numpy.save_file";
  }
  if (IsMsgpack(head)) {
    return "weights of Flax (msgpack); read them with flax.serialization.msgpack_restore and save "
           "them with safetensors.numpy.save_file";
  }
  // The magic number at the end of a table (LevelDB), which a checkpoint's index is.
  if (absl::EndsWith(tail, Bytes("\x57\xfb\x80\x8b\x24\x75\x47\xdb"))) {
    return "the index of a TensorFlow checkpoint; read it with tf.train.load_checkpoint and save "
           "its arrays with safetensors.numpy.save_file";
  }
  // The header of zlib: deflate, a window of 32 KiB, a check of both bytes.
  if (head.size() > 1 && head[0] == 0x78 && (0x7800 + LittleEndian(head.substr(1, 1))) % 31 == 0 &&
      !IsText(head)) {
    return "compressed with zlib, as joblib.dump does; load it with joblib and save its arrays "
           "with "
           "safetensors.numpy.save_file";
  }
  if (head.size() >= 8 && head.find_first_not_of('\0') == head.npos) {
    return "a file of zeros, as a download leaves that did not end; fetch it again";
  }
  absl::ConsumePrefix(&head, "\xEF\xBB\xBF");
  head = absl::StripAsciiWhitespace(head);
  return !head.empty() && IsText(head) ? Text(head) : "";
}

}  // namespace

std::string ForeignFile(absl::string_view head, absl::string_view tail) {
  const std::string what = What(head, tail);
  return what.empty() ? "" : absl::StrCat("it is ", what);
}

}  // namespace radiograph::safetensors
