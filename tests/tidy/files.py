"""Dead files, headers that nothing shows to compile alone, guards, broken links in documents."""

import posixpath
import re

_LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
_CODE_SPAN = re.compile(r"`([^`\n]+)`")
_PATH = re.compile(r"^[\w.\-]+(/[\w.\-]+)+/?$")
_STANDARD = re.compile(r"^(CMakeLists\.txt|README\.md|\..*|[A-Z][A-Za-z.]*)$")


def _text_elsewhere(files, path, suffixes=None):
    for other in files.values():
        if other.path != path and (suffixes is None or other.name in suffixes):
            yield other.text


def _is_mentioned(file, texts):
    """By name; a Python file also by its import, a .proto by its stem in a list of them."""
    pattern = rf"(?<![\w.]){re.escape(file.name)}(?!\w)|^(?:import|from) {re.escape(file.stem)}\b"
    if file.suffix == "proto":
        pattern += rf"|\b{re.escape(file.stem)}\b"
    name = re.compile(pattern, re.MULTILINE)
    return any(file.stem in text and name.search(text) for text in texts)


def check_dead(files):
    included = {target for file in files.values() for _, target, _ in file.includes()}
    for file in files.values():
        if "/" not in file.path or _STANDARD.match(file.name):
            continue
        if file.suffix == "h":
            if file.path not in included:
                yield file.path, 1, "no file includes it: include it or delete it"
        elif file.suffix in ("cc", "proto"):
            if not _is_mentioned(file, _text_elsewhere(files, file.path, ("CMakeLists.txt",))):
                yield file.path, 1, "no CMakeLists.txt names it: add it to its folder's target or delete it"
        elif not _is_mentioned(file, _text_elsewhere(files, file.path)) and not _is_data_of_a_folder(files, file):
            yield file.path, 1, "no other file mentions it: use it or delete it"


def _is_data_of_a_folder(files, file):
    """A file that is no program, below a folder that some file names by its path: used with the whole folder."""
    if file.suffix in ("py", "js", "sh") or file.text.startswith("#!"):
        return False
    folders = "|".join(re.escape(folder) for folder in _parents(file.path) if "/" in folder)
    named = re.compile(rf"(?<![\w/])({folders})\b") if folders else None
    return named is not None and any(named.search(text) for text in _text_elsewhere(files, file.path))


def check_guards(files):
    for file in files.values():
        if file.suffix == "h":
            guard = "RADIOGRAPH_" + re.sub(r"\W", "_", file.path).upper() + "_"
            if not re.search(rf"^#ifndef {guard}\n#define {guard}$", file.text, re.MULTILINE):
                yield file.path, 1, f"its include guard is not {guard}: use that name"


def unproven_headers(files):
    """Headers that no source includes first: for the others the compiler shows that they stand alone."""
    first = {next(file.includes())[1] for file in files.values() if file.suffix == "cc" and any(file.includes())}
    return [file.path for file in files.values() if file.suffix == "h" and file.path not in first]


def _anchors(text):
    headings = re.findall(r"^#+\s+(.*)$", text, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def _broken_link(files, folders, file, target):
    path, _, anchor = target.partition("#")
    path = posixpath.normpath(posixpath.join(posixpath.dirname(file.path), path)) if path else file.path
    if path not in files and path not in folders:
        return f"the link leads to {path}, which does not exist: mend or remove it"
    if anchor and path in files and anchor not in _anchors(files[path].text):
        return f"{path} has no heading #{anchor}: mend or remove the link"
    return None


def check_links(files):
    folders = {posixpath.dirname(path) for path in files}
    folders |= {parent for path in folders for parent in _parents(path)}
    tops = {path.split("/", 1)[0] for path in files if "/" in path}
    for file in files.values():
        if file.suffix != "md":
            continue
        for match in _LINK.finditer(file.text):
            if not re.match(r"[a-z]+:", match.group(1)):
                broken = _broken_link(files, folders, file, match.group(1))
                if broken:
                    yield file.path, file.line_of(match.start()), broken
        for match in _CODE_SPAN.finditer(file.text):
            path = match.group(1).rstrip("/")
            if _PATH.match(match.group(1)) and path.split("/", 1)[0] in tops - {"build"}:
                if path not in files and path not in folders:
                    yield file.path, file.line_of(match.start()), f"`{path}` does not exist: name what there is now"


def _parents(path):
    while path:
        path = posixpath.dirname(path)
        yield path


def check(files):
    yield from check_dead(files)
    yield from check_guards(files)
    yield from check_links(files)
