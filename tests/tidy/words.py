"""Words with a better replacement."""

import re


def _word(pattern, better, where=r"\.(h|cc)$", in_comments=False):
    return re.compile(pattern), better, re.compile(where), in_comments


_WORDS = [
    _word(r"\b(sleep|usleep|nanosleep|SleepFor|sleep_for|sleep_until)\s*\(",
          "wait on a condition (absl::Mutex::Await), a notification or a fake clock",
          where=r"^(?!tests/bench/).*\.(h|cc)$"),  # a benchmark polls another program's port
    _word(r"\bstd::(recursive_|shared_|timed_)?mutex\b|\bstd::(lock_guard|unique_lock|scoped_lock)\b",
          "absl::Mutex and absl::MutexLock, with ABSL_GUARDED_BY"),
    _word(r"\bstd::condition_variable", "absl::Mutex::Await with an absl::Condition"),
    _word(r"\bstd::thread\b(?!::)", "std::jthread, which stops and joins"),
    _word(r"\bthrow\b", "return absl::Status"),
    _word(r"\bstd::string_view\b", "absl::string_view: Debian's Abseil does not convert"),
    _word(r"<torch/torch\.h>", "<ATen/core/Tensor.h> in a header, <ATen/ATen.h> in a source (32 s against 3 s)"),
    _word(r"<ATen/ATen\.h>", "<ATen/core/Tensor.h>: a header must not pull in all of ATen",
          where=r"^core/.*\.h$"),
    _word(r"\bInferenceMode\b", "c10::AutoGradMode off(false): inference tensors can never train"),
    _word(r"\b(atoi|atol|atoll|atof|strto[dfl]+|strtou?ll?|std::sto[a-z]+)\s*\(",
          "absl::SimpleAtoi or absl::SimpleAtod, which say when the text is no number"),
    _word(r"\b(sprintf|strcpy|strcat)\s*\(", "absl::StrCat or absl::StrFormat"),
    _word(r"\b(rand|srand)\s*\(|\bstd::(mt19937|random_device)\b",
          "the counter-based generator of core/numerics/random.h", where=r"^core/(numerics|models|analyses)/.*\.(h|cc)$"),
    _word(r"\b(system|popen)\s*\(", "core/process", where=r"(?<!_test)\.(h|cc)$"),
    _word(r"\busing namespace\b", "using-declarations of single names",
          where=r"^(core|server|client)/.*\.(h|cc)$"),
    _word(r"\bNULL\b", "nullptr"),
    _word(r"\bIgnoreError\s*\(", "RETURN_IF_ERROR, or log the Status"),
    _word(r"\bDISABLED_|\bGTEST_SKIP\b", "run the test or delete it"),
    _word(r"\btime\.sleep\s*\(", "wait for the event itself, with a deadline", where=r"\.py$"),
    _word(r"\b(TODO|FIXME|XXX)\b(?!\(#\d+\))", "TODO(#N) with an issue's number, or do it now",
          where=r"\.(h|cc|py|js|proto|txt|cmake)$", in_comments=True),
]


def check(files):
    for file in files.values():
        if file.path.startswith("tests/tidy/"):
            continue  # the words stand here
        for pattern, better, where, in_comments in _WORDS:
            if not where.search(file.path):
                continue
            text = file.text if in_comments else file.code
            for match in pattern.finditer(text):
                yield file.path, file.line_of(match.start()), f"'{match.group().strip()}': better {better}"
