"""A bundle that was understood and tried: what is served."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from sklearn.exceptions import NotFittedError
from sklearn.utils.validation import check_is_fitted

from server.bundle import Bundle
from server.engine import EngineReport, Evaluation, Evaluator, FallbackEvaluator, choose
from server.errors import BundleError, gathering, one_line, raise_gathered
from server.introspection import Column, Estimator, columns_of, is_a, names_of, shape_of
from server.labels import form_of, make_outputs
from server.outputs import Form, Outputs
from server.parameter import Parameter
from server.parameters import make_parameters
from server.settings import Settings
from server.signature import Signature
from server.trial import MakeEvaluator, try_out

MAX_NAME: Final = 256  # characters of a model's name, and of its version: both stand in paths and in headers


@dataclass(frozen=True, slots=True)
class Identity:
    """Who answers: the model's name and version, as the metadata has it, and the digest of its bundle."""

    name: str
    version: int | str
    digest: str

    @property
    def version_text(self) -> str:
        """The version as text, as everything but info shows it."""
        return str(self.version)


@dataclass(frozen=True, slots=True)
class Model:
    """A model that is ready to be served; immutable.

    It holds the estimator only where the engine needs it: a compiled one has all that it takes, and the memory of the
    pickle is given back. `estimator_class` names the class, and the classes of the steps where it is a pipeline.
    """

    identity: Identity
    signature: Signature
    outputs: Outputs
    evaluator: Evaluator
    engine: EngineReport
    estimator_class: str
    metadata: Mapping[str, Any]
    sizes: Mapping[str, int]
    sklearn_version: str | None


def make_model(bundle: Bundle, settings: Settings) -> Model:
    """Understand a bundle and try it; raise `BundleError` with one sentence for what cannot be served."""
    try:
        return _understood(bundle, settings)
    except BundleError:
        raise
    except Exception as error:  # an estimator's own code may raise anything, whatever it is asked
        msg = f"The {type(bundle.estimator).__name__} cannot be served: {one_line(error)}."
        raise BundleError(msg) from error


def _understood(bundle: Bundle, settings: Settings) -> Model:
    estimator, metadata = bundle.estimator, bundle.metadata or {}
    _check_fitted(estimator)
    form = form_of(estimator)
    _use_one_thread(estimator)
    columns = columns_of(estimator)
    shape = shape_of(estimator, columns)

    def make_evaluator(parameters: tuple[Parameter, ...]) -> Evaluator:
        return FallbackEvaluator(estimator, parameters, shape, form)

    reasons: list[str] = []
    with gathering(reasons):
        identity = _identity(bundle, metadata)
    settled: tuple[Parameter, ...] | None = None
    outputs: Outputs | None = None
    with gathering(reasons):
        accept_unknown = settings.unknown_labels == "accept"
        parameters = make_parameters(
            bundle.lookup,
            metadata.get("parameters"),
            columns,
            by_name=names_of(estimator) is not None,
            accept_unknown=accept_unknown,
        )
        settled = try_out(parameters, make_evaluator, promised_null=_promised_null(bundle))
    with gathering(reasons):
        sample = _sample(settled, columns, make_evaluator, form)
        if sample is not None:
            outputs = make_outputs(estimator, form, sample, bundle.labels, metadata.get("threshold"))
    raise_gathered(reasons)
    assert settled is not None, "or there would be a reason"
    assert outputs is not None, "or there would be a reason"
    chosen = choose(estimator, settled, shape, form, compiled=settings.engine == "auto")
    return Model(
        identity=identity,
        signature=Signature(chosen.parameters, ignore_unknown=settings.unknown_fields == "ignore"),
        outputs=outputs,
        evaluator=chosen.evaluator,
        engine=chosen.report,
        estimator_class=_class_name(estimator),
        metadata=metadata,
        sizes=bundle.sizes or {},
        sklearn_version=bundle.sklearn_version,
    )


