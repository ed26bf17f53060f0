"""Makes `server/allowed.txt` from what is installed: `python -m tests.unit.gate.listing` writes it again.

Classes are found by their bases, so that no helper is forgotten; functions are named here one by one, after reading
them. A change of the file is a change of what may be run: review it line by line.
"""

import sys
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

FILE = Path(__file__).parents[3] / "server" / "allowed.txt"
HEADER = """\
# What a bundle's pickles may name, one exact global per line: `package.module.Name`.
#
# objects: classes of which objects are made without calling them. Their state is set; they are never called.
# calls:   called with plain data, or with what `server/calls.py` says of them.
# values:  parts of a state, and never called.
#
# "plain" sections also hold for lookup and labels. Written by `python -m tests.unit.gate.listing`; a test compares.
"""

PLAIN_CALLS = """
_codecs.encode builtins.bytearray builtins.bytes builtins.complex builtins.frozenset builtins.range builtins.set
builtins.slice collections.OrderedDict numpy._core.multiarray._reconstruct numpy._core.multiarray.scalar
numpy._core.numeric._frombuffer numpy.dtype joblib.numpy_pickle.NumpyArrayWrapper copyreg._reconstructor
"""
PLAIN_VALUES = "numpy.ndarray builtins.object"
TYPES = "builtins.bool builtins.dict builtins.float builtins.int builtins.list builtins.str builtins.tuple"
CALLS = """
collections.defaultdict datetime.date datetime.datetime datetime.time datetime.timedelta datetime.timezone
decimal.Decimal functools.partial numpy.ma.core._mareconstruct numpy.random._pickle.__bit_generator_ctor
numpy.random._pickle.__generator_ctor numpy.random._pickle.__randomstate_ctor
numpy.random.bit_generator.__pyx_unpickle_SeedSequence sklearn._loss._loss.__pyx_unpickle_CyHalfMultinomialLoss
sklearn.metrics._dist_metrics.newObj sklearn.neighbors._ball_tree.newObj sklearn.neighbors._kd_tree.newObj
sklearn.tree._tree.Tree
"""
PANDAS = {
    "calls": """
pandas.StringDtype pandas._libs.arrays.__pyx_unpickle_NDArrayBacked pandas._libs.tslibs.nattype._nat_unpickle
pandas.core.arrays.string_.StringDtype pandas.core.indexes.base._new_Index
""",
    # The second name of each is how pandas 2 wrote it. Nothing with a time zone: its name can be a path.
    "objects": """
pandas.Categorical pandas.CategoricalDtype pandas.CategoricalIndex pandas.Index pandas.RangeIndex
pandas.arrays.StringArray pandas.core.arrays.categorical.Categorical pandas.core.arrays.string_.StringArray
pandas.core.dtypes.dtypes.CategoricalDtype pandas.core.indexes.base.Index
pandas.core.indexes.category.CategoricalIndex pandas.core.indexes.range.RangeIndex
""",
    "values": "pandas.NA pandas._libs.missing.NA",
}
NUMPY_FUNCTIONS = """
all amax amin any argmax argmin around array asarray atleast_2d average clip column_stack concatenate cumsum diff
hstack isin mean median nan_to_num nanmax nanmean nanmedian nanmin nanstd nansum nanvar percentile prod ptp
quantile ravel reshape round squeeze std sum transpose unique var vstack where zeros_like ones_like
"""
NUMPY_TYPES = """
bool bool_ bytes_ complex128 complex64 datetime64 float16 float32 float64 int16 int32 int64 int8 longdouble object_
str_ timedelta64 uint16 uint32 uint64 uint8
"""
SKLEARN_FUNCTIONS = """
sklearn.cluster._kmeans._kmeans_single_elkan sklearn.cluster._kmeans._kmeans_single_lloyd
sklearn.feature_selection._mutual_info.mutual_info_classif
sklearn.feature_selection._mutual_info.mutual_info_regression
sklearn.feature_selection._univariate_selection.chi2 sklearn.feature_selection._univariate_selection.f_classif
sklearn.feature_selection._univariate_selection.f_regression
sklearn.feature_selection._univariate_selection.r_regression
sklearn.preprocessing._data.maxabs_scale sklearn.preprocessing._data.minmax_scale
sklearn.preprocessing._data.normalize sklearn.preprocessing._data.robust_scale sklearn.preprocessing._data.scale
sklearn.utils.validation.check_array scipy._lib.array_api_compat.numpy._aliases.asarray
"""
# They take functions, make objects with files or plots behind them, or are not about numbers.
NO_METRICS = {"check_scoring", "get_scorer", "get_scorer_names", "make_scorer", "pairwise_distances_chunked"}
NO_MODULES = ("tests", "_mocking", "estimator_checks", "_testing", "externals", "_repr_html", "experimental")


