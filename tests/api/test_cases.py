"""The table of cases against the test client."""

import json
import time

import pytest
from werkzeug.test import Client, TestResponse

from tests.api.serving import check_headers, problem
from tests.cases import BELOW_THE_APPLICATION, Case, bad_inputs, requests

CASES = [case for case in (*requests(), *bad_inputs()) if case.group not in BELOW_THE_APPLICATION]
SECONDS = 2


def send(client: Client, case: Case) -> TestResponse:
    """Send a case as it stands in the table."""
    path, _, query = case.path.partition("?")
    # The client would take what comes after two slashes for a host.
    overrides = {"PATH_INFO": path} if path.startswith("//") else {}
    return client.open(
        "/" if overrides else path,
        environ_overrides=overrides,
        query_string=query,
        method=case.method,
        headers=dict(case.headers),
        data=case.body,
    )


@pytest.mark.parametrize("case", [pytest.param(case, id=case.id) for case in CASES])
def test_case(case: Case, crime: Client) -> None:
    """A request of the table gets an allowed answer, soon and small, in our own form where it is an error."""
    start = time.process_time()
    response = send(crime, case)
    assert time.process_time() - start < SECONDS
    assert response.status_code in case.expect, (case.why, response.text[:500])
    assert len(response.data) <= (case.max_response_bytes or 4_000_000)
    assert b"Traceback" not in response.data
    for name, value in case.require.items():
        assert response.headers.get(name) == value
    if response.status_code < 400:
        check_headers(response)
        return
    document = problem(response, response.status_code, head=case.method == "HEAD")
    told = document.get("errors", [])
    if case.errors is not None:
        assert [(error["pointer"], error["code"]) for error in told] == list(case.errors)
    if case.error_count is not None:
        assert document["error_count"] == case.error_count
        assert len(told) == min(case.error_count, 20)
    if case.did_you_mean is not None:
        assert case.did_you_mean in [error.get("did_you_mean") for error in told]


@pytest.mark.parametrize("case", [pytest.param(case, id=case.id) for case in CASES if "X-Request-ID" in case.headers])
def test_case_keeps_sane_ids_only(case: Case, crime: Client) -> None:
    """The caller's id comes back if it is sane; otherwise the answer has a new one."""
    given, answered = case.headers["X-Request-ID"], send(crime, case).headers["X-Request-ID"]
    assert (answered == given) == (case.name == "request_id_sane")
    assert answered.isascii()


def test_the_table_is_whole() -> None:
    """Each case has a name of its own and a reason; ours allow one status each."""
    cases = [*requests(), *bad_inputs()]
    assert len({case.id for case in cases}) == len(cases)
    assert all(case.why for case in cases)
    assert all(len(case.expect) == 1 for case in requests())
    assert len(requests()) > 500


def test_answers_are_json(crime: Client) -> None:
    """What is accepted is answered in JSON, the two probabilities of which are one together."""
    for case in requests():
        if case.group == "accepted" and case.path == "/api/predict" and "Prefer" not in case.headers:
            response = send(crime, case)
            assert response.content_type == "application/json"
            answer = json.loads(response.data)
            for row in answer if isinstance(answer, list) else [answer]:
                assert list(row) == ["notCaughtProb", "caughtProb"]
                assert sum(row.values()) == pytest.approx(1)
