"""What `brinery check` says of a bundle."""

from pathlib import Path

import joblib
import pytest
import sklearn

from server.console.check import check
from server.errors import BundleError
from tests.models import Estimator, estimators, pipeline, settings


def written(folder: Path, estimator: Estimator) -> Path:
    """Write a bundle of one file."""
    joblib.dump(estimator, folder / "model.pkl")
    return folder


def test_what_would_be_served(tmp_path: Path) -> None:
    """It says the model, its parameters, a request and its answer, and that it can be served."""
    said = check(written(tmp_path, pipeline()), settings())
    lines = [" ".join(line.split()) for line in said.splitlines()]
    assert lines[0] == f"{tmp_path.name}, version 1"
    assert "estimator Pipeline(ColumnTransformer, LogisticRegression)" in lines
    assert f"pickled by scikit-learn {sklearn.__version__}; {sklearn.__version__} runs here" in lines
    assert "force one of its 3 labels: Essex, Kent, Sussex" in lines
    assert "month a number" in lines
    assert "answer probabilities of caught, free" in lines
    assert 'a request {"force":"Essex","month":0}' in lines
    assert any(line.startswith('its answer {"caught":') for line in lines)
    assert lines[-1] == "It can be served."


@pytest.mark.parametrize(
    ("name", "answer"),
    [
        ("several", "probabilities of y0: off, on; y1: off, on"),
        ("several numbers", "values of y0, y1"),
        ("clusterer", "prediction of 0, 1"),
    ],
)
def test_answers(tmp_path: Path, name: str, answer: str) -> None:
    """It says in which form the model answers."""
    assert f"  answer      {answer}\n" in check(written(tmp_path, estimators()[name]), settings())


def test_optional_and_open_parameters(tmp_path: Path) -> None:
    """It says which parameters are optional, and which categories take other labels."""
    (tmp_path / "metadata.json").write_text('{"parameters": {"x0": {"default": 1}}}')
    assert "x0  a number; optional\n" in check(written(tmp_path, estimators()["binary"]), settings())


def test_what_is_wrong(tmp_path: Path) -> None:
    """A bundle that cannot be served is refused with its reasons."""
    (tmp_path / "metadata.json").write_text("[]")
    with pytest.raises(BundleError, match=r"metadata\.json must hold a JSON object"):
        check(written(tmp_path, pipeline()), settings())