def subclasses(kind: type) -> Iterator[type]:
    """Give a class and everything that is derived from it."""
    yield kind
    derived: list[type] = type.__subclasses__(kind)
    for each in derived:
        yield from subclasses(each)


def named(things: Iterable[Any], package: str) -> set[str]:
    """Give the names under which these of a package are pickled, without what is only for tests."""
    names = {f"{each.__module__}.{each.__qualname__}" for each in things}
    return {
        name
        for name in names
        if name.startswith(package) and not any(part in name.split(".") for part in NO_MODULES) and "<" not in name
    }


def sklearn_objects() -> tuple[set[str], set[str]]:
    """Give scikit-learn's classes: those that objects are made of, and those that are called (Cython's)."""
    from sklearn import _loss, gaussian_process, metrics, neighbors
    from sklearn._loss import _loss as c_losses
    from sklearn._loss import link
    from sklearn.base import BaseEstimator
    from sklearn.calibration import _CalibratedClassifier
    from sklearn.cluster import _birch, _bisect_k_means
    from sklearn.ensemble._hist_gradient_boosting.predictor import TreePredictor
    from sklearn.experimental import enable_halving_search_cv, enable_iterative_imputer  # noqa: F401  # make some appear
    from sklearn.impute import _iterative
    from sklearn.linear_model import _sgd_fast
    from sklearn.metrics import _dist_metrics, _scorer
    from sklearn.model_selection import _split
    from sklearn.neural_network import _stochastic_optimizers
    from sklearn.utils import _bunch, _metadata_requests, all_estimators

    all_estimators()  # imports everything
    bases: list[type] = [
        BaseEstimator,
        gaussian_process.kernels.Kernel,
        _loss.loss.BaseLoss,
        link.BaseLink,
        _dist_metrics.DistanceMetric,
        _scorer._BaseScorer,
        _split.BaseCrossValidator,
        _split.BaseShuffleSplit,
        _stochastic_optimizers.BaseOptimizer,
    ]
    alone = [
        _CalibratedClassifier,
        link.Interval,
        neighbors.KDTree,
        neighbors.BallTree,
        neighbors._kd_tree.KDTree32,
        neighbors._ball_tree.BallTree32,
        _scorer._PassthroughScorer,
        _birch._CFNode,
        _birch._CFSubcluster,
        _bisect_k_means._BisectingTree,
        TreePredictor,
        _bunch.Bunch,
        _iterative._ImputerTriplet,
        _metadata_requests.MetadataRequest,
        _metadata_requests.MethodMetadataRequest,
        _metadata_requests.MetadataRouter,
        metrics._scorer._MultimetricScorer,
    ]
    objects = named([each for base in bases for each in subclasses(base)] + alone, "sklearn.")
    objects |= named(subclasses(c_losses.CyHalfMultinomialLoss), "sklearn.")
    sgd_losses = [each for each in vars(_sgd_fast).values() if isinstance(each, type)]
    calls = named([*subclasses(c_losses.CyLossFunction), *sgd_losses], "sklearn.")
    return objects, calls - objects


