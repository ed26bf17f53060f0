"""A model that MLflow has saved, and the same estimator as a bundle of ours, answer alike."""

import contextlib
from typing import Any

import pytest

from tests.live.clients import CLIENTS, Expected, run
from tests.live.running import Server

pytestmark = [pytest.mark.live, pytest.mark.slow]

# Trees sum as the estimator does; a linear model's sum may be rounded otherwise.
EXACT = {"forest": True, "logistic": False, "boosting": True}


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[Expected, dict[str, Any]]]:
    """Give, of each model, what /api/predict says, and what MLflow's client and its model say."""
    folder = tmp_path_factory.mktemp("pyfunc")
    rows = run("clients", "ask_mlflow.py", "fit", folder)["rows"]
    common = {"rows": rows, "nulls": [], "numbers": None, "labelled": "city"}
    with contextlib.ExitStack() as stack:
        expected, targets = {}, []
        for name in EXACT:
            server = stack.enter_context(Server(bundle=folder / name / "bundle"))
            expected[name] = Expected.of(server, rows)
            saved = str(folder / name)
            targets.append({**common, "name": name, "url": f"{server.host}:{server.port}", "saved": saved})
        answers = run(*CLIENTS["mlflow"], given=targets)
    return {name: (expected[name], answers[name]) for name in EXACT}


@pytest.mark.parametrize("name", EXACT)
def test_predictions_are_those_of_the_saved_model(name: str, told: dict[str, tuple[Expected, dict[str, Any]]]) -> None:
    """Labels, integers and numbers come as `pyfunc` gives them, by each form of request."""
    expected, given = told[name]
    assert given["pyfunc: predict"] == expected.predict
    wrong = {case: each for case, each in given.items() if case.startswith("rows: ") and each != expected.predict}
    assert not wrong


@pytest.mark.parametrize("name", [name for name in EXACT if name != "boosting"])
def test_probabilities_are_those_of_the_saved_model(
    name: str, told: dict[str, tuple[Expected, dict[str, Any]]]
) -> None:
    """A request that asks for probabilities gets what a model saved to give them gives."""
    expected, given = told[name]
    assert given["proba: frame"] == expected.predict_proba
    tolerance = 0 if EXACT[name] else 1e-12
    for ours, theirs in zip(given["proba: frame"], given["pyfunc: predict_proba"], strict=True):
        assert ours == pytest.approx(theirs, rel=tolerance, abs=tolerance)
