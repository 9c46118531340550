"""Makes safetensors files that are right and then hurt in one to three ways, the same for the same seed."""

import json
import random
import struct

DTYPES = {"BOOL": 8, "U8": 8, "I8": 8, "F8_E5M2": 8, "F8_E4M3": 8, "F8_E8M0": 8, "F8_E4M3FNUZ": 8, "F8_E5M2FNUZ": 8,
          "I16": 16, "U16": 16, "F16": 16, "BF16": 16, "I32": 32, "U32": 32, "F32": 32,
          "C64": 64, "F64": 64, "I64": 64, "U64": 64, "F4": 4, "F6_E2M3": 6, "F6_E3M2": 6}
HUGE = (2**31, 2**32, 2**53 + 1, 2**61, 2**63 - 1, 2**63, 2**64 - 1, 2**64, 10**30)


class Raw(str):
    """Text of JSON that stands as it is."""


class Pairs(list):
    """An object as a list of [key, value], so that it can have a key twice."""


def text_of(value, rng=None):
    """JSON, with the blanks that the format allows where `rng` is given."""
    gap = (lambda: rng.choice(("", "", "", " ", "\n", "\t "))) if rng else (lambda: "")
    if isinstance(value, Raw):
        return str(value)
    if isinstance(value, Pairs):
        inside = ",".join(f"{gap()}{text_of(k)}{gap()}:{gap()}{text_of(v, rng)}" for k, v in value)
        return "{" + inside + gap() + "}"
    if isinstance(value, list):
        return "[" + ",".join(gap() + text_of(item, rng) for item in value) + gap() + "]"
    return json.dumps(value, ensure_ascii=False)


def right(rng):
    """[name, entry] of some tensors that fill their data, and its size."""
    header, end = Pairs(), 0
    for i in range(rng.choice((0, 1, 1, 2, 2, 3, 6))):
        dtype = rng.choice(list(DTYPES))
        shape = [rng.choice((0, 1, 1, 2, 3, 4, 8)) for _ in range(rng.choice((0, 1, 1, 2, 2, 3, 5)))]
        bits = DTYPES[dtype]
        for size in shape:
            bits *= size
        if bits % 8:
            shape.append(8 if rng.random() < 0.9 else 1)  # a right one, most often
            bits *= shape[-1]
        begin, end = end, end + bits // 8
        entry = Pairs([["dtype", dtype], ["shape", shape], ["data_offsets", [begin, end]]])
        rng.shuffle(entry)
        header.append([rng.choice(("w", "größe", "blocks.0.weight", "a b", "\U0001f600")) + str(i), entry])
    rng.shuffle(header)
    if rng.random() < 0.4:
        header.insert(rng.randrange(len(header) + 1),
                      ["__metadata__", Pairs([f"k{i}", f"v{i}"] for i in range(rng.randrange(4)))])
    return header, end


def any_value(rng, depth=0):
    if depth < 3 and rng.random() < 0.3:
        return [any_value(rng, depth + 1) for _ in range(rng.randrange(3))]
    if depth < 3 and rng.random() < 0.3:
        return Pairs([rng.choice("ab"), any_value(rng, depth + 1)] for _ in range(rng.randrange(3)))
    if rng.random() < 0.02:
        levels = rng.choice((60, 126, 127, 128, 200))
        return Raw("[" * levels + "]" * levels)
    return rng.choice((None, True, 0, -1, 1.5, "x", "", Raw("-0"), Raw("1e999"), Raw("1E-2"), 2**64))


def any_number(rng):
    return rng.choice((0, 1, 2, 3, 7, 8, -1, *HUGE, Raw("-0"), Raw("1.0"), Raw("1e0"), Raw("01"), Raw("-0.0"), Raw("+1"),
                       None, True, "1", Raw("NaN")))


def entries(header):
    return [pair for pair in header if pair[0] != "__metadata__" and isinstance(pair[1], Pairs)]


def field(entry, name):
    return next((pair for pair in entry if pair[0] == name), None)


def hurt_field(header, rng, name, change):
    """Replaces the value of a field of one tensor by change(value), if there is one."""
    pairs = entries(header)
    pair = field(rng.choice(pairs)[1], name) if pairs else None
    if pair is not None:
        pair[1] = change(pair[1])


def shape(header, rng):
    def change(old):
        if not isinstance(old, list):
            return old
        new = list(old)
        how = rng.randrange(8)
        if how == 0:
            return new + [1] * rng.choice((1, 8, 9, 31, 60, 64, 70))
        if how == 1:
            return new + [rng.choice(HUGE), rng.choice((0, 2**32)), rng.choice((2**32, 2**40))]
        if how == 2:
            return new + [rng.choice((0, Raw("-0"), [], [1]))]
        if how == 3:
            return rng.choice((3, None, "[]", Pairs(), Raw("[1,]"), Raw("[,1]")))
        if how == 4 and new:
            new.pop()
        elif new:
            new[rng.randrange(len(new))] = any_number(rng)
        return new
    hurt_field(header, rng, "shape", change)


def offsets(header, rng):
    def change(old):
        if not isinstance(old, list) or len(old) != 2:
            return old
        begin, end = old
        return rng.choice(([end, begin], [begin + 1, end + 1], [begin, end + 1], [begin, begin], [begin], [], old + [end],
                           [any_number(rng), end], [begin, any_number(rng)], Pairs(), 0, None, [str(begin), end],
                           [0, end], [begin, rng.choice(HUGE)])
                          if all(isinstance(x, int) for x in old) else (old,))
    hurt_field(header, rng, "data_offsets", change)


