"""Small bundles made on the spot."""

import os
import pickle
import sys
from pathlib import Path
from textwrap import dedent
from typing import Any

import numpy as np
from sklearn.linear_model import LogisticRegression

from tests.live.running import eventually


def write_bundle(folder: Path, model: object, **others: object) -> Path:
    """Write a bundle of a model and, by their names without `.pkl`, other pickles; give its folder."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in {"model": model, **others}.items():
        (folder / f"{name}.pkl").write_bytes(pickle.dumps(content))
    return folder


def small_classifier() -> Any:
    """Fit a classifier of two nameless columns and two classes."""
    return LogisticRegression().fit(np.array([[0.0, 1.0], [1.0, 0.0], [2.0, 1.0], [3.0, 3.0]]), [0, 0, 1, 1])


GATE = '''
"""A model that stops at a gate while it works on the number 42, and is a fast one for any other."""

import os

import numpy as np
from sklearn.base import BaseEstimator, RegressorMixin


class Gate(RegressorMixin, BaseEstimator):
    def fit(self, X, y=None):
        self.n_features_in_ = 1
        return self

    def predict(self, X):
        if 42 in np.asarray(X):
            open(os.environ["GATE"] + ".entered", "w").close()
            with open(os.environ["GATE"]) as gate:
                gate.read()
        return np.zeros(len(X))
'''


class Gate:
    """A bundle whose model stops on the number 42 until it is let through; its module must be importable."""

    def __init__(self, folder: Path) -> None:
        (folder / "gated.py").write_text(dedent(GATE))
        self.path = folder / "gate"
        os.mkfifo(self.path)
        self.entered = folder / "gate.entered"
        self.environ = {
            "PYTHONPATH": str(folder),
            "GATE": str(self.path),
            "BRINERY_ALLOWED_GLOBALS": "gated.Gate",
        }
        sys.path.insert(0, str(folder))
        try:
            from gated import Gate as Model  # type: ignore[import-not-found]

            self.bundle = write_bundle(folder / "bundle", Model().fit(None))
        finally:
            sys.path.remove(str(folder))
            sys.modules.pop("gated", None)

    def wait_until_entered(self) -> None:
        """Return when the model works on the request."""
        eventually(self.entered.exists, "a request inside the model")

    def open(self) -> None:
        """Let the model go on."""
        self.path.write_text("go")

    def let_through(self) -> None:
        """Wait until the model works on the request, let it go on, and close the gate behind it."""
        self.wait_until_entered()
        self.entered.unlink()
        self.open()
