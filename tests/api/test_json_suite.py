"""JSONTestSuite: what JSON forbids is refused as such, and no text makes us fail."""

import pytest
from werkzeug.test import Client

from tests.api.serving import post, problem
from tests.cases import Case, json_texts

TEXTS = json_texts()


def test_the_suite_is_whole() -> None:
    """All of the suite's texts are there."""
    assert len(TEXTS) == 318
    assert {case.group for case in TEXTS} == {"json_accept", "json_implementation-defined", "json_reject"}


@pytest.mark.parametrize("case", [pytest.param(case, id=case.name) for case in TEXTS])
def test_text(case: Case, crime: Client) -> None:
    """A text that JSON forbids is malformed; one that it allows is refused by the schema, or by our own bounds."""
    assert case.body is not None
    response = post(crime, case.body)
    assert response.status_code in case.expect, response.text
    document = problem(response, response.status_code)
    if case.group == "json_accept" and response.status_code == 400:
        assert "same key twice" in document["detail"], "the one thing that JSON allows and we do not"
