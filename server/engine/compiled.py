"""An estimator to a compiled evaluator, where each of its parts has a compiled form."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Final, Protocol

import numpy as np
from numpy.typing import NDArray

from server.columns import Row, Table
from server.engine.ensembles import Forest, gradient_boosting, histogram_boosting
from server.engine.evaluator import Evaluation, Evaluator, Unsupported, all_finite
from server.engine.fallback import ask
from server.engine.linear import linear_head
from server.engine.pipeline import Block, Source, Transform, compile_step
from server.engine.trees import Matrix
from server.introspection import Estimator, Shape, is_a
from server.outputs import Form
from server.parameter import MAX_SAFE_INTEGER, Code, Kind, Parameter

FORESTS: Final = (
    "BaseForest",
    "DecisionTreeClassifier",
    "DecisionTreeRegressor",
    "ExtraTreeClassifier",
    "ExtraTreeRegressor",
)
UNSEEN_TEXT: Final = "\N{REPLACEMENT CHARACTER}unseen"


class Head(Protocol):
    """The last step: a matrix in, numbers out."""

    @property
    def takes_missing(self) -> bool:
        """Tell whether NaN may stand in the matrix."""
        ...

    @property
    def thresholds(self) -> Sequence[NDArray[np.float64]]:
        """Give for each column some of the numbers at which the answer may change; nothing if that is not known."""
        ...

    def evaluate(self, x: Matrix, *, with_classes: bool) -> Evaluation:
        """Evaluate the rows of a matrix, which may be changed."""
        ...


@dataclass(frozen=True, slots=True)
class Compiled:
    """A compiled evaluator, and the parameters with the codes that it takes in place of the estimator's own."""

    evaluator: Evaluator
    parameters: tuple[Parameter, ...]
    exact: bool  # equal to the estimator to the last bit, not only within rounding
    thresholds: Sequence[NDArray[np.float64]]  # of each parameter, where the head's columns are the parameters


class MatrixEvaluator:
    """Evaluates rows of numbers by numpy and compiled code."""

    def __init__(self, name: str, head: Head, form: Form, transform: Transform | None) -> None:
        self.name, self.serial = name, isinstance(head, EstimatorHead)
        self._head, self._form, self._transform = head, form, transform

    def evaluate(self, rows: Sequence[Row], *, with_classes: bool = False) -> Evaluation:
        """Evaluate rows; see `Evaluator`. Raises `ValueError` for a number that the estimator refuses."""
        x = _matrix(rows)
        if self._transform is not None:
            with np.errstate(all="ignore"):
                x = self._transform(x)
        if not self._head.takes_missing and not all_finite(x):
            msg = "A value is missing or infinite, which the estimator does not take."
            raise ValueError(msg)
        return self._head.evaluate(x, with_classes=with_classes or self._form is Form.PREDICTION)


def _matrix(rows: Sequence[Row]) -> Matrix:
    if isinstance(rows, Table):
        return np.ascontiguousarray(np.array(rows.columns, dtype=np.float64).T)
    return np.array(rows, dtype=np.float64)


class EstimatorHead:
    """Any other estimator as a last step: itself, on a matrix instead of a DataFrame."""

    takes_missing = True  # it says itself what it does not take
    thresholds = ()

    def __init__(self, estimator: Estimator, form: Form) -> None:
        self._estimator, self._form = estimator, form

    @np.errstate(all="ignore")
    def evaluate(self, x: Matrix, *, with_classes: bool) -> Evaluation:
        """Evaluate the rows of a matrix."""
        return ask(self._estimator, x, self._form, with_classes=with_classes)


def compile_estimator(estimator: Estimator, parameters: Sequence[Parameter], shape: Shape, form: Form) -> Compiled:
    """Compile a fitted estimator; raise `Unsupported` where the pickle itself has to serve."""
    if shape is Shape.TEXTS or any(each.kind is Kind.TEXT for each in parameters):
        raise Unsupported("free text")
    while is_a(estimator, "BaseSearchCV"):
        estimator = estimator.best_estimator_
    *before, last = [part for part in _steps(estimator) if not isinstance(part, str)]  # which is "passthrough"
    encoder = getattr(last, "_preprocessor", None) if is_a(last, "BaseHistGradientBoosting") else None
    if encoder is not None:
        before.append(encoder)
    found = _head(last, form, plain=not before)
    if found is None:
        raise Unsupported(type(last).__name__)
    name, head, exact = found
    if not before:
        return Compiled(MatrixEvaluator(name, head, form, None), tuple(parameters), exact, head.thresholds)
    numbered, block = _numbered(parameters)
    for step in before:
        block = compile_step(step, block)
    return Compiled(MatrixEvaluator(f"pipeline, {name}", head, form, block.numeric()), numbered, exact, ())


def _steps(estimator: Estimator) -> list[Any]:
    """Give the steps of a pipeline, those of pipelines within it among them."""
    if not is_a(estimator, "Pipeline"):
        return [estimator]
    return [inner for _, part in estimator.steps for inner in _steps(part)]


def _head(estimator: Estimator, form: Form, *, plain: bool) -> tuple[str, Head, bool] | None:
    """Make the head of the last step: its name, itself, and whether it is exact; None for one without."""
    if is_a(estimator, *FORESTS) and form is not Form.PREDICTION and hasattr(estimator, "n_outputs_"):
        return "forest", Forest(estimator, form), True
    if is_a(estimator, "BaseGradientBoosting"):
        boosting = gradient_boosting(estimator, form)
        return ("gradient boosting", boosting, True) if boosting is not None else None
    if is_a(estimator, "BaseHistGradientBoosting"):
        return "histogram boosting", histogram_boosting(estimator, form), True
    linear = linear_head(estimator, form)
    if linear is not None:
        return "linear", linear, False
    module = type(estimator).__module__.partition(".")[0]
    named = getattr(estimator, "feature_names_in_", None) is not None
    if module in ("xgboost", "lightgbm") or (not plain and not named):
        return type(estimator).__name__, EstimatorHead(estimator, form), False
    return None


def _numbered(parameters: Sequence[Parameter]) -> tuple[tuple[Parameter, ...], Block]:
    """Give the parameters with the numbers of their labels as codes, and the block of columns that they make."""
    numbered, sources = [], []
    for place, parameter in enumerate(parameters):
        if parameter.kind is not Kind.CATEGORY:
            numbered.append(parameter)
            sources.append(Source(place))
            continue
        alphabet: list[Code] = list(parameter.codes)
        changes: dict[str, Any] = {"codes": tuple(range(len(alphabet)))}
        if parameter.nullable:
            changes["null_code"] = len(alphabet)
            alphabet.append(parameter.null_code)
        if parameter.open:
            changes["unseen_code"] = len(alphabet)
            alphabet.append(UNSEEN_TEXT if parameter.label_type is str else -MAX_SAFE_INTEGER - 2)
        numbered.append(replace(parameter, **changes))
        sources.append(Source(place, tuple(alphabet)))
    return tuple(numbered), Block(tuple(sources))
