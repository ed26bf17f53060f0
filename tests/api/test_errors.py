"""Everything that goes wrong is a problem document (RFC 9457): no HTML, no trace, nothing that the caller sent."""

import io
import json
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import flask
import pytest
from sklearn.dummy import DummyRegressor
from werkzeug.test import Client, TestResponse

from server.errors import BrineryError, FileError, StartError
from server.problems import FIELD_CODES, TYPES
from tests.api.fronts import BEFORE_ANY, BY_FLASK
from tests.api.moody import CRASH, NOT_FINITE, RAISE, SLEEP, WAIT, Moody
from tests.api.serving import GOOD, check_document, post, problem, serve

PLANTED = "s3cr3t.4f1c"


@pytest.fixture
def moody() -> Client:
    """A model that fails when asked to, whose log lines are all written."""
    return serve(Moody(), log_level="debug")


def test_a_problem_to_the_letter(crime: Client) -> None:
    """The members of a problem document, in full."""
    response = post(crime, json.dumps(GOOD | {"force": "Kent Polic"}), X_Request_ID="r-1")
    document = problem(response, 422)
    assert list(document) == ["type", "title", "status", "detail", "error", "error_count", "errors", "request_id"]
    (error,) = document.pop("errors")
    assert document == {
        "type": "docs/errors.md#unknown-label",
        "title": "The input is refused by the schema",
        "status": 422,
        "detail": "force must be one of its 41 labels.",
        "error": "force must be one of its 41 labels.",
        "error_count": 1,
        "request_id": "r-1",
    }
    assert error.pop("allowed")[:2] == ["Avon and Somerset Constabulary", "Bedfordshire Police"]
    assert error == {
        "pointer": "/force",
        "code": "not_allowed",
        "detail": "force must be one of its 41 labels.",
        "allowed_count": 41,
        "did_you_mean": "Kent Police",
    }


def test_all_that_is_wrong_is_told_together(crime: Client) -> None:
    """Every bad field of every row is told at once, in the order of the document."""
    rows = [{"month": 0, "force": 1, "crime": "x", "y": 1}, GOOD, {"force": None}]
    document = problem(post(crime, json.dumps(rows)), 422)
    assert [(each["pointer"], each["code"]) for each in document["errors"]] == [
        ("/0/month", "out_of_range"),
        ("/0/force", "wrong_type"),
        ("/0/crime", "not_allowed"),
        ("/0/y", "unknown_field"),
        ("/2/month", "missing"),
        ("/2/force", "wrong_type"),
        ("/2/crime", "missing"),
    ]
    assert document["error_count"] == 7
    assert document["detail"].endswith("There are 6 more errors.")


def test_a_document_stays_small_whatever_is_wrong() -> None:
    """Long names, long labels and many errors do not make a document of more than 8 KiB."""
    names = [f"{index}{'ü' * 300}" for index in range(40)]
    labels = {str(index) + "\U0001f600" * 200: 0.0 for index in range(300)}
    estimator = DummyRegressor().fit([[0.0] * 40], [1.0])
    client = serve(estimator, lookup=dict.fromkeys(names, labels))
    values: list[Any] = [
        {},
        dict.fromkeys(names, "x" * 70),
        {f"~/{'é' * 90}{index}": 1 for index in range(500)},
        [[]] * 500,
    ]
    for value in values:
        document = problem(post(client, json.dumps(value)), 422)
        assert document["error_count"] >= 40
        assert document["errors"]


