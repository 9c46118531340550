"""Checks cache_key_vectors.json with Python's standard library alone: a second reading of the algorithm.

With --write it fills in `canonical` and the digests anew.
"""

import decimal
import hashlib
import json
import pathlib
import sys

PATH = pathlib.Path(__file__).with_name("cache_key_vectors.json")


def number(value):
    """ECMAScript's Number::toString (RFC 8785, 3.2.2.3), from the digits of Python's repr."""
    if value == 0:
        return "0"
    sign, digits, exponent = decimal.Decimal(repr(value)).normalize().as_tuple()
    digits, minus = "".join(map(str, digits)), "-" * sign
    point = len(digits) + exponent  # value = 0.digits * 10^point
    if 0 < point <= 21:
        return minus + digits[:point].ljust(point, "0") + ("." + digits[point:]).rstrip(".")
    if -6 < point <= 0:
        return f"{minus}0.{'0' * -point}{digits}"
    return minus + f"{digits[0]}.{digits[1:]}".rstrip(".") + f"e{point - 1:+d}"


def canonical(value):
    if isinstance(value, dict):
        keys = sorted(value, key=lambda key: key.encode("utf-16-be"))
        return "{" + ",".join(f"{canonical(key)}:{canonical(value[key])}" for key in keys) + "}"
    if isinstance(value, list):
        return "[" + ",".join(map(canonical, value)) + "]"
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        return number(value)
    return json.dumps(value, ensure_ascii=False)


def main():
    vectors = json.loads(PATH.read_text(encoding="utf-8"))
    wrong = []

    def check(vector, name, content):
        text = canonical(content)
        for key, value in (("canonical", text), (name, hashlib.sha256(text.encode()).hexdigest())):
            if vector.get(key) != value:
                wrong.append(f"{vector['about']}: {key} is {vector.get(key)}, computed {value}")
                vector[key] = value

    for vector in vectors["cache_keys"]:
        check(vector, "key", {name: vector[name] for name in ("analysis", "version", "params", "inputs", "seed")})
    for vector in vectors["input_digests"]:
        content = {"files": sorted(vector["files"])}
        check(vector, "digest", content | ({"roles": vector["roles"]} if vector["roles"] else {}))
    if "--write" in sys.argv:
        PATH.write_text(json.dumps(vectors, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")
        return 0
    print("\n".join(wrong) or f"{len(vectors['cache_keys']) + len(vectors['input_digests'])} vectors agree")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
