"""The list: complete for what is installed, and without anything that does more than hold numbers."""

import importlib
import types
from collections import defaultdict
from typing import Any

import numpy as np
import pytest
from sklearn.utils import all_estimators

from server.allowed import canonical, listed
from server.symbols import Role
from tests.unit.gate.listing import FILE, written

ALL = listed()["all"]
# Who may do something when an object is made or gets its state: each was read. None runs what the state says.
REVIEWED = {
    "__setstate__": {
        "lightgbm.basic.Booster",
        "numpy.random.bit_generator.BitGenerator",
        "numpy.random.bit_generator.SeedSequence",
        "pandas.Categorical",
        "pandas.CategoricalDtype",
        "pandas._libs.arrays.NDArrayBacked",
        "scipy.sparse._coo.coo_matrix",
        "sklearn._loss._loss.CyHalfMultinomialLoss",
        "sklearn.base.BaseEstimator",
        "sklearn.ensemble._hist_gradient_boosting.predictor.TreePredictor",
        "sklearn.isotonic.IsotonicRegression",
        "sklearn.utils._bunch.Bunch",
        "xgboost.core.Booster",
    },
    "__del__": {"lightgbm.basic.Booster", "xgboost.core.Booster"},
    "__setattr__": {"sklearn.utils._bunch.Bunch"},
}
COMPILED = ("sklearn.metrics._dist_metrics.", "sklearn.neighbors._ball_tree.", "sklearn.neighbors._kd_tree.")


def found(name: str) -> Any:
    """Give what a listed name stands for, None for another release's name."""
    module, _, last = name.rpartition(".")
    try:
        return getattr(importlib.import_module(module), last)
    except (ModuleNotFoundError, AttributeError):
        return None


@pytest.mark.filterwarnings("ignore")
def test_the_list_is_what_is_installed() -> None:
    """The file is what `python -m tests.unit.gate.listing` writes: run it after an upgrade, and review."""
    assert FILE.read_text(encoding="ascii") == written()


def test_every_estimator_is_listed() -> None:
    """No estimator of scikit-learn needs a setting."""
    for _, kind in all_estimators():
        assert ALL[f"{kind.__module__}.{kind.__qualname__}"] is Role.OBJECT


@pytest.mark.filterwarnings("ignore")
def test_every_name_is_what_its_role_says() -> None:
    """Objects are made of classes, and values are classes, functions of numbers, or the missing value."""
    missing = set()
    for name, role in ALL.items():
        each = found(name)
        if each is None:
            missing.add(name)
        elif role is Role.OBJECT:
            assert isinstance(each, type), name
        elif role is Role.VALUE and not isinstance(each, type | np.ufunc):
            assert callable(each) or name.endswith(".NA"), name
        assert not isinstance(each, types.ModuleType), name
    assert all(name.startswith("pandas.") for name in missing)


@pytest.mark.filterwarnings("ignore")
def test_who_acts_on_a_state_was_reviewed() -> None:
    """A class that does something of its own with its state is on the list of those that were read."""
    acting: dict[str, set[str]] = defaultdict(set)
    for name, role in ALL.items():
        for method in REVIEWED:
            owner = next((kind for kind in getattr(found(name), "__mro__", ()) if method in vars(kind)), object)
            owned = f"{owner.__module__}.{owner.__name__}"
            if role is Role.OBJECT and owner is not object and not owned.startswith(COMPILED):
                acting[method].add(owned)
    assert acting == REVIEWED


@pytest.mark.parametrize(
    "name",
    [
        "builtins.eval",
        "builtins.getattr",
        "builtins.type",
        "importlib.import_module",
        "joblib.memory.Memory",
        "joblib.numpy_pickle.load",
        "numpy.apply_along_axis",
        "numpy.fromfile",
        "numpy.frompyfunc",
        "numpy.genfromtxt",
        "numpy.load",
        "numpy.memmap",
        "numpy.save",
        "numpy.savetxt",
        "numpy.vectorize",
        "operator.attrgetter",
        "operator.methodcaller",
        "os.system",
        "pandas.DatetimeIndex",  # a name of a time zone can be a path
        "pandas.eval",
        "pandas.read_pickle",
        "scipy.stats._distn_infrastructure.rv_continuous_frozen",  # its state is executed
        "scipy.stats._continuous_distns.uniform_gen",
        "sklearn.datasets._openml.fetch_openml",
        "sklearn.metrics._scorer.make_scorer",
    ],
)
def test_what_is_not_listed(name: str) -> None:
    """What runs, reads or writes more than it holds is not listed."""
    assert name not in ALL


def test_lookup_and_labels_have_a_list_of_their_own() -> None:
    """They hold builtins and numpy's scalars and arrays, and no estimators."""
    plain = listed()["plain"]
    packages = {name.partition(".")[0] for name in plain}
    assert packages == {"_codecs", "builtins", "collections", "copyreg", "joblib", "numpy"}
    assert Role.OBJECT not in plain.values()


@pytest.mark.parametrize(
    ("module", "name", "today"),
    [
        ("__builtin__", "set", "builtins.set"),
        ("__builtin__", "xrange", "builtins.range"),
        ("__builtin__", "long", "builtins.int"),
        ("copy_reg", "_reconstructor", "copyreg._reconstructor"),
        ("numpy.core.multiarray", "scalar", "numpy._core.multiarray.scalar"),
        ("numpy", "memmap", "numpy.ndarray"),
        ("os", "system", "os.system"),
    ],
)
def test_older_names(module: str, name: str, today: str) -> None:
    """Older names are the same things, and no other names are changed."""
    assert canonical(module, name) == today