def dtype(header, rng):
    new = rng.choice((*DTYPES, "F8", "U4", "C128", "f32", "F32 ", "", "Größe", "F\n8", "F" * 64, "F" * 65, 32, None, [], ["F32"],
                      Pairs([["F32", None]]), True))
    hurt_field(header, rng, "dtype", lambda _: new)


def entry(header, rng):
    """Fields that are missing, twice, or of other names; entries that are no objects."""
    pairs = entries(header)
    if not pairs:
        return
    pair = rng.choice(pairs)
    how = rng.randrange(6)
    if how == 0 and pair[1]:
        pair[1].pop(rng.randrange(len(pair[1])))
    elif how == 1 and pair[1]:
        pair[1].insert(0, list(rng.choice(pair[1])))
    elif how == 2:
        values = dict(pair[1])
        pair[1] = [values.get("dtype"), values.get("shape"), values.get("data_offsets")]
    elif how == 3:
        pair[1] = any_value(rng)
    else:
        for _ in range(rng.choice((1, 1, 2))):
            key = rng.choice(("stride", "x", "", "Shape", "größe"))
            pair[1].insert(rng.randrange(len(pair[1]) + 1), [key, any_value(rng)])


def names(header, rng):
    pairs = entries(header)
    if not pairs:
        return
    pair = rng.choice(pairs)
    how = rng.randrange(4)
    if how == 0:
        pair[0] = rng.choice(("n" * 1024, "n" * 1025, "ü" * 513, "", "a\nb", "a\x7f", "\x85", "\x00", "a\tb", " ", "é" * 512))
    elif how == 1:
        pair[0] = Raw(rng.choice((r'"\u0077"', r'"\u00e9"', r'"\ud800"', r'"\ud83d\ude00"', r'"\u0000"', r'"\u0085x"', r'"\/"', r'"\q"')))
    elif how == 2:
        header.append([pair[0], rng.choice(pairs)[1]])
    else:
        header.append([rng.choice((pair[0], "empty")), Pairs([["dtype", "U8"], ["shape", [0]], ["data_offsets", [0, 0]]])])


def metadata(header, rng):
    value = rng.choice((None, Pairs(), [], "a", 0, Pairs([["a", None]]), Pairs([["a", 1]]), Pairs([["a", Pairs()]]),
                        Pairs([["a", "b"], ["a", "c"]]), Pairs([["", ""]]), Pairs([["ü\n", "\U0001f600\t"]]), Pairs([["a", Raw(r'"\ud800"')]]),
                        Pairs([["a", "b"] for _ in range(2)])))
    header.insert(rng.randrange(len(header) + 1), ["__metadata__", value])


def hurt_text(text, rng):
    """The header's bytes, hurt without regard to what they mean."""
    how = rng.randrange(9)
    at = rng.randrange(len(text) + 1)
    if how == 0:
        return rng.choice((b" ", b"\n", b"\xef\xbb\xbf", b"\t ", b"\0")) + text
    if how == 1:
        return text + rng.choice((b" ", b"\n\t\r ", b"\0", b"}", b"x", b",", b"\x0c", b"{}", b"//"))
    if how == 2:
        return text[:at]
    if how == 3 and text:
        at = rng.randrange(len(text))
        return text[:at] + bytes([text[at] ^ 1 << rng.randrange(8)]) + text[at + 1:]
    if how == 4:
        return text[:at] + rng.choice((b"\xff", b"\xc3", b"\xed\xa0\x80", b"\xc0\xaf", b"\0", b"\x01")) + text[at:]
    if how == 5:
        end = rng.randrange(at, min(len(text), at + 20) + 1)
        return text[:at] + text[end:]
    if how == 6:
        end = rng.randrange(at, min(len(text), at + 80) + 1)
        return text[:end] + text[at:]
    if how == 7:
        return text[:at] + rng.choice((b",", b":", b"}", b"]", b'"', b"{", b"[", b"0", b"-", b"e", b".", b" ", b"\\")) + text[at:]
    return text.replace(b'"', b"'", 2)


WAYS = (shape, shape, offsets, offsets, dtype, entry, entry, names, metadata)


def file_of(header, data, length=None):
    return struct.pack("<Q", len(header) if length is None else length) + header + data


def make(seed, number):
    """File `number` of a seed."""
    rng = random.Random(f"{seed}/{number}")
    header, size = right(rng)
    for _ in range(rng.choice((0, 1, 1, 1, 1, 2, 3))):
        rng.choice(WAYS)(header, rng)
    text = text_of(header, rng).encode("utf-8", "surrogatepass")
    if rng.random() < 0.15:
        text = hurt_text(text, rng)
    length, data = None, rng.randbytes(size)
    if rng.random() < 0.06:
        length = rng.choice((len(text) - 1, len(text) + 1, len(text) + size, 0, 2**24 + 1, 2**63, 2**64 - 1, 100_000_001)) % 2**64
    if rng.random() < 0.06:
        data = rng.choice((data[:-1], data + b"x", b"", data * 2))
    if rng.random() < 0.01:
        return file_of(text, data, length)[:rng.randrange(24)]
    return file_of(text, data, length)


def tensors(count):
    entry = '{"dtype":"U8","shape":[0],"data_offsets":[0,0]}'
    return ("{" + ",".join(f'"{i}":{entry}' for i in range(count)) + "}").encode()


def large():
    """What no random file is: at our limits and one beyond."""
    yield file_of(tensors(200_000), b"")
    yield file_of(tensors(200_001), b"")
    for count in (100_000, 100_001):
        texts = ",".join(f'"{i}":""' for i in range(count))
        yield file_of(('{"__metadata__":{' + texts + "}}").encode(), b"")
    for size in (2**24, 2**24 + 1, 100_000_000, 100_000_001):
        yield file_of(b"{}" + b" " * (size - 2), b"")