@pytest.mark.parametrize(
    "path", ["/", "/nowhere", "/api", "/api/predict/x", "/api/docs/x", "/metrics/", "/<b>", "/%00"]
)
@pytest.mark.parametrize("method", ["GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "BREW"])
def test_html_never_leaks(crime: Client, path: str, method: str) -> None:
    """Whatever is asked of whatever path, by a browser too, an error is a problem document."""
    response = crime.open(path, method=method, headers={"Accept": "text/html"}, data=b"<html>")
    if response.status_code >= 400:
        problem(response, response.status_code)
    assert b"<" not in response.data


def test_unknown_routes_and_methods(crime: Client) -> None:
    """404 leads to the list of routes; 405 says the methods, also in `Allow`."""
    assert "/api/docs" in problem(crime.get("/nowhere"), 404)["detail"]
    response = crime.delete("/api/info")
    assert problem(response, 405)["detail"] == "The route has the methods GET, HEAD, OPTIONS."
    assert response.headers["Allow"] == "GET, HEAD, OPTIONS"


def test_a_model_that_raises(moody: Client, capsys: pytest.CaptureFixture[str]) -> None:
    """The caller learns that the model failed; where it failed is in the log under the request's id."""
    capsys.readouterr()
    document = problem(post(moody, json.dumps({"x0": RAISE}), X_Request_ID="r-2"), 500)
    assert document["type"] == "docs/errors.md#prediction-failed"
    assert document["detail"] == "The model failed on these rows (ValueError)."
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    failed = next(line for line in lines if line["event"] == "request_failed")
    assert failed["request_id"] == "r-2"
    assert failed["level"] == "error"
    assert failed["error_type"] == "ValueError"
    assert failed["raised"][-1].startswith("moody.py:")
    assert "13" not in json.dumps([failed["error"], failed["problem"]])
    assert "I do not like" not in json.dumps(lines)


def test_a_model_that_runs_out_of_memory(moody: Client) -> None:
    """Even then there is an answer, and the next request is served."""
    problem(post(moody, json.dumps({"x0": CRASH})), 500)
    assert post(moody, json.dumps({"x0": 1})).status_code == 200


def test_a_number_that_is_not_finite(moody: Client) -> None:
    """Such a number is a problem, never `null` and never `NaN`."""
    document = problem(post(moody, json.dumps([{"x0": 1}, {"x0": NOT_FINITE}])), 500)
    assert "not finite" in document["detail"]


def test_a_deadline_that_passes() -> None:
    """An answer that comes too late is a 504 that says how long it may take."""
    document = problem(post(serve(Moody(), deadline=0.05), json.dumps({"x0": SLEEP})), 504)
    assert document["type"] == "docs/errors.md#deadline-exceeded"
    assert "0.05 seconds" in document["detail"]


def test_a_deadline_of_the_callers(capsys: pytest.CaptureFixture[str]) -> None:
    """A caller shortens his own deadline, and never makes it longer; what is no number of seconds is told so.

    That his own has passed is no failure of ours, and his number stands nowhere.
    """
    capsys.readouterr()
    client = serve(Moody(), deadline=5)
    slow, quick = json.dumps({"x0": SLEEP}), json.dumps({"x0": 1})
    document = problem(post(client, slow, X_Request_Timeout="0.05"), 504)
    assert document["detail"].startswith("The request took longer than its X-Request-Timeout allows; ")
    said = json.dumps(document) + capsys.readouterr().out
    assert "0.05" not in said
    assert "request_failed" not in said
    for text in ("4.5", "5", "3600"):
        assert post(client, quick, X_Request_Timeout=text).status_code == 200
    for text in ("soon", "-1", "0", "0.000", "1e3", "1,5", "inf", "1, 2"):
        document = problem(post(client, quick, X_Request_Timeout=text), 400)
        assert document["type"] == "docs/errors.md#bad-request"
        assert "X-Request-Timeout" in document["detail"]
        assert text not in document["detail"].replace("such as 2.5", "")
    assert (
        "longer than its 0.05 seconds"
        in problem(post(serve(Moody(), deadline=0.05), slow, X_Request_Timeout="10"), 504)["detail"]
    )


def test_a_full_server_answers_in_time() -> None:
    """A request that finds no free slot within its deadline is answered nevertheless."""
    inside, let_go = threading.Event(), threading.Event()

    def wait() -> None:
        inside.set()
        let_go.wait(5)

    client = serve(Moody(wait), threads=2, deadline=0.5)
    first: list[TestResponse] = []
    thread = threading.Thread(target=lambda: first.append(post(Client(client.application), json.dumps({"x0": WAIT}))))
    thread.start()
    assert inside.wait(5)
    problem(post(client, json.dumps({"x0": 1})), 504)
    assert client.get("/api/health/live").status_code == 200
    let_go.set()
    thread.join(5)
    problem(first[0], 504)
    assert post(client, json.dumps({"x0": 1})).status_code == 200, "the slot is free again"


class _Broken(io.RawIOBase):
    """A body whose connection breaks."""

    def tell(self) -> int:
        return 0

    def seek(self, offset: int, whence: int = 0) -> int:  # noqa: ARG002
        return 0

    def read(self, size: int = -1) -> bytes:  # noqa: ARG002
        msg = f"{PLANTED} at {__file__}"
        raise OSError(msg)


@pytest.mark.parametrize(
    ("stream", "environ"),
    [
        pytest.param(lambda: io.BytesIO(b'{"x0":1'), {"CONTENT_LENGTH": "8"}, id="shorter than announced"),
        pytest.param(lambda: io.BytesIO(b""), {"CONTENT_LENGTH": "100"}, id="nothing came"),
        pytest.param(_Broken, {"CONTENT_LENGTH": "8"}, id="connection broke"),
        pytest.param(_Broken, {"CONTENT_LENGTH": "", "wsgi.input_terminated": True}, id="broken chunks"),
    ],
)
def test_bodies_that_break_off(
    stream: Callable[[], io.IOBase], environ: dict[str, Any], capsys: pytest.CaptureFixture[str]
) -> None:
    """A body that ends early, or a framing that breaks, is the caller's 400."""
    client = serve(Moody(), log_level="debug")
    capsys.readouterr()
    response = client.post(
        "/api/predict", input_stream=stream(), content_type="application/json", environ_overrides=environ
    )
    assert problem(response, 400)["type"] == "docs/errors.md#incomplete-body"
    assert PLANTED not in capsys.readouterr().out


@BY_FLASK  # a server of the other front refuses it before the front hears of it
def test_a_length_that_is_no_number(moody: Client) -> None:
    """A length that cannot be read is the caller's 400, where a server lets it through."""
    response = moody.post(
        "/api/predict", data=b"{}", content_type="application/json", environ_overrides={"CONTENT_LENGTH": "many"}
    )
    assert problem(response, 400)["type"] == "docs/errors.md#incomplete-body"


def test_bodies_without_a_length() -> None:
    """Chunks are read to their end where the server ends the stream, and up to the limit only."""
    client = serve(Moody(), max_body_bytes=20)

    def send(body: bytes) -> TestResponse:
        return client.post(
            "/api/predict",
            input_stream=io.BytesIO(body),
            content_type="application/json",
            environ_overrides={"CONTENT_LENGTH": "", "wsgi.input_terminated": True},
        )

    assert send(b'{"x0":1}').json == {"prediction": 1.0}
    assert send(b'{"x0":1}' + b" " * 12).status_code == 200
    problem(send(b'{"x0":1}' + b" " * 13), 413)
    problem(send(b"["), 400)


def planted() -> Iterator[tuple[str, dict[str, Any]]]:
    """Requests that hold a secret wherever a request can hold one."""
    good = {"json": {"x0": 1}}
    yield "a value", {"json": {"x0": PLANTED}}
    yield "a nested value", {"json": {"x0": {"a": [PLANTED]}}}
    yield "a nested key", {"json": {"x0": {PLANTED: 1}}}
    yield "a bare text", {"json": PLANTED}
    yield "a row", {"json": [{"x0": 1}, PLANTED]}
    yield "broken JSON", {"data": f'{{"x0":"{PLANTED}', "content_type": "application/json"}
    yield "no JSON", {"data": PLANTED, "content_type": "application/json"}
    yield "a duplicate key", {"data": f'{{"{PLANTED}":1,"{PLANTED}":2}}', "content_type": "application/json"}
    yield "bytes that are no text", {"data": PLANTED.encode() + b"\xff", "content_type": "application/json"}
    yield "a form", {"data": {PLANTED: PLANTED}}
    yield "a file", {"data": {"f": (io.BytesIO(PLANTED.encode()), f"{PLANTED}.txt")}}
    yield "a media type", {**good, "content_type": f"application/{PLANTED}"}
    yield "a charset", {**good, "content_type": f"application/json; charset={PLANTED}"}
    for name in ("Accept", "Prefer", "Content-Encoding", "Authorization", "Cookie", "Origin", "Referer", "X-Api-Key"):
        yield f"the header {name}", {**good, "headers": {name: f"Bearer={PLANTED}"}}
    yield "the user agent", {**good, "headers": {"User-Agent": PLANTED}}
    yield "an id that is not sane", {**good, "headers": {"X-Request-ID": f"{PLANTED} {PLANTED}"}}
    yield "a trace context", {**good, "headers": {"traceparent": f"00-{PLANTED}"}}
    yield "the name of a header", {**good, "headers": {f"X-{PLANTED}": "1"}}
    yield "a path", {**good, "path": f"/api/{PLANTED}"}
    yield "a method", {"method": PLANTED.upper().replace(".", "")}
    yield "a query's value", {**good, "path": f"/api/predict?detail={PLANTED}"}
    yield "a query's name", {**good, "path": f"/api/predict?{PLANTED}=1"}
    yield "a query of a failure", {"json": {"x0": RAISE}, "path": f"/api/predict?{PLANTED}=1"}
    yield "a lenient batch", {"json": [PLANTED, {"x0": PLANTED}], "headers": {"Prefer": "handling=lenient"}}


@pytest.mark.parametrize("where", [name for name, _ in planted()])
def test_secrets_stay_out_of_answers_logs_and_metrics(
    moody: Client, where: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Nothing that a caller sends comes back in an answer, nor in a log line, nor as a metric's label."""
    capsys.readouterr()
    response = moody.open(**({"path": "/api/predict", "method": "POST"} | dict(planted())[where]))
    written = capsys.readouterr()
    page = moody.get("/metrics").text
    for text in (response.text, str(response.headers), written.out, written.err, page):
        assert "s3cr3t" not in text.lower()
    assert written.out, "the request is logged nevertheless"


def test_an_unknown_key_is_told_in_the_pointer_only(moody: Client, capsys: pytest.CaptureFixture[str]) -> None:
    """A key that the caller made up stands in `pointer`, and nowhere else; the log does not have it."""
    capsys.readouterr()
    response = post(moody, json.dumps({"x0": 1, PLANTED: PLANTED}))
    document = problem(response, 422)
    assert document["errors"][0].pop("pointer") == f"/{PLANTED}"
    assert PLANTED not in json.dumps(document)
    assert PLANTED not in capsys.readouterr().out


@pytest.mark.parametrize("value", [{"x0": RAISE}, {"x0": NOT_FINITE}, {"x0": "a"}, {}, None], ids=str)
def test_our_own_paths_stay_inside(moody: Client, value: object) -> None:
    """No answer names a file of ours or shows a trace."""
    response = post(moody, json.dumps(value))
    assert response.status_code >= 400
    for hint in ("Traceback", 'File "', ".py", str(Path(__file__).parents[2])):
        assert hint not in response.text


@BY_FLASK
def test_no_debugger(crime: Client) -> None:
    """Flask's own pages, debug mode and session cookies are off."""
    assert isinstance(crime.application, flask.Flask)
    assert not crime.application.debug
    assert not crime.application.testing
    for response in (crime.get("/?__debugger__=yes"), crime.get("/nowhere"), post(crime, "{")):
        assert "Set-Cookie" not in response.headers


@BEFORE_ANY
def test_every_kind_of_problem_is_documented() -> None:
    """Each kind, and each code of a field, has an anchor in the page that `type` leads to."""
    page = Path(__file__).resolve().parents[2] / "docs" / "errors.md"
    text = page.read_text(encoding="utf-8").lower()
    for slug in {kind.slug for kind in TYPES.values()} | set(FIELD_CODES.values()):
        anchored = f'name="{slug}"' in text or f'id="{slug}"' in text
        heading = any(
            line.lstrip("# ").strip().replace(" ", "-").strip("`") == slug
            for line in text.splitlines()
            if line.startswith("#")
        )
        assert anchored or heading, slug


def test_an_error_of_ours_is_an_internal_error(moody: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    """An exception that nobody foresaw is answered, and says nothing of itself."""

    def fail(*_: object, **__: object) -> None:
        raise KeyError(PLANTED)

    monkeypatch.setattr("server.predictor.Predictor.parse", fail)
    document = problem(post(moody, '{"x0":1}'), 500)
    assert document["type"] == "docs/errors.md#internal-error"
    assert PLANTED not in json.dumps(document)
    monkeypatch.undo()
    assert post(moody, '{"x0":1}').status_code == 200


@BEFORE_ANY
def test_every_class_of_errors_has_a_problem() -> None:
    """Each class of the tree, but those that stop the start, finds a kind of its own or its base's."""

    def below(kind: type[BrineryError]) -> Iterator[type[BrineryError]]:
        for each in kind.__subclasses__():
            yield each
            yield from below(each)

    answered = [kind for kind in below(BrineryError) if not issubclass(kind, StartError | FileError)]
    assert [kind.__name__ for kind in answered if kind not in TYPES] == []


def test_details_are_sentences(crime: Client) -> None:
    """What people read is a sentence that starts and ends as one."""
    for body in ("", "{", "[]", "1", "{}", '{"month":0}', "[" * 70 + "]" * 70, '{"a":1,"a":1}'):
        response = post(crime, body)
        document = check_document(response.json, response.status_code, response.headers["X-Request-ID"])  # type: ignore[arg-type]
        for sentence in (document["detail"], *(each["detail"] for each in document.get("errors", []))):
            assert sentence.endswith(".")
            assert sentence[0].isupper() or sentence.split(" ")[0] in ("month", "force", "crime")
