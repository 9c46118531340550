"""Functions over 70 lines and files over 500. exceptions.txt lists what may be longer; it only shrinks."""

import ast
import re

FUNCTION_LINES_MAX = 70
FILE_LINES_MAX = 500
EXCEPTIONS = "tests/tidy/exceptions.txt"
_CODE = ("cc", "h", "py", "js", "proto", "cmake")
_CONTAINER = re.compile(r"\b(namespace|class|struct|union|enum|extern)\b[^()=]*$")


def _cpp_functions(code):
    """Yields (name, first line, last line) of each function body that stands in a namespace or a class.

    A brace opens a container, when the text since the last ; { or } names one; a function, when that
    text holds a parameter list; else something inside a function or an initialiser.
    """
    stack, head = [], 0
    for brace in re.finditer(r"[{};]", re.sub(r"^[ \t]*#.*(\\\n.*)*$", _blank_line, code, flags=re.MULTILINE)):
        at, what = brace.start(), brace.group()
        text = code[head:at]
        head = at + 1
        if what == "{":
            in_container = all(kind == "container" for kind, *_ in stack)
            if _CONTAINER.search(text):
                stack.append(("container",))
            elif in_container and "(" in text and not re.search(r"=\s*$", text):
                start = at - len(text.lstrip())
                name = re.search(r"([\w:~]+)\s*\(", text).group(1) if re.search(r"([\w:~]+)\s*\(", text) else "?"
                stack.append(("function", name, code.count("\n", 0, start) + 1))
            else:
                stack.append(("other",))
        elif what == "}" and stack:
            kind, *function = stack.pop()
            if kind == "function":
                yield *function, code.count("\n", 0, at) + 1


def _blank_line(match):
    return re.sub(r"[^\n]", " ", match.group())


def _python_functions(text):
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            yield node.name, node.lineno, node.end_lineno


def _functions(file):
    if file.is_cpp:
        return _cpp_functions(file.code)
    return _python_functions(file.text) if file.suffix == "py" else ()


def _exceptions(files):
    """{what: lines} of exceptions.txt: `core/a.cc 512` or `core/a.cc:Function 81`."""
    text = files[EXCEPTIONS].text if EXCEPTIONS in files else ""
    lines = [line.rsplit(" ", 1) for line in text.splitlines() if line and not line.startswith("#")]
    return {what: int(count) for what, count in lines}


def check(files):
    allowed = _exceptions(files)
    for file in files.values():
        sizes = []
        if file.suffix in _CODE:
            sizes.append((file.path, 1, file.text.count("\n"), FILE_LINES_MAX, "split the file by subject"))
        for name, first, last in _functions(file):
            advice = "split it into steps with names"
            sizes.append((f"{file.path}:{name}", first, last - first + 1, FUNCTION_LINES_MAX, advice))
        for what, line, lines, lines_max, advice in sizes:
            limit = allowed.pop(what, lines_max)
            if lines > limit:
                yield file.path, line, f"{what} has {lines} lines, {limit} are allowed: {advice}"
            elif limit > lines_max and lines < limit:
                fix = f"set it to {lines}" if lines > lines_max else "remove the line"
                yield EXCEPTIONS, 1, f"{what} has only {lines} lines now: {fix}"
    for what in allowed:
        yield EXCEPTIONS, 1, f"{what} does not exist any more: remove the line"
