"""Changes of files that are text: JSON, XML, delimited tables, TOML. Each takes bytes and a change of plain values."""

from __future__ import annotations

import json
import random
import re
from collections.abc import Iterator
from copy import deepcopy

Change = dict[str, object]
Json = dict[str, object] | list[object]

_JSON_VALUES: tuple[object, ...] = (
    None, True, False, 0, -0.0, -1, 1, 2, 3, 2**31 - 1, 2**32, 2**53, 2**63 - 1, 2**63, 2**64, 10**30, 1.5, 1e308,
    float("nan"), float("inf"), "", "0", "1", ".", "..", "/", "../../outside/thesis.txt", "A/1", "a/b/c", "\x00",
    "x" * 3000, "\ud800", "é", "µm", "micrometer", "uint16", ">f8", "|V3", "r24", "r9999999", "O", "M8[ns]", "S10",
    "regular", "bytes", "sharding_indexed", "transpose", "tczyx", "0.1", "0.4", "0.5", "0.6", "9.9", [], [0], [0, 0], [1, 1],
    [2**40, 2**40], ["a", "a"], ["t", "c", "z", "y", "x"], [[]], {}, {"name": "x"}, {"path": "0"}, {"path": ".."},
    [{"type": "scale", "scale": [0, 1, 1]}], [{"type": "scale", "scale": [1e308] * 5}], [[1] * 65],
    {"name": "sharding_indexed", "configuration": {"chunk_shape": [1, 1], "codecs": []}},
)  # fmt: skip
_XML_VALUES = (
    "", "0", "-1", "1", "2", "1e400", "NaN", "INF", "9" * 5000, "1_0", "٣", " 1 ", "2147483647", "2147483648",
    "99999999999999999999", "1.5", "x", "../x", "../../outside/thesis.txt", "XYZCT", "XYZTC", "µm", "nm", "Image:0", "Image:1",
    "WellSample:0", "1000000000", "&#xD7FF;", "&#0;", "&undefined;", "\ue000", "A01", "uint8", "bit",
)  # fmt: skip
_CELLS = (
    "", "nan", "NaN", "inf", "-inf", "NA", "0", "-0", "-1", "1.5", "1e400", "9" * 19, "9" * 40, "9223372036854775808", "A01",
    "a1", "ZZ99", "P1", "=1+1", "é", "\x00", "\ufeff", '"', '""', "'", ",", "\n", "\r", "\t", "x" * 4000, "../..", "ImageNumber",
    "ObjectNumber", "Metadata_Well", "Metadata_Plate", "True", "0x10", "1_000", "1,5", "2020-01-01", "٣", "\ud7ff",
)  # fmt: skip
_TOML_VALUES = (
    "true", "0", "-1", "1e400", "nan", "inf", '""', '"x"', '"("', '"(a+)+$"', '"(?P<well>.*)*x"', '"[a-z"', "[]", '[""]', "[[]]",
    "{}", "{a = 1}", '["*"]', '"*"', '"../.."', '"\\u0000"', "9223372036854775808", "2020-01-01", '"' + "x" * 5000 + '"',
    "[" * 400, '["A01"]', '{well = "("}',
)  # fmt: skip


def list_places(value: object, path: tuple[str | int, ...] = ()) -> Iterator[tuple[str | int, ...]]:
    """Every place of a JSON document where a value stands, as the keys that lead there."""
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, inner in items:
        yield (*path, key)
        yield from list_places(inner, (*path, key))


def draw_json(raw: bytes, draw: random.Random) -> Change | None:
    """Another value, one less, one more, many more, or deeper, at any place of the document."""
    try:
        places = list(list_places(json.loads(raw)))
    except (ValueError, RecursionError):
        return None
    if not places:
        return None
    change: Change = {
        "at": list(draw.choice(places)),
        "do": draw.choice(["set"] * 7 + ["delete", "copy", "grow", "nest"]),
    }
    if change["do"] == "set":
        change["value"] = draw.choice(_JSON_VALUES)
    if change["do"] == "copy":
        change["from"] = list(draw.choice(places))
    if change["do"] in ("grow", "nest"):
        change["count"] = draw.choice([2, 70, 600])
    return change


def apply_json(raw: bytes, change: Change) -> bytes:
    """Make the change where its place is still there."""
    document = json.loads(raw)
    *way, key = change["at"]  # type: ignore[misc]
    try:
        owner = _follow(document, way)
        value = owner[key]
        if change["do"] == "set":
            owner[key] = change["value"]
        elif change["do"] == "delete":
            del owner[key]
        elif change["do"] == "copy":
            owner[key] = deepcopy(_follow(document, change["from"]))
        elif change["do"] == "nest":
            for _ in range(int(str(change["count"]))):
                value = [value]
            owner[key] = value
        elif isinstance(owner, list):
            owner[key : key + 1] = [value] * int(str(change["count"]))
    except (LookupError, TypeError):
        return raw
    return json.dumps(document).encode()


def _follow(document: object, way: object) -> object:
    for step in way:  # type: ignore[attr-defined]
        document = document[step]  # type: ignore[index]
    return document


