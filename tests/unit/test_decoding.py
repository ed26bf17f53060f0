"""Bytes to a JSON value, within our bounds."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from server.decoding import MAX_DEPTH, decode
from server.errors import MalformedBody


def nested(depth: int, inner: str = "") -> bytes:
    """Write arrays within each other."""
    return ("[" * depth + inner + "]" * depth).encode()


@pytest.mark.parametrize(
    "body",
    [
        pytest.param(b'{"a":1,"a":1}', id="plain"),
        pytest.param(b'{"a":1,"b":{"c":1,"c":2}}', id="inner"),
        pytest.param(b'[{"a":1},{"a":1,"a":2}]', id="in an array"),
        pytest.param(b'{"a":"x","a":"y"}', id="texts"),
        pytest.param(b'{"a":{"b":"c"},"a":1}', id="object is lost"),
        pytest.param(b'{"":1,"":2}', id="empty keys"),
        pytest.param(rb'{"a":1,"\u0061":2}', id="escaped differently"),
        pytest.param(rb'{"a":1,"a":2,"b":"\n"}', id="backslash elsewhere"),
        pytest.param(rb'{"a\"":1,"a\"":2}', id="escaped quotes"),
        pytest.param(rb'{"a":"\"\"","a":2}', id="lost quotes"),
        pytest.param(b'{"a":1,"a":' + nested(1200) + b"}", id="very deep under the key that is lost last"),
        pytest.param(b'{"a":' + nested(900) + b',"a":1}', id="deep under the key that is lost"),
        pytest.param(b'{"a":' + nested(1020) + b',"a":1}', id="as deep as can be read"),
        pytest.param(b'{"a":1,"a":1' + b"0" * 200 + b"}", id="long number"),
    ],
)
def test_duplicate_keys(body: bytes) -> None:
    """The same key twice in one object is refused, however it is written and wherever it stands."""
    with pytest.raises(MalformedBody):
        decode(body)


@pytest.mark.parametrize(
    "text",
    [
        pytest.param('{"a":1,"b":1}', id="plain"),
        pytest.param('{"a":{"a":{"a":"a"}}}', id="in different objects"),
        pytest.param(r'{"a":"\"","b":"\\"}', id="escapes"),
        pytest.param(r'[{"a":"\u00e9"},{"a":"é"}]', id="in different rows"),
        pytest.param('{"a":1,"A":2}', id="case"),
        pytest.param('{"é":1,"e\N{COMBINING ACUTE ACCENT}":2}', id="normal forms"),
        pytest.param('"text"', id="a text"),
        pytest.param("null", id="null"),
        pytest.param(" [ ] ", id="space"),
        pytest.param(r'"\ud83d\ude00"', id="a pair of surrogates"),
    ],
)
def test_distinct_keys(text: str) -> None:
    """What has no duplicate keys comes as any parser reads it."""
    assert decode(text.encode()) == json.loads(text)


@pytest.mark.parametrize("inner", ["", '"a"', r'"\n"', "{}"[:0] + "1"], ids=["empty", "text", "backslash", "number"])
def test_depth(inner: str) -> None:
    """64 levels are taken, 65 are not, whatever stands inside."""
    decode(nested(MAX_DEPTH, inner))
    for depth in (MAX_DEPTH + 1, 500, 1000, 1023, 1025, 100_000):
        with pytest.raises(MalformedBody):
            decode(nested(depth, inner))


def test_depth_of_objects() -> None:
    """Objects count as arrays do."""
    decode(b'{"a":' * MAX_DEPTH + b"1" + b"}" * MAX_DEPTH)
    with pytest.raises(MalformedBody, match="more than 64 levels"):
        decode(b'{"a":' * (MAX_DEPTH + 1) + b"1" + b"}" * (MAX_DEPTH + 1))


@pytest.mark.parametrize(
    "body",
    [
        pytest.param(b"", id="nothing"),
        pytest.param(b" \n\t", id="space"),
        pytest.param(b"{", id="unfinished"),
        pytest.param(b"{} {}", id="two texts"),
        pytest.param(b"{'a':1}", id="single quotes"),
        pytest.param(b"[1,]", id="trailing comma"),
        pytest.param(b"NaN", id="NaN"),
        pytest.param(b"[Infinity]", id="Infinity"),
        pytest.param(b"[-Infinity]", id="-Infinity"),
        pytest.param(b"1e400", id="beyond a double"),
        pytest.param(b"-1e400", id="below a double"),
        pytest.param(b"1" + b"0" * 309, id="digits beyond a double"),
        pytest.param(b"01", id="leading zero"),
        pytest.param(b"+1", id="plus"),
        pytest.param(b".5", id="no digit before the point"),
        pytest.param(b"\xef\xbb\xbf{}", id="byte order mark"),
        pytest.param('{"a":1}'.encode("utf-16"), id="UTF-16"),
        pytest.param(b'"\xff"', id="no UTF-8"),
        pytest.param(b'"\xc3\x28"', id="broken UTF-8"),
        pytest.param(b'"\xed\xa0\x80"', id="surrogate in UTF-8"),
        pytest.param(b'"\xc0\xaf"', id="overlong UTF-8"),
        pytest.param(rb'"\ud800"', id="lone high surrogate"),
        pytest.param(rb'"\udc00"', id="lone low surrogate"),
        pytest.param(rb'"\ud800\u0061"', id="half a pair"),
        pytest.param(b'"a\nb"', id="raw control character"),
        pytest.param(b"// comment\n{}", id="comment"),
    ],
)
def test_not_json(body: bytes) -> None:
    """What is not one JSON text in UTF-8 within a double's range is refused in one sentence."""
    with pytest.raises(MalformedBody) as raised:
        decode(body)
    assert str(raised.value).endswith(".")


