"""What the platforms that run containers tell them, as texts for settings of ours.

Formats: Vertex AI's and Azure Machine Learning's variables of custom containers, SageMaker's contract of hosting.
"""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Final, NamedTuple

ARTIFACTS: Final = Path("/opt/ml/model")  # where SageMaker, and nobody else, unpacks a model
ARTIFACTS_PORT: Final = "8080"  # where it asks

# Vertex AI's; and SageMaker's for containers that stand behind each other.
VARIABLES: Final[Mapping[str, str]] = {
    "AIP_HTTP_PORT": "port",
    "AIP_HEALTH_ROUTE": "vertex_health_route",
    "AIP_PREDICT_ROUTE": "vertex_predict_route",
    "AIP_STORAGE_URI": "bundle",
    "SAGEMAKER_BIND_TO_PORT": "port",
}
MODEL_FOLDER: Final = "AZUREML_MODEL_DIR"


class Given(NamedTuple):
    """The text of a setting, and where it stands."""

    text: str
    source: str


def given_by_platforms(environ: Mapping[str, str], artifacts: Path = ARTIFACTS) -> dict[str, Given]:
    """Give the settings, by their names, that the platform says something of which we run on; none elsewhere.

    What is empty says nothing.
    """
    given: dict[str, Given] = {}
    for variable, name in VARIABLES.items():
        if text := environ.get(variable, "").strip():
            given.setdefault(name, Given(text, variable))
    if folder := environ.get(MODEL_FOLDER, "").strip():
        given.setdefault("bundle", Given(str(_bundle_in(Path(folder))), MODEL_FOLDER))
    if os.path.isdir(artifacts):  # noqa: PTH112  # unlike Path's, it is false of what may not be looked at
        given.setdefault("port", Given(ARTIFACTS_PORT, str(artifacts)))
        if _entries(artifacts):  # it is empty where the model is in the image
            given.setdefault("bundle", Given(str(_bundle_in(artifacts)), str(artifacts)))
    return given


def _bundle_in(folder: Path) -> Path:
    """Give the folder that holds the files: this one, or the one in it if there is nothing else."""
    entries = _entries(folder)
    return entries[0] if len(entries) == 1 and os.path.isdir(entries[0]) else folder  # noqa: PTH112  # as above


def _entries(folder: Path) -> list[Path]:
    """List what a folder holds, but for what is hidden; nothing where it cannot be read, which the bundle will tell."""
    try:
        return [entry for entry in folder.iterdir() if not entry.name.startswith(".")]
    except OSError:
        return []