def _sample(
    settled: tuple[Parameter, ...] | None,
    columns: Sequence[Column] | None,
    make_evaluator: MakeEvaluator,
    form: Form,
) -> Evaluation | None:
    """Ask the estimator for an answer, by which its labels are judged.

    Where the inputs were refused its own columns serve, so that labels are judged all the same; None if they do not.
    """
    try:
        parameters = settled or make_parameters(None, None, columns, by_name=True)
        example = Signature(parameters)
        row = example.parse(example.example())
        return make_evaluator(parameters).evaluate([row], with_classes=form is Form.PROBABILITIES)
    except Exception:  # what there is to say of refused inputs was said
        if settled is not None:
            raise
        return None


def _identity(bundle: Bundle, metadata: Mapping[str, Any]) -> Identity:
    name, version = metadata.get("name", bundle.name), metadata.get("version", 1)
    if not isinstance(name, str) or not 0 < len(name) <= MAX_NAME:
        msg = f"metadata.json's `name` must be a text of 1 to {MAX_NAME} characters."
        raise BundleError(msg)
    if isinstance(version, bool) or not isinstance(version, (str, int)) or not 0 < len(str(version)) <= MAX_NAME:
        msg = f"metadata.json's `version` must be an integer, or a text of 1 to {MAX_NAME} characters."
        raise BundleError(msg)
    if not isinstance(metadata.get("description", ""), str):
        msg = "metadata.json's `description` must be a text."
        raise BundleError(msg)
    return Identity(name, version, bundle.digest)


def _check_fitted(estimator: Estimator) -> None:
    if isinstance(estimator, type):
        msg = f"model.pkl holds the class {estimator.__name__} itself; export a fitted instance of it."
        raise BundleError(msg)
    try:
        check_is_fitted(estimator)
    except NotFittedError:
        msg = f"The {type(estimator).__name__} is not fitted; call its `fit` before you export it."
        raise BundleError(msg) from None
    except TypeError:  # not scikit-learn's own class: the trial will tell
        return


def _use_one_thread(estimator: Estimator) -> None:
    """Set `n_jobs` to 1 wherever it stands: starting threads costs more than they save on a few rows."""
    seen: dict[int, object] = {}  # by identity: parts may hold each other
    rest: list[Any] = [estimator]
    while rest:
        part = rest.pop()
        if id(part) in seen:
            continue
        inner = _inside(part)
        if inner:
            seen[id(part)] = part
            rest.extend(inner)
        if hasattr(part, "set_params") and "n_jobs" in getattr(part, "__dict__", ()):
            part.set_params(n_jobs=1)


def _inside(part: object) -> Collection[object]:
    """Give what a container or an estimator holds; nothing for trees and forests, of which there are too many."""
    if isinstance(part, Mapping):
        return part.values()
    if isinstance(part, (list, tuple)):
        return part
    if isinstance(part, np.ndarray) and part.dtype == object:
        return part.ravel().tolist()
    if is_a(part, "BaseDecisionTree", "BaseForest"):
        return ()
    # One fold of a calibrated classifier is no estimator.
    if hasattr(part, "get_params") or is_a(part, "_CalibratedClassifier"):
        return getattr(part, "__dict__", {}).values()
    return ()


def _promised_null(bundle: Bundle) -> set[str]:
    """Name the parameters of which the metadata or the lookup says that they may be null."""
    fragments = (bundle.metadata or {}).get("parameters")
    promised = set()
    if isinstance(fragments, dict):
        promised = {
            name for name, each in fragments.items() if isinstance(each, dict) and "null" in (each.get("type") or ())
        }
    if isinstance(bundle.lookup, Mapping):
        promised |= {name for name, entry in bundle.lookup.items() if isinstance(entry, Mapping) and None in entry}
    return promised


def _class_name(estimator: Estimator) -> str:
    name = type(estimator).__name__
    if hasattr(estimator, "steps"):
        return f"{name}({', '.join(type(step).__name__ for _, step in estimator.steps)})"
    if hasattr(estimator, "best_estimator_"):
        return f"{name}({_class_name(estimator.best_estimator_)})"
    return name
