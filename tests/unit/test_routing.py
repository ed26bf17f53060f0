"""Which route is a request for, and how many rows its body may have."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from werkzeug.exceptions import HTTPException
from werkzeug.routing import Map, Rule

from server.app import Placed
from server.exchange import Request, Response
from server.routing import Route, Router, count_objects

RULES = (
    *("/", "/api/predict", "/v1/models", "/v1/models/<path:name>", "/v1/models/<path:name>:predict"),
    *("/v2/models/<path:name>", "/v2/models/<path:name>/infer", "/v2/models/<path:name>/versions/<path:version>"),
    *("/v2/models/<path:name>/versions/<path:version>/infer", "/v2/models/<path:name>/ready"),
)
PARTS = st.sampled_from(
    [
        "",
        "/",
        "v1",
        "v2",
        "api",
        "predict",
        "models",
        "versions",
        "infer",
        "ready",
        ":predict",
        "a",
        "b.c",
        "1",
        "\n",
        "%",
    ]
)


def answer(_: Request) -> Response:
    """Answer anything."""
    return Response(200)


ROUTER = Router(Route(rule, {"GET": answer}) for rule in RULES)
FLASKS = Map([Rule(rule, endpoint=rule) for rule in RULES], merge_slashes=False, converters={"path": Placed}).bind(
    "a.example"
)


@pytest.mark.parametrize(
    ("path", "rule", "variables"),
    [
        ("/", "/", {}),
        ("/v1/models", "/v1/models", {}),
        ("/v1/models/crime", "/v1/models/<path:name>", {"name": "crime"}),
        ("/v1/models/a/b:predict", "/v1/models/<path:name>:predict", {"name": "a/b"}),
        ("/v2/models/a/infer", "/v2/models/<path:name>/infer", {"name": "a"}),
        (
            "/v2/models/a/b/versions/1/infer",
            "/v2/models/<path:name>/versions/<path:version>/infer",
            {"name": "a/b", "version": "1"},
        ),
    ],
)
def test_found(path: str, rule: str, variables: dict[str, str]) -> None:
    """A path leads to the template that says most of it; names may hold slashes."""
    found = ROUTER.find(path)
    assert found is not None
    assert (found[0].rule, found[1]) == (rule, variables)


@pytest.mark.parametrize("path", ["", "/v1", "/v1/models/", "/v2/models//infer", "/api/predict/", "x/v1/models"])
def test_not_found(path: str) -> None:
    """Paths are exact."""
    assert ROUTER.find(path) is None


@given(st.lists(PARTS, max_size=9).map("/".join), st.booleans())
def test_as_flask(path: str, glued: bool) -> None:
    """Both fronts find the same route for a path, with the same variables."""
    path = "/" + (path.replace("/:", ":") if glued else path).lstrip("/")
    try:
        expected: Any = FLASKS.match(path)
    except HTTPException:
        expected = None
    found = ROUTER.find(path)
    assert (found and (found[0].rule, dict(found[1]))) == expected


def test_long_names() -> None:
    """What stands for a placeholder has a bound, in both fronts: no path is searched in the square of its length.

    Without one, a path of eight thousand bytes held up the event loop for a tenth of a second.
    """
    longest = f"/v2/models/{'a' * 256}/versions/b{'/b' * 127}c/infer"
    found = ROUTER.find(longest)
    assert found is not None
    assert FLASKS.match(longest) == (found[0].rule, found[1])
    for path in (f"/v2/models/a{'/versions/x' * 700}/infer", f"/v1/models/{'a' * 257}"):
        assert ROUTER.find(path) is None
        with pytest.raises(HTTPException):
            FLASKS.match(path)


def test_template_of_the_documents() -> None:
    """OpenAPI writes placeholders in braces."""
    assert Route(RULES[-2], {}).path == "/v2/models/{name}/versions/{version}/infer"


def test_many_paths() -> None:
    """However many paths callers invent, few of them are remembered."""
    for number in range(2_000):
        found = ROUTER.find(f"/v1/models/{number}")
        assert found is not None
        assert found[1] == {"name": str(number)}


TEXTS = st.text(max_size=3)


@given(st.lists(st.dictionaries(TEXTS, st.none() | TEXTS, min_size=1, max_size=2)))
def test_counted_rows(rows: list[dict[str, str | None]]) -> None:
    """An array of flat objects has at least and at most as many rows as are counted, if there is any."""
    counted = count_objects({}, json.dumps(rows).encode())
    assert counted.least <= max(1, len(rows)) <= max(1, counted.most)


def test_one_object_is_one_row() -> None:
    """An object is one row, whatever is in it."""
    assert count_objects({}, b' {"a": {"b": {}}}') == (1, 1)


@pytest.mark.parametrize("body", [b"[1,2]", b"[{},2]", b'["{\\"a", null]'])
def test_what_is_no_object_may_be_several_rows(body: bytes) -> None:
    """An array of other values is never taken for one row, which is answered at once whatever its caller prefers."""
    counted = count_objects({}, body)
    assert counted.least <= 2 <= counted.most