def test_message_holds_no_value() -> None:
    """The sentence tells where the text breaks, never what stands there."""
    with pytest.raises(MalformedBody, match=r"line 2, column \d+\.$") as raised:
        decode(b'{"a":\nsecret}')
    assert "secret" not in str(raised.value)


def test_empty_body_says_so() -> None:
    """An empty body is called empty."""
    with pytest.raises(MalformedBody, match=r"^The body is empty;"):
        decode(b"")


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("-0", 0),
        ("-0.0", 0.0),
        ("1e2", 100.0),
        ("9223372036854775807", 2**63 - 1),
        ("-9223372036854775808", -(2**63)),
        ("18446744073709551615", 2**64 - 1),
        ("18446744073709551616", 2**64),
        ("-9223372036854775809", -(2**63) - 1),
        ("340282346638528859811704183484516925441", 340282346638528859811704183484516925441),
        ("1" + "0" * 308, 10**308),
        ("1e20", 1e20),
        ("18446744073709551616.0", 2.0**64),
        ("1e-400", 0.0),
        ("1.7976931348623157e308", 1.7976931348623157e308),
        ("0." + "0" * 5000 + "1", 0.0),
        ("true", True),
    ],
    ids=lambda value: str(value)[:24],
)
def test_numbers(text: str, value: object) -> None:
    """Integers come exactly, all other numbers as the nearest double."""
    read = decode(text.encode())
    assert read == value
    assert type(read) is type(value)


@pytest.mark.parametrize(
    "text",
    [
        pytest.param('[{"a":1,"b":[1e300,-99999999999999999999]}]', id="inside"),
        pytest.param(r'{"\u0061\n":99999999999999999999,"b":1.5}', id="beside escapes"),
    ],
)
def test_large_integers(text: str) -> None:
    """An integer beyond 64 bits is exact wherever it stands."""
    assert decode(text.encode()) == json.loads(text)


def test_duplicate_keys_beside_large_integers() -> None:
    """A large integer does not hide that a key stands twice."""
    with pytest.raises(MalformedBody, match="same key twice"):
        decode(b'{"a":99999999999999999999,"a":99999999999999999999}')


values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**70), 2**70) | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=20,
)  # fmt: skip


@given(values, st.booleans(), st.sampled_from([None, 1]))
def test_round_trip(value: object, ascii_only: bool, indent: int | None) -> None:
    """Whatever a standard writer writes, escaped or not, comes back; it never has duplicate keys."""
    text = json.dumps(value, ensure_ascii=ascii_only, indent=indent)
    assert decode(text.encode()) == value


@given(st.lists(st.tuples(st.sampled_from(["a", "b", 'q"', "\\", "é"]), values), max_size=4), st.booleans())
def test_duplicates_are_exactly_those(pairs: list[tuple[str, object]], ascii_only: bool) -> None:
    """An object is refused if and only if two of its keys are the same."""
    members = (f"{json.dumps(key, ensure_ascii=ascii_only)}:{json.dumps(value)}" for key, value in pairs)
    body = ("{" + ",".join(members) + "}").encode()
    if len({key for key, _ in pairs}) == len(pairs):
        assert decode(body) == dict(pairs)
    else:
        with pytest.raises(MalformedBody, match="same key twice"):
            decode(body)
