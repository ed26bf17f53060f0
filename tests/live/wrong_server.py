"""A server that is wrong on purpose: a real one behind a proxy that changes what it is asked, or what it answers."""

import http.client
import http.server
import itertools
import json
import re
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from types import TracebackType
from typing import Any, Self, TypeAlias

from tests.live.running import PATIENCE

HOP = {"connection", "keep-alive", "transfer-encoding", "content-length"}


@dataclass(frozen=True)
class Asked:
    """A request on its way to the real server."""

    method: str
    target: str
    headers: Mapping[str, str]
    body: bytes

    def predicts(self) -> bool:
        """Tell whether this asks for a plain prediction: not in detail, not leniently."""
        return self.target == "/api/predict" and self.method == "POST" and "Prefer" not in self.headers


@dataclass(frozen=True)
class Answered:
    """An answer on its way back."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        """The body as JSON, or None where it is something else."""
        try:
            return json.loads(self.body)
        except ValueError:
            return None

    def saying(self, value: object) -> "Answered":
        """Give the answer with another body."""
        return replace(self, body=json.dumps(value).encode())

    def with_headers(self, **headers: str | None) -> "Answered":
        """Give the answer with other headers, with `_` for `-`; None takes one away."""
        changed = {name.replace("_", "-").lower(): value for name, value in headers.items()}
        kept = {name: value for name, value in self.headers.items() if name.lower() not in changed}
        return replace(self, headers=kept | {name: value for name, value in changed.items() if value is not None})


Forward: TypeAlias = Callable[[Asked], Answered]
Wrong: TypeAlias = Callable[[Asked, Forward], Answered]


class WrongServer(http.server.ThreadingHTTPServer):
    """Passes on what it is asked to the server at `port`, through each of `wrongs`; a context, in a thread."""

    daemon_threads = True

    def __init__(self, port: int, wrongs: Sequence[Wrong]) -> None:
        super().__init__(("127.0.0.1", 0), _Proxy)
        self.url = f"http://127.0.0.1:{self.server_port}"
        self.port = port
        self.wrongs = wrongs
        self._thread = threading.Thread(target=self.serve_forever, daemon=True)

    def answer(self, asked: Asked) -> Answered:
        """Answer as the real server does, but for what is wrong."""
        forward: Forward = self._forward
        for wrong in self.wrongs:
            forward = _through(wrong, forward)
        return forward(asked)

    def _forward(self, asked: Asked) -> Answered:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=PATIENCE)
        try:
            connection.request(asked.method, asked.target, asked.body, dict(asked.headers))
            answer = connection.getresponse()
            headers = {name: value for name, value in answer.getheaders() if name.lower() not in HOP}
            return Answered(answer.status, headers, answer.read())
        finally:
            connection.close()

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.shutdown()
        self.server_close()
        self._thread.join(PATIENCE)


def _through(wrong: Wrong, forward: Forward) -> Forward:
    return lambda asked: wrong(asked, forward)


class _Proxy(http.server.BaseHTTPRequestHandler):
    server: WrongServer
    protocol_version = "HTTP/1.1"

    def handle_one(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        headers = {name: value for name, value in self.headers.items() if name.lower() not in HOP}
        answer = self.server.answer(Asked(self.command, self.path, headers, body))
        self.send_response_only(answer.status)
        for name, value in answer.headers.items():
            self.send_header(name, value)
        if answer.status != http.HTTPStatus.NO_CONTENT:
            self.send_header("Content-Length", str(len(answer.body)))
        self.end_headers()
        self.wfile.write(b"" if self.command == "HEAD" else answer.body)

    do_GET = do_HEAD = do_POST = do_PUT = do_PATCH = do_DELETE = do_OPTIONS = handle_one  # noqa: N815

    def log_message(self, *_: object) -> None:
        """Say nothing."""


# What can be wrong. Each of these is narrow, so that several can be wrong at once and each still be found.


def _rows(asked: Asked) -> Any:
    try:
        return json.loads(asked.body)
    except ValueError:
        return None


def _as(asked: Asked, value: object) -> Asked:
    return replace(asked, body=json.dumps(value).encode())


def sums_to_more_than_one(asked: Asked, forward: Forward) -> Answered:
    """Adds 0.1 to the smallest probability of a plain answer."""
    answer = forward(asked)
    if not (asked.predicts() and answer.status == 200 and isinstance(answer.json, dict)):
        return answer
    numbers = answer.json
    least = min(numbers, key=numbers.__getitem__)
    return answer.saying(numbers | {least: numbers[least] + 0.1})


def turns_batches_round(asked: Asked, forward: Forward) -> Answered:
    """Answers longer batches in the opposite order."""
    answer = forward(asked)
    several = asked.predicts() and answer.status == 200 and isinstance(answer.json, list) and len(answer.json) > 2
    return answer.saying(answer.json[::-1]) if several else answer


def turns_details_round(asked: Asked, forward: Forward) -> Answered:
    """Gives longer batches in detail the numbers of other rows."""
    answer = forward(asked)
    if "detail=full" not in asked.target or not _is_batch(answer):
        return answer
    turned = zip(answer.json, answer.json[::-1], strict=True)
    return answer.saying([row | {"probabilities": other["probabilities"]} for row, other in turned])


def turns_results_round(asked: Asked, forward: Forward) -> Answered:
    """Gives longer lenient batches the results of other rows, where all are good."""
    answer = forward(asked)
    several = "Prefer" in asked.headers and _is_batch(answer) and len(answer.json) > 2
    if not several or any(row["status"] != 200 for row in answer.json):
        return answer
    return answer.saying(answer.json[::-1])


def loses_a_row(asked: Asked, forward: Forward) -> Answered:
    """Leaves the last answer of a batch out, where there is more detail."""
    answer = forward(asked)
    return answer.saying(answer.json[:-1]) if "detail=full" in asked.target and _is_batch(answer) else answer


def _is_batch(answer: Answered) -> bool:
    return answer.status == 200 and isinstance(answer.json, list)


def fails_on_unknown_fields(asked: Asked, forward: Forward) -> Answered:
    """Answers 500 in the place of 422."""
    answer = forward(asked)
    if answer.status != 422 or b"unknown_field" not in answer.body:
        return answer
    return replace(answer.saying(answer.json | {"status": 500}), status=500)


def quotes_its_caller(asked: Asked, forward: Forward) -> Answered:
    """Repeats the text that was sent in the place of a number."""
    answer, row = forward(asked), _rows(asked)
    if answer.status != 422 or not isinstance(row, dict) or not isinstance(row.get("month"), str):
        return answer
    said = f"{answer.json['detail']} Got {row['month']}."
    return answer.saying(answer.json | {"detail": said, "error": said})


def gives_no_request_id(asked: Asked, forward: Forward) -> Answered:
    """Leaves X-Request-ID out on one route."""
    answer = forward(asked)
    return answer.with_headers(X_Request_ID=None) if asked.target == "/api/health" else answer


def takes_no_request_id(asked: Asked, forward: Forward) -> Answered:
    """Chooses the request's id itself, whatever the caller says."""
    headers = {name: value for name, value in asked.headers.items() if name.lower() != "x-request-id"}
    return forward(replace(asked, headers=headers) if asked.headers.get("X-Request-ID") == "newman-one" else asked)