def scipy_objects() -> set[str]:
    """Give scipy's containers of sparse data, and its splines."""
    from scipy import sparse
    from scipy.interpolate import BSpline

    kinds = [each for each in vars(sparse).values() if isinstance(each, type) and hasattr(each, "toarray")]
    return named([*kinds, BSpline], "scipy.")


def boosting_objects() -> tuple[set[str], set[str]]:
    """Give the estimators of XGBoost and LightGBM, and what they keep."""
    import lightgbm
    import xgboost
    from sklearn.base import BaseEstimator

    kinds = [*subclasses(BaseEstimator), xgboost.Booster, lightgbm.Booster]
    return named(kinds, "xgboost."), named(kinds, "lightgbm.")


def numpy_values() -> set[str]:
    """Give numpy's functions of numbers, all universal ones, and its types."""
    import numpy as np

    universal = {name for name, each in vars(np).items() if isinstance(each, np.ufunc)}
    return {f"numpy.{name}" for name in {*universal, *NUMPY_FUNCTIONS.split(), *NUMPY_TYPES.split()}}


def scipy_values() -> set[str]:
    """Give the universal functions of scipy.special, where they are pickled from."""
    import pickle

    import numpy as np
    from scipy import special

    found = set()
    for each in vars(special).values():
        if isinstance(each, np.ufunc):
            module, name = pickle.dumps(each, 2)[3:].split(b"\n")[:2]
            found.add(f"{module.decode()}.{name.decode()}")
    return found


def sklearn_values() -> set[str]:
    """Give scikit-learn's metrics, kernels and the reviewed functions."""
    import types

    from sklearn import metrics

    functions = [getattr(metrics, name) for name in metrics.__all__ if name not in NO_METRICS]
    kernels = list(metrics.pairwise.PAIRWISE_KERNEL_FUNCTIONS.values())
    pure = [each for each in [*functions, *kernels] if isinstance(each, types.FunctionType)]
    return named(pure, "sklearn.") | set(SKLEARN_FUNCTIONS.split())


def sections() -> Mapping[str, set[str]]:
    """Give the sections of the file."""
    objects, calls = sklearn_objects()
    xgboost, lightgbm = boosting_objects()
    random = {
        *(f"numpy.random._{module}.{name}" for module, name in [("mt19937", "MT19937"), ("pcg64", "PCG64")]),
        *("numpy.random._pcg64.PCG64DXSM", "numpy.random._philox.Philox", "numpy.random._sfc64.SFC64"),
        "numpy.random.bit_generator.SeedSequence",
    }
    masked = {"numpy.ma.MaskedArray", "numpy.ma.core.MaskedArray", "numpy.matrix"}
    return {
        "plain calls": set(PLAIN_CALLS.split()),
        "plain values": set(PLAIN_VALUES.split()),
        "Python values": set(TYPES.split()),
        "Python, numpy and scikit-learn calls": set(CALLS.split()) | calls,
        "numpy objects": random,
        "numpy values": numpy_values() | masked,
        "scipy objects": scipy_objects(),
        "scipy values": scipy_values(),
        "pandas calls": set(PANDAS["calls"].split()),
        "pandas objects": set(PANDAS["objects"].split()),
        "pandas values": set(PANDAS["values"].split()),
        "scikit-learn objects": objects,
        "scikit-learn values": sklearn_values(),
        "XGBoost objects": xgboost,
        "LightGBM objects": lightgbm,
    }


def written() -> str:
    """Give the whole file."""
    parts = [HEADER]
    for title, names in sections().items():
        parts += [f"\n[{title}]\n", *(f"{name}\n" for name in sorted(names))]
    return "".join(parts)


if __name__ == "__main__":
    FILE.write_text(written(), encoding="ascii")
    sys.stdout.write(f"{FILE} is written.\n")