_ATTRIBUTE = re.compile(r"""([\w:]+)=(["'])([^"']*)\2""")
_TEXT = re.compile(r">([^<>]+)<")
_ELEMENT = re.compile(r"<([\w:]+)[^<>]*/>|<([\w:]+)[^<>]*>[^<>]*</\2>")
_XML_PLACES = {"attribute": _ATTRIBUTE, "forget": _ATTRIBUTE, "text": _TEXT, "element": _ELEMENT}


def draw_xml(raw: bytes, draw: random.Random) -> Change | None:
    """Another attribute or text, one less, an element less or several times."""
    do = draw.choice(["attribute"] * 5 + ["text", "text", "forget", "element", "doctype"])
    change: Change = {
        "do": do,
        "at": draw.randrange(400),
        "value": draw.choice(_XML_VALUES),
        "count": draw.choice([0, 2, 3, 900]),
    }
    return change


def apply_xml(raw: bytes, change: Change) -> bytes:
    """Make the change at the n-th of its places."""
    text = raw.decode("latin-1")
    value = str(change["value"]).encode("utf-8", "surrogatepass").decode("latin-1")
    if change["do"] == "doctype":
        entity = '<!DOCTYPE x [<!ENTITY undefined SYSTEM "file:///etc/hostname">]>'
        return text.replace("?>", f"?>{entity}", 1).encode("latin-1")
    found = list(_XML_PLACES[str(change["do"])].finditer(text))
    if not found:
        return raw
    match = found[int(str(change["at"])) % len(found)]
    start, end = match.span({"attribute": 3, "text": 1}.get(str(change["do"]), 0))
    new = {"forget": "", "element": match.group() * int(str(change["count"]))}.get(str(change["do"]), value)
    return (text[:start] + new + text[end:]).encode("latin-1")


def draw_csv(raw: bytes, draw: random.Random) -> Change | None:
    """Another cell or header, a column or row less or more, another dialect or encoding."""
    do = draw.choice(["cell"] * 5 + ["header"] * 3 + ["less", "row", "no-row", "dialect", "encoding"])
    return {
        "do": do,
        "at": [draw.randrange(60), draw.randrange(30)],
        "value": draw.choice(_CELLS),
        "count": draw.choice([0, 2, 500]),
        "delimiter": draw.choice([";", "\t", "|", " ", ",,"]),
        "encoding": draw.choice(["utf-8-sig", "utf-16", "latin-1", "utf-32", "cr", "crlf", "no-newline"]),
    }


def apply_csv(raw: bytes, change: Change) -> bytes:
    """Make the change without a parser, so that what a cell holds may break the file."""
    text = raw.decode("utf-8", "replace")
    delimiter = "\t" if "\t" in text.partition("\n")[0] else ","
    do = change["do"]
    if do == "dialect":
        return text.replace(delimiter, str(change["delimiter"])).encode()
    if do == "encoding":
        return _encode(text, str(change["encoding"]))
    lines = [line.split(delimiter) for line in text.splitlines()] or [[""]]
    row, column = (int(number) for number in change["at"])  # type: ignore[attr-defined]
    line = lines[0] if do == "header" else lines[row % len(lines)]
    if do in ("cell", "header"):
        line[column % len(line)] = str(change["value"])
    elif do == "less":
        del line[column % len(line)]
    elif do == "row":
        lines[row % len(lines) : row % len(lines) + 1] = [line] * int(str(change["count"]))
    else:
        del lines[row % len(lines) :]
    return "\n".join(delimiter.join(line) for line in [*lines, [""]]).encode("utf-8", "replace")


def _encode(text: str, encoding: str) -> bytes:
    ends = {"cr": "\r", "crlf": "\r\n"}
    if encoding in ends:
        return text.replace("\r\n", "\n").replace("\n", ends[encoding]).encode()
    if encoding == "no-newline":
        return text.rstrip("\r\n").encode()
    return text.encode(encoding, "replace")


def draw_toml(raw: bytes, draw: random.Random) -> Change | None:
    """Another value, key or a line twice."""
    return {
        "do": draw.choice(["value"] * 6 + ["key", "twice", "less"]),
        "at": draw.randrange(100),
        "value": draw.choice(_TOML_VALUES),
    }


def apply_toml(raw: bytes, change: Change) -> bytes:
    """Make the change on the n-th line that sets a key."""
    lines = raw.decode("utf-8", "replace").splitlines()
    setting = [
        number for number, line in enumerate(lines) if " = " in line and not line.startswith("#")
    ] or None
    if setting is None:
        return raw + b"\nx = " + str(change["value"]).encode()
    number = setting[int(str(change["at"])) % len(setting)]
    key, _, value = lines[number].partition(" = ")
    new = {
        "value": [f"{key} = {change['value']}"],
        "key": [f"{key}x = {value}"],
        "twice": [lines[number]] * 2,
        "less": [],
    }
    lines[number : number + 1] = new[str(change["do"])]
    return "\n".join(lines).encode() + b"\n"
