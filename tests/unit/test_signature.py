"""All parameters together: objects to rows of codes, or every reason why not."""

from typing import Any

import pytest

from server.errors import FieldError, InvalidInput
from server.signature import MAX_ERRORS, SEARCHED_LETTERS, Signature, escape
from tests.models import boolean, category, integer, number, text

SIGNATURE = Signature((category("force", ("Kent", "Essex")), integer("month", minimum=1, maximum=12)))
OPTIONAL = Signature((number("a", default=5), category("c", nullable=True, null_code=-1, default=None)))


def reasons(signature: Signature, value: object) -> list[tuple[str, str]]:
    """Give the pointers and codes for which a value is refused."""
    with pytest.raises(InvalidInput) as raised:
        signature.parse(value)
    return [(error.pointer, error.code) for error in raised.value.errors]


def test_rows_are_in_the_order_of_the_columns() -> None:
    """The codes stand in the signature's order, whatever the order of the fields."""
    assert SIGNATURE.parse({"month": 6, "force": "Essex"}) == [1, 6.0]


def test_defaults() -> None:
    """An absent field has the code of its default, which may be null."""
    assert OPTIONAL.parse({}) == [5.0, -1]
    assert OPTIONAL.parse({"a": 1, "c": "green"}) == [1.0, 1]


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        pytest.param({}, [("/force", "missing"), ("/month", "missing")], id="empty"),
        pytest.param({"force": "Wales", "month": "6"}, [("/force", "not_allowed"), ("/month", "wrong_type")], id="all"),
        pytest.param({"force": "Kent", "month": 6, "x": 1}, [("/x", "unknown_field")], id="unknown"),
        pytest.param({"force": "Kent", "x": 1}, [("/month", "missing"), ("/x", "unknown_field")], id="swapped"),
        pytest.param({"force": "Kent", "month": 6, "a/b~": 1}, [("/a~1b~0", "unknown_field")], id="escaped"),
        pytest.param([], [("", "wrong_type")], id="array"),
        pytest.param(None, [("", "wrong_type")], id="null"),
        pytest.param("Kent", [("", "wrong_type")], id="text"),
    ],
)
def test_all_reasons_are_told(value: object, expected: list[tuple[str, str]]) -> None:
    """A refusal tells everything that is wrong, in the order of the parameters, unknown fields last."""
    assert reasons(SIGNATURE, value) == expected


def test_unknown_fields_can_be_passed_over() -> None:
    """With `ignore_unknown` other fields do not count, and missing ones still do."""
    signature = Signature(SIGNATURE.parameters, ignore_unknown=True)
    assert signature.parse({"force": "Kent", "month": 1, "x": None}) == [0, 1.0]
    assert reasons(signature, {"force": "Kent", "x": None}) == [("/month", "missing")]


def test_unknown_field_beside_an_absent_one() -> None:
    """An unknown field is seen even if an optional one is absent, so that the number of fields is right."""
    assert reasons(OPTIONAL, {"a": 1, "x": 1}) == [("/x", "unknown_field")]


def test_unknown_field_suggests_a_name() -> None:
    """An unknown field is told with the field that was likely meant."""
    with pytest.raises(InvalidInput) as raised:
        SIGNATURE.parse({"Force": "Kent", "month": 6})
    assert [error.did_you_mean for error in raised.value.errors] == [None, "force"]


def test_object_expected() -> None:
    """For what is no object, the sentence names some fields."""
    with pytest.raises(InvalidInput, match=r"^Expected an object with the fields force, month; got an array\.$"):
        SIGNATURE.parse([])
    many = Signature(tuple(number(name) for name in "abcdefg"))
    with pytest.raises(InvalidInput, match=r"the fields a, b, c, d, e, \.\.\.; got a number\.$"):
        many.parse(1)