def has_two_request_ids(asked: Asked, forward: Forward) -> Answered:
    """Names another id in the problem than in the header, for one status."""
    answer = forward(asked)
    return answer.saying(answer.json | {"request_id": "another"}) if answer.status == 415 else answer


def takes_true_for_a_number(asked: Asked, forward: Forward) -> Answered:
    """Takes true for 1, as Python does."""
    row = _rows(asked)
    if isinstance(row, dict) and row.get("month") is True:
        return forward(_as(asked, row | {"month": 1}))
    return forward(asked)


def takes_unknown_labels(asked: Asked, forward: Forward) -> Answered:
    """Takes any text for a label, but for those that are nearly one."""
    row = _rows(asked)
    if isinstance(row, dict) and str(row.get("force")).startswith("never"):
        return forward(_as(asked, row | {"force": "Kent Police"}))
    return forward(asked)


def takes_what_is_out_of_range(asked: Asked, forward: Forward) -> Answered:
    """Takes the nearest number that is in range."""
    row = _rows(asked)
    if isinstance(row, dict) and row.get("month") == 13:
        return forward(_as(asked, row | {"month": 12}))
    return forward(asked)


def takes_nan(asked: Asked, forward: Forward) -> Answered:
    """Takes NaN, as Python's own reader of JSON does."""
    return forward(replace(asked, body=re.sub(rb"(?<!-)\bNaN\b", b"6", asked.body)))


