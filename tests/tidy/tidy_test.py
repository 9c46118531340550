"""Each rule of tidy catches a planted violation and names the replacement; a clean tree passes."""

import pathlib
import tempfile
import unittest

import files
import tidy
import tree

CLEAN = {
    "CMakeLists.txt": "add_subdirectory(core)\n",
    "README.md": "See [the core](core/a.h), [below](#what-next) and `core/a.cc`.\n\n# What next\n",
    "core/CMakeLists.txt": "radiograph_library(a SRCS a.cc)\n",
    "core/a.cc": '#include "core/a.h"\n\nint A() { return 1; }  // never sleep(1) or throw\n',
    "core/a.h": "#ifndef RADIOGRAPH_CORE_A_H_\n#define RADIOGRAPH_CORE_A_H_\nint A();\n#endif\n",
}


def header(path, body):
    guard = "RADIOGRAPH_" + path.replace("/", "_").replace(".", "_").upper() + "_"
    return f"#ifndef {guard}\n#define {guard}\n{body}\n#endif\n"


def long_function(lines):
    return "int Long(int x) {\n" + "  ++x;\n" * (lines - 2) + "}\n"


class Tidy(unittest.TestCase):
    def problems(self, changes):
        with tempfile.TemporaryDirectory() as folder:
            for path, text in {**CLEAN, **changes}.items():
                file = pathlib.Path(folder, path)
                file.parent.mkdir(parents=True, exist_ok=True)
                file.write_text(text)
            return tidy.problems(folder)

    def source(self, path, text):
        """`text` as a source that its folder's CMakeLists.txt names."""
        listing = f"{path.rsplit('/', 1)[0]}/CMakeLists.txt"
        return {path: text, listing: CLEAN.get(listing, "") + path.rsplit("/", 1)[1] + "\n"}

    def assert_caught(self, changes, where, *parts):
        found = self.problems(changes)
        self.assertEqual(len(found), 1, found)
        self.assertTrue(found[0].startswith(where + ":"), found)
        for part in parts:
            self.assertIn(part, found[0])

    def test_a_clean_tree_passes(self):
        self.assertEqual(self.problems({}), [])

    def test_core_includes_no_wire_database_or_socket(self):
        for target in ("<grpcpp/grpcpp.h>", '"radiograph/v1/jobs.pb.h"', "<sqlite3.h>", "<sys/socket.h>"):
            changes = self.source("core/b.cc", f"#include {target}\n")
            self.assert_caught(changes, "core/b.cc:1", "plain structs")

    def test_core_includes_no_server_or_client(self):
        changes = self.source("core/b.cc", '#include "server/jobs/queue.h"\n')
        self.assert_caught(changes, "core/b.cc:1", "turn the dependency around")

    def test_torch_stays_in_its_folders(self):
        for path in ("core/base/b.cc", "server/jobs/b.cc", "core/analyses/bilinear/b_spec.cc"):
            changes = self.source(path, "#include <ATen/core/Tensor.h>\n")
            self.assert_caught(changes, f"{path}:1", "LibTorch is seen only in")
        self.assertEqual(self.problems(self.source("core/tensor/b.cc", "#include <ATen/ATen.h>\n")), [])

    def test_torch_is_seen_through_our_headers(self):
        changes = self.source("server/b.cc", '#include "core/tensor/t.h"\n')
        changes["core/tensor/t.h"] = header("core/tensor/t.h", "#include <c10/core/Device.h>")
        self.assert_caught(changes, "server/b.cc:1", "core/tensor/t.h -> c10/core/Device.h")

    def test_client_and_server_do_not_know_each_other(self):
        changes = self.source("client/b.cc", '#include "server/jobs/queue.h"\n')
        self.assert_caught(changes, "client/b.cc:1", "client/ sees only proto/")
        changes = self.source("server/b.cc", '#include "client/cpp/client.h"\n')
        self.assert_caught(changes, "server/b.cc:1", "server/ does not know client/")

    def test_long_functions(self):
        self.assertEqual(self.problems(self.source("core/b.cc", long_function(70))), [])
        inside = "namespace radiograph {\nclass B {\n" + long_function(71) + "};\n}\n"
        for text in (long_function(71), inside):
            self.assert_caught(self.source("core/b.cc", text), "core/b.cc", "Long has 71 lines", "split it")
        python = "def long():\n" + "    pass\n" * 71
        self.assert_caught({"core/b.py": python, "core/README.md": "b.py"}, "core/b.py:1", "long has 72 lines")

    def test_long_files(self):
        changes = self.source("core/b.cc", "// a line\n" * 501)
        self.assert_caught(changes, "core/b.cc:1", "501 lines", "split the file")

    def test_exceptions_only_shrink(self):
        listing = "tests/tidy/exceptions.txt"
        changes = self.source("core/b.cc", long_function(80))
        mention = {"core/README.md": "exceptions.txt"}
        self.assertEqual(self.problems({**changes, **mention, listing: "core/b.cc:Long 80\n"}), [])
        self.assert_caught({**changes, **mention, listing: "core/b.cc:Long 81\n"}, listing, "set it to 80")
        self.assert_caught({**changes, **mention, listing: "core/b.cc:Long 79\n"}, "core/b.cc", "79 are allowed")
        self.assert_caught({**mention, listing: "core/b.cc:Long 80\n"}, listing, "remove the line")
        short = self.source("core/b.cc", long_function(9))
        self.assert_caught({**short, **mention, listing: "core/b.cc:Long 80\n"}, listing, "remove the line")

    def test_words_with_a_better_replacement(self):
        cases = {
            "void F() { sleep(1); }": "absl::Mutex::Await",
            "std::mutex mu;": "absl::Mutex",
            "std::unique_lock<M> lock;": "absl::MutexLock",
            "std::condition_variable cv;": "absl::Condition",
            "std::thread t;": "std::jthread",
            "void F() { throw 1; }": "absl::Status",
            "std::string_view s;": "absl::string_view",
            "c10::InferenceMode on;": "AutoGradMode",
            "int x = std::stoi(s);": "absl::SimpleAtoi",
            "void F() { sprintf(s, t); }": "absl::StrCat",
            "int x = system(s);": "core/process",
            "using namespace std;": "using-declarations",
            "char* p = NULL;": "nullptr",
            "void F() { status.IgnoreError(); }": "RETURN_IF_ERROR",
            "TEST(A, DISABLED_B);": "run the test or delete it",
            "// TODO: later": "TODO(#N)",
        }
        for text, better in cases.items():
            with self.subTest(text):
                self.assert_caught(self.source("core/b.cc", f"\n{text}\n"), "core/b.cc:2", better)
        changes = self.source("core/tensor/b.cc", "#include <torch/torch.h>\n")
        self.assert_caught(changes, "core/tensor/b.cc:1", "<ATen/core/Tensor.h>")
        changes = {"core/tensor/b.h": header("core/tensor/b.h", "#include <ATen/ATen.h>")}
        changes |= self.source("core/tensor/b.cc", '#include "core/tensor/b.h"\n')
        self.assert_caught(changes, "core/tensor/b.h:3", "<ATen/core/Tensor.h>")
        changes = self.source("core/numerics/b.cc", "std::mt19937 generator;\n")
        self.assert_caught(changes, "core/numerics/b.cc:1", "core/numerics/random.h")
        self.assert_caught({"core/b.py": "time.sleep(1)\n", "core/README.md": "b.py"}, "core/b.py:1", "deadline")

    def test_words_in_comments_and_strings_are_free(self):
        text = '// throw\n/* std::mutex\n sleep(1) */ const char* s = "throw \\" sleep(1)";\nchar c = \'"\';\nint x = 1\'000;\n'
        self.assertEqual(self.problems(self.source("core/b.cc", text)), [])

    def test_dead_files(self):
        self.assert_caught({"core/b.cc": ""}, "core/b.cc:1", "no CMakeLists.txt names it")
        self.assert_caught({"core/b.h": header("core/b.h", "")}, "core/b.h:1", "no file includes it")
        self.assert_caught({"core/b.py": ""}, "core/b.py:1", "no other file mentions it")

    def test_data_of_a_folder_that_is_named_is_used(self):
        changes = {"core/fuzz/corpus/seed1": "{}", "core/fuzz/corpus/make.py": ""}
        self.assertEqual(len(self.problems(changes)), 2)
        self.assert_caught({**changes, "core/README.md": "core/fuzz/corpus/"}, "core/fuzz/corpus/make.py:1", "use it")

    def test_guards(self):
        text = CLEAN["core/a.h"].replace("CORE_A", "A")
        self.assert_caught({"core/a.h": text}, "core/a.h:1", "RADIOGRAPH_CORE_A_H_")

    def test_broken_links(self):
        self.assert_caught({"core/README.md": "\n[x](b.md)\n"}, "core/README.md:2", "core/b.md, which does not exist")
        self.assert_caught({"core/README.md": "[x](../README.md#gone)"}, "core/README.md:1", "no heading #gone")
        self.assert_caught({"core/README.md": "`core/gone.cc`"}, "core/README.md:1", "`core/gone.cc` does not exist")
        self.assertEqual(self.problems({"core/README.md": "[x](../README.md#what-next) [y](https://a.b)"}), [])

    def test_headers_that_no_source_includes_first(self):
        with tempfile.TemporaryDirectory() as folder:
            pathlib.Path(folder, "a.h").write_text("int A();\n")
            pathlib.Path(folder, "b.h").write_text("int B();\n")
            pathlib.Path(folder, "a.cc").write_text('#include "a.h"\n#include "b.h"\n')
            self.assertEqual(files.unproven_headers(tree.read_tree(folder)), ["b.h"])


if __name__ == "__main__":
    unittest.main()
