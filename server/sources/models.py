"""Fetches a bundle from MLflow's model registry: a model that MLflow logged for scikit-learn is a bundle.

Where the registry is, and who we are, MLflow reads from its own variables: `MLFLOW_TRACKING_URI` and its kin.
"""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from server.sources.faults import too_large
from server.urls import Url


def fetch(url: Url, folder: Path, bounds: Mapping[str, int], patience: float) -> Path:
    """Fetch a version of a model into `folder`, and give the folder with a bundle's files; see `stores.fetch`.

    Runs in a process of its own, whose environment it changes.
    """
    os.environ["MLFLOW_HTTP_REQUEST_TIMEOUT"] = str(max(1, round(patience)))
    os.environ["MLFLOW_HTTP_REQUEST_MAX_RETRIES"] = "0"  # it is our turn to try again
    os.environ["MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR"] = "false"
    os.environ["MLFLOW_DISABLE_TELEMETRY"] = "true"  # whoever serves a model has not asked to tell its makers
    from mlflow.store.artifact.models_artifact_repo import ModelsArtifactRepository

    repository: Any = ModelsArtifactRepository(url.text)  # which knows from here on which version an alias means
    bundle = folder / "bundle"
    bundle.mkdir()
    for each in repository.list_artifacts(None):
        if each.is_dir or each.path not in bounds:
            continue
        if each.file_size is not None and each.file_size > bounds[each.path]:
            raise too_large(url)
        repository.download_artifacts(each.path, dst_path=str(bundle))
    return bundle