def takes_keys_twice(asked: Asked, forward: Forward) -> Answered:
    """Takes the last of equal keys, as Python's own reader of JSON does."""
    row = _rows(asked)
    return forward(_as(asked, row) if isinstance(row, dict) and len(row) == 3 else asked)


def suggests_nothing(asked: Asked, forward: Forward) -> Answered:
    """Leaves did_you_mean out."""
    answer = forward(asked)
    if answer.status != 422 or b"did_you_mean" not in answer.body:
        return answer
    errors = [{name: said for name, said in error.items() if name != "did_you_mean"} for error in answer.json["errors"]]
    return answer.saying(answer.json | {"errors": errors})


def tells_one_error_only(asked: Asked, forward: Forward) -> Answered:
    """Tells the first of several errors and forgets the others."""
    answer = forward(asked)
    if answer.status != 422 or answer.json.get("error_count", 1) < 2:
        return answer
    return answer.saying(answer.json | {"errors": answer.json["errors"][:1], "error_count": 1})


def points_elsewhere(asked: Asked, forward: Forward) -> Answered:
    """Points at a field without the number of its row."""
    answer = forward(asked)
    return replace(answer, body=re.sub(rb'"pointer":( ?)"/\d+/', rb'"pointer":\1"/', answer.body))


def shows_html(asked: Asked, forward: Forward) -> Answered:
    """Shows a page where a route is not found, as web frameworks do."""
    answer = forward(asked)
    if asked.target != "/api/no-such-route":
        return answer
    return replace(answer.with_headers(Content_Type="text/html"), body=b"<h1>Not Found</h1>")


def leaks_a_trace(asked: Asked, forward: Forward) -> Answered:
    """Puts a traceback into a problem."""
    answer = forward(asked)
    said = "Traceback (most recent call last)"
    return answer.saying(answer.json | {"detail": said, "error": said}) if answer.status == 406 else answer


def finds_every_route(asked: Asked, forward: Forward) -> Answered:
    """Answers 200 on a route that does not exist."""
    answer = forward(asked)
    return replace(answer.saying({}), status=200) if asked.target == "/api/v2/predict" else answer


def allows_nothing(asked: Asked, forward: Forward) -> Answered:
    """Leaves Allow out with 405."""
    answer = forward(asked)
    return answer.with_headers(Allow=None) if answer.status == 405 else answer


def breaks_metrics(asked: Asked, forward: Forward) -> Answered:
    """Adds a line that Prometheus cannot read."""
    answer = forward(asked)
    return replace(answer, body=answer.body + b"brinery_more{} one\n") if asked.target == "/metrics" else answer


def forgets_to_count(asked: Asked, forward: Forward) -> Answered:
    """Shows counters that do not move."""
    answer = forward(asked)
    if asked.target != "/metrics":
        return answer
    return replace(answer, body=re.sub(rb"(?m)^(brinery_http_requests_total\{.*\}) .*$", rb"\1 7.0", answer.body))


def names_another_version(asked: Asked, forward: Forward) -> Answered:
    """Names another version in the header than in the information."""
    answer = forward(asked)
    return answer.with_headers(X_Model_Version="another") if asked.target == "/api/health/live" else answer


def is_not_ready(asked: Asked, forward: Forward) -> Answered:
    """Answers 200 to a probe, and says that it is not ready."""
    answer = forward(asked)
    return answer.saying({"status": "starting"}) if asked.target == "/api/health/ready" else answer


def applies_no_preference(asked: Asked, forward: Forward) -> Answered:
    """Does not say that a batch was answered leniently."""
    return forward(asked).with_headers(Preference_Applied=None)


