"""What platforms say by variables and folders of their own, and what of it becomes a setting."""

from pathlib import Path

import pytest

from server.errors import SettingError
from server.platforms import given_by_platforms
from server.settings import Settings, given_in
from server.urls import Url

NOWHERE = Path("/nowhere/ml/model")
VERTEX = {
    "AIP_HTTP_PORT": "8085",
    "AIP_HEALTH_ROUTE": "/v1/endpoints/12/deployedModels/34",
    "AIP_PREDICT_ROUTE": "/v1/endpoints/12/deployedModels/34:predict",
    "AIP_STORAGE_URI": "gs://tenant/models/34",
}


@pytest.fixture(name="artifacts")
def _artifacts(tmp_path: Path) -> Path:
    """Make the folder that a platform mounts, with a file in it."""
    (tmp_path / "model.pkl").touch()
    return tmp_path


def test_elsewhere() -> None:
    """Where no platform says anything, nothing is given, whatever else stands in the environment."""
    assert given_by_platforms({"PORT": "1", "AIP_MODE": "PREDICTION", "AIP_STORAGE_URI": ""}, NOWHERE) == {}


def test_vertex_ai() -> None:
    """Vertex AI's variables are the port, both paths, and the bundle."""
    made = Settings.from_environ({**VERTEX, "BRINERY_WORKERS": "1"}, artifacts=NOWHERE)
    assert made == Settings(
        workers=1,
        port=8085,
        vertex_health_route="/v1/endpoints/12/deployedModels/34",
        vertex_predict_route="/v1/endpoints/12/deployedModels/34:predict",
        bundle=Url("gs://tenant/models/34"),
    )


def test_azure(artifacts: Path) -> None:
    """Azure's folder of the registered model is the bundle."""
    assert Settings.from_environ({"AZUREML_MODEL_DIR": str(artifacts)}, artifacts=NOWHERE).bundle == artifacts


def test_sagemaker(artifacts: Path) -> None:
    """Where SageMaker's folder is, the port is the one that it asks, and the folder is the bundle."""
    made = Settings.from_environ({}, artifacts=artifacts)
    assert (made.port, made.bundle) == (8080, artifacts)
    assert Settings.from_environ({"SAGEMAKER_BIND_TO_PORT": "15088"}, artifacts=artifacts).port == 15088


def test_sagemaker_without_artifacts(tmp_path: Path) -> None:
    """Its folder says nothing of the bundle if it is empty: the model is in the image."""
    made = Settings.from_environ({}, artifacts=tmp_path)
    assert (made.port, made.bundle) == (8080, Path("pickles"))


@pytest.mark.parametrize("hidden", [False, True], ids=["alone", "beside-what-is-hidden"])
def test_a_folder_in_the_folder(tmp_path: Path, *, hidden: bool) -> None:
    """A bundle may stand one level below, where there is nothing else."""
    (tmp_path / "crime").mkdir()
    if hidden:
        (tmp_path / "._crime").touch()
    assert Settings.from_environ({"AZUREML_MODEL_DIR": str(tmp_path)}, artifacts=NOWHERE).bundle == tmp_path / "crime"
    assert Settings.from_environ({}, artifacts=tmp_path).bundle == tmp_path / "crime"
    (tmp_path / "model.pkl").touch()
    assert Settings.from_environ({}, artifacts=tmp_path).bundle == tmp_path


def test_our_own_variables_go_before(artifacts: Path) -> None:
    """A setting of ours is never overruled by a platform, nor by a value of the platform's that cannot be used."""
    environ = {**VERTEX, "AIP_HTTP_PORT": "none", "BRINERY_PORT": "9000", "BRINERY_BUNDLE": "mine"}
    made = Settings.from_environ(environ, artifacts=artifacts)
    assert (made.port, made.bundle) == (9000, Path("mine"))
    given = given_in({"AIP_HTTP_PORT": "8085", "BRINERY_PORT": "tcp://10.0.0.1:8000"}, artifacts=artifacts)
    assert given["port"].source == "AIP_HTTP_PORT", "Kubernetes' own variable sets nothing"
    assert given["bundle"].source == str(artifacts)


@pytest.mark.parametrize(
    ("variable", "value", "expected"),
    [
        ("AIP_HTTP_PORT", "eight", "a whole number from 1 to 65535"),
        ("AIP_PREDICT_ROUTE", "predict", "empty, or a path such as `/v1/models/crime:predict`"),
        ("AIP_HEALTH_ROUTE", "/<name>", "empty, or a path"),
        ("AIP_STORAGE_URI", "ftp://tenant/models", "the path of a folder or an archive, or a URL"),
    ],
)
def test_a_value_that_cannot_be_used(variable: str, value: str, expected: str) -> None:
    """It is refused in a sentence that names the platform's own variable."""
    with pytest.raises(SettingError) as raised:
        Settings.from_environ({variable: value}, artifacts=NOWHERE)
    assert str(raised.value).startswith(f"{variable} is '{value}'; expected {expected}")


def test_a_folder_that_is_not_there() -> None:
    """A folder that a platform names and does not mount is the bundle, so that the start says that it is missing."""
    assert Settings.from_environ({"AZUREML_MODEL_DIR": str(NOWHERE)}, artifacts=NOWHERE).bundle == NOWHERE


def test_folders_that_may_not_be_looked_at() -> None:
    """What a machine keeps to itself is no platform's sign, and stops no start."""
    unseen = Path("a" * 5_000)  # as a folder of root's is, for a user, an error and not the lack of a file
    made = Settings.from_environ({"AZUREML_MODEL_DIR": str(unseen)}, artifacts=unseen)
    assert (made.port, made.bundle) == (8000, unseen)
