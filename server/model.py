"""A bundle that was understood and tried: what is served."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sklearn.exceptions import NotFittedError
from sklearn.utils.validation import check_is_fitted

from server.bundle import Bundle
from server.engine import Evaluator, FallbackEvaluator
from server.errors import BundleError, gathering, one_line, raise_gathered
from server.introspection import Estimator, columns_of, names_of, shape_of
from server.labels import form_of, make_outputs
from server.outputs import Form, Outputs
from server.parameter import Parameter
from server.parameters import make_parameters
from server.settings import Settings
from server.signature import Signature
from server.trial import try_out


@dataclass(frozen=True, slots=True)
class Identity:
    """Who answers: the model's name and version, as the metadata has it, and the digest of its bundle."""

    name: str
    version: int | str
    digest: str


@dataclass(frozen=True, slots=True)
class Model:
    """A model that is ready to be served; immutable. `bundle` is where it came from."""

    identity: Identity
    signature: Signature
    outputs: Outputs
    evaluator: Evaluator
    bundle: Bundle

    @property
    def metadata(self) -> Mapping[str, Any]:
        """The bundle's metadata.json, empty without one."""
        return self.bundle.metadata or {}

    @property
    def estimator_class(self) -> str:
        """The estimator's class, and the class at the end of it where it is a pipeline."""
        return _class_name(self.bundle.estimator)


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
    with gathering(reasons):
        parameters = make_parameters(
            bundle.lookup,
            metadata.get("parameters"),
            columns,
            by_name=names_of(estimator) is not None,
            accept_unknown=settings.unknown_labels == "accept",
        )
        parameters = try_out(parameters, make_evaluator, promised_null=_promised_null(bundle))
        signature = Signature(parameters, ignore_unknown=settings.unknown_fields == "ignore")
        evaluator = make_evaluator(parameters)
        sample = evaluator.evaluate([signature.parse(signature.example())], with_classes=form is Form.PROBABILITIES)
        outputs = make_outputs(estimator, form, sample, bundle.labels, metadata.get("threshold"))
    raise_gathered(reasons)
    return Model(identity, signature, outputs, evaluator, bundle)


def _identity(bundle: Bundle, metadata: Mapping[str, Any]) -> Identity:
    name, version = metadata.get("name", bundle.name), metadata.get("version", 1)
    if not isinstance(name, str) or not name:
        msg = "metadata.json's `name` must be a text that is not empty."
        raise BundleError(msg)
    if isinstance(version, bool) or not isinstance(version, (str, int)) or version == "":
        msg = "metadata.json's `version` must be an integer or a text."
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
    parts: list[Any] = [estimator, getattr(estimator, "best_estimator_", None)]
    for part in parts:
        if hasattr(part, "get_params"):
            names = [name for name in part.get_params(deep=True) if name.rpartition("__")[2] == "n_jobs"]
            part.set_params(**dict.fromkeys(names, 1))


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