def forgets_the_model(asked: Asked, forward: Forward) -> Answered:
    """Leaves a member out that the schema requires."""
    answer = forward(asked)
    if "detail=full" not in asked.target or not isinstance(answer.json, dict) or answer.status != 200:
        return answer
    return answer.saying({name: said for name, said in answer.json.items() if name != "model"})


def changes_its_mind(asked: Asked, forward: Forward) -> Answered:
    """Swaps the two probabilities where the caller gives no id."""
    answer = forward(asked)
    if not asked.predicts() or answer.status != 200 or "X-Request-ID" in asked.headers or _is_batch(answer):
        return answer
    return answer.saying(dict(zip(answer.json, reversed(answer.json.values()), strict=True)))


def limits_the_rate() -> Wrong:
    """Make what refuses every other request for a prediction, beginning with the first, as one that came too soon."""
    turns = itertools.cycle((True, False))

    def limited(asked: Asked, forward: Forward) -> Answered:
        if asked.target.startswith("/api/predict") and asked.method == "POST" and next(turns):
            return Answered(http.HTTPStatus.TOO_MANY_REQUESTS, {"Retry-After": "0"}, b"")
        return forward(asked)

    return limited


# What each is, and by which test and message the collection must find it, at the crime model.
WRONGS: Mapping[Wrong, str] = {
    sums_to_more_than_one: r"one row / one object gives one object / .*sum of the probabilities: expected 1\.(1|09)",
    turns_batches_round: r"a batch / the 20 rows together, in their order / .*the answer of row \d+ alone",
    turns_details_round: r"a batch / the rows together, in detail / .*the answer of row \d+ alone",
    turns_results_round: r"a batch / the rows together, leniently / .*the answer of row \d+ alone",
    loses_a_row: r"a batch / the rows together, in detail / .*the answers: expected .* length of 20 but got 19",
    fails_on_unknown_fields: r"every field wrong / an unknown field is judged as published / .*status: expected 500",
    quotes_its_caller: r"each field in turn / month: some text is refused / .*quotes the value of its caller",
    gives_no_request_id: r"health / each component is ready / .*the header X-Request-ID",
    takes_no_request_id: r"one row / one object gives one object / .*X-Request-ID, which its caller chose",
    has_two_request_ids: r"no such route / a body that is not called JSON / .*request_id, which X-Request-ID has too",
    takes_true_for_a_number: r"each field in turn / month: true is refused / .*status: expected 200",
    takes_unknown_labels: r"each field in turn / force: some text is refused / .*status: expected 200",
    takes_what_is_out_of_range: r"each field in turn / month: too large is refused / .*status: expected 200",
    takes_nan: r"not JSON / NaN is refused / .*status: expected \d+",
    takes_keys_twice: r"not JSON / a key twice is refused / .*status: expected 200",
    suggests_nothing: r"each field in turn / force: a misspelt label is refused / .*did_you_mean",
    tells_one_error_only: r"every field wrong / all that is wrong is told at once / .*error_count",
    points_elsewhere: r"every field wrong / a good row and a bad one / .*the pointer",
    shows_html: r"no such route / a route that does not exist is a problem, too / .*Content-Type",
    leaks_a_trace: r"no such route / a media type that is not written / .*leak no trace",
    finds_every_route: r"the table of cases / an unknown version of a route is unknown / .*status: expected 200",
    allows_nothing: r"no such route / DELETE /api/predict is refused, and told what is allowed / .*Allow",
    breaks_metrics: r"metrics, before / Prometheus can read them / .*not a line of Prometheus' format",
    forgets_to_count: r"metrics, afterwards / the answers with 422 were counted / .*what the counter grew by",
    names_another_version: r"alive / it is alive / .*X-Model-Version",
    is_not_ready: r"ready / it is ready / .*the state",
    applies_no_preference: r"a batch, leniently / a bad row does not cost the good one / .*Preference-Applied",
    forgets_the_model: r"one row / in detail, the model and the prediction are told / .*required property 'model'",
    changes_its_mind: r"one row / the same request gives the same answer / .*the answer: expected",
}
# These hide what another one does.
NOT_TOGETHER = {takes_no_request_id, changes_its_mind, forgets_to_count, loses_a_row}