def test_errors_are_counted_beyond_those_told() -> None:
    """At most twenty errors are told, and all are counted."""
    value: dict[str, Any] = {f"x{index}": index for index in range(100)}
    with pytest.raises(InvalidInput) as raised:
        SIGNATURE.parse(value)
    assert len(raised.value.errors) == MAX_ERRORS
    assert raised.value.count == 102
    wide = Signature(tuple(number(f"x{index}") for index in range(50)))
    with pytest.raises(InvalidInput, match="There are 49 more errors") as raised:
        wide.parse({})
    assert (len(raised.value.errors), raised.value.count) == (MAX_ERRORS, 50)


def test_batch_is_all_or_nothing() -> None:
    """A batch gives all of its rows, or one refusal with the reasons of all."""
    good = {"force": "Kent", "month": 1}
    assert SIGNATURE.parse_rows([good, good]) == [[0, 1.0], [0, 1.0]]
    with pytest.raises(InvalidInput) as raised:
        SIGNATURE.parse_rows([{"force": "Kent"}, good, 5])
    assert [error.pointer for error in raised.value.errors] == ["/0/month", "/2"]


def test_batch_tells_the_first_twenty() -> None:
    """Of a batch with many errors, the first twenty are told; all are counted."""
    with pytest.raises(InvalidInput) as raised:
        SIGNATURE.parse_rows([{}] * 1000)
    assert raised.value.count == 2000
    assert [error.pointer for error in raised.value.errors] == [
        f"/{index}/{name}" for index in range(10) for name in ("force", "month")
    ]


def test_each_row_by_itself() -> None:
    """Row by row, each is its codes or its refusal; labels are told for the first twenty refusals only."""
    parsed = list(SIGNATURE.parse_each([{"force": "Kent", "month": 1}, *[{"force": "Wales", "month": 1}] * 21]))
    assert parsed[0] == [0, 1.0]
    told = [each.errors[0].allowed for each in parsed[1:] if isinstance(each, InvalidInput)]
    assert told == [("Kent", "Essex")] * 20 + [()]


def test_example_is_accepted() -> None:
    """The example of each kind of parameter is accepted."""
    signature = Signature((category(), number(), integer(), boolean(), text()))
    assert signature.parse(signature.example()) == [0, 0.0, 0.0, False, "text"]


@pytest.mark.parametrize(
    ("key", "escaped"),
    [("a", "a"), ("", ""), ("/", "~1"), ("~", "~0"), ("~1", "~01"), ("x" * 64, "x" * 64), ("x" * 65, "x" * 63 + "…")],
    ids=["plain", "empty", "slash", "tilde", "tilde one", "64", "65"],
)
def test_escape(key: str, escaped: str) -> None:
    """A key is escaped as RFC 6901 says, and cut where it is long."""
    assert escape(key) == escaped


def test_only_what_is_told_is_written_out(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of ten thousand rows without any of hundreds of fields all errors are counted, and few are written out."""
    written: list[str] = []

    def make(pointer: str, code: str, detail: str, **more: Any) -> FieldError:
        written.append(pointer)
        return FieldError(pointer, code, detail, **more)

    monkeypatch.setattr("server.signature.FieldError", make)
    signature = Signature(tuple(number(f"p{index}") for index in range(784)))
    with pytest.raises(InvalidInput) as refused:
        signature.parse_rows([{}] * 10_000)
    assert (refused.value.count, len(refused.value.errors), len(written)) == (7_840_000, 20, 20)
    assert len(list(signature.parse_each([{}] * 10_000))) == 10_000
    assert len(written) == 20 + 20 * 20 + 9_980 * 3


def test_suggestions_are_bounded() -> None:
    """However many labels are wrong, the likeliest is looked for only as often as there is time for."""
    labels = tuple(f"label number {index}" for index in range(200))
    signature = Signature(tuple(category(f"c{index}", labels=labels) for index in range(30)))
    refusals = list(signature.parse_each([{f"c{index}": "label nmber 7" for index in range(30)}] * 20))
    told = [error for each in refusals if isinstance(each, InvalidInput) for error in each.errors]
    assert len(told) == 400
    letters = len("label nmber 7") * sum(map(len, labels))
    assert sum(error.did_you_mean is not None for error in told) == SEARCHED_LETTERS // letters
