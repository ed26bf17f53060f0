"""From labels.pkl and one answer of the estimator, the names of its outputs. Pure."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from sklearn.utils import get_tags

from server.engine import Evaluation
from server.errors import BundleError, gathering, raise_gathered
from server.introspection import Estimator
from server.outputs import Form, Output, Outputs, key_of
from server.parameter import Label
from server.parameters import check_unique, make_label

SINGLE = "prediction"  # what a single output without a name of its own is called


def form_of(estimator: Estimator) -> Form:
    """Tell in which form the estimator answers; raise `BundleError` for one that does not predict."""
    if not callable(getattr(estimator, "predict", None)):
        msg = (
            f"The {type(estimator).__name__} has no `predict`: it cannot be served. Export a classifier, a regressor, "
            "a clusterer that predicts, an outlier detector that predicts, or a pipeline that ends in one."
        )
        raise BundleError(msg)
    if callable(getattr(estimator, "predict_proba", None)):
        return Form.PROBABILITIES
    return Form.VALUES if _type_of(estimator) == "regressor" else Form.PREDICTION


def _type_of(estimator: Estimator) -> str | None:
    """Give what scikit-learn calls the estimator's type; None for what is not of its classes and does not say."""
    try:
        kind: str | None = get_tags(estimator).estimator_type
    except AttributeError:
        kind = getattr(estimator, "_estimator_type", None)  # how it was said before there were tags
    return kind


def make_outputs(
    estimator: Estimator,
    form: Form,
    sample: Evaluation,
    labels: object,
    threshold: object,
) -> Outputs:
    """Name the outputs that `sample`, the answer for one row, shows; raise `BundleError` if the labels do not fit.

    `labels` is what labels.pkl holds, None without one; `threshold` is the metadata's.
    """
    reasons: list[str] = []
    with gathering(reasons):
        outputs = _named(estimator, form, sample, _read(labels))
    if reasons:  # the threshold is judged all the same
        outputs = _named(estimator, form, sample, None)
    with gathering(reasons):
        outputs = _with_threshold(outputs, threshold)
    raise_gathered(reasons)
    return outputs


def _named(estimator: Estimator, form: Form, sample: Evaluation, named: "Names") -> Outputs:
    if form is Form.VALUES:
        outputs = _values(sample, named)
    elif form is Form.PROBABILITIES:
        outputs = _probabilities(estimator, sample, named)
    else:
        outputs = _predictions(estimator, sample, named)
    for output in outputs.outputs:
        check_unique(output.keys, "labels.pkl" if named else f"the classes of output {output.name!r}")
    check_unique([output.name for output in outputs.outputs], "labels.pkl")
    return outputs


Names = Sequence[Label] | Mapping[str, Sequence[Label]] | None


def _read(labels: object) -> Names:
    """Read labels.pkl: a list of names, or a mapping from output to the list of its labels."""
    if labels is None:
        return None
    if isinstance(labels, np.ndarray):
        labels = labels.tolist()
    if isinstance(labels, Mapping) and labels:
        return {str(name): _list(some) for name, some in labels.items()}
    return _list(labels)


def _list(labels: object) -> list[Label]:
    if isinstance(labels, np.ndarray):
        labels = labels.tolist()
    if not isinstance(labels, (list, tuple)) or not labels:
        msg = (
            f"labels.pkl holds a {type(labels).__name__}; expected a list with a name for each output, in the model's "
            "column order."
        )
        raise BundleError(msg)
    return [make_label(label, "labels.pkl") for label in labels]


def _values(sample: Evaluation, named: Names) -> Outputs:
    assert sample.numbers is not None
    count = sample.numbers[0].shape[1]
    default = [SINGLE] if count == 1 else [f"y{index}" for index in range(count)]
    names = _output_names(named, count, default)
    return Outputs(Form.VALUES, tuple(Output(name) for name in names), several=True)


def _probabilities(estimator: Estimator, sample: Evaluation, named: Names) -> Outputs:
    assert sample.numbers is not None
    assert sample.classes is not None
    widths = [numbers.shape[1] for numbers in sample.numbers]
    classes = getattr(estimator, "classes_", None)
    if len(widths) > 1 or isinstance(classes, list):
        if len(widths) == 1 and widths[0] == sample.classes.shape[1]:
            return _multilabel(sample, named, classes)  # a chain: one probability for each of its outputs
        several = classes if isinstance(classes, list) else [None] * len(widths)
        return _several(Form.PROBABILITIES, several, widths, named)
    if sample.classes.shape[1] > 1:
        return _multilabel(sample, named, classes)
    return Outputs(Form.PROBABILITIES, (_output(SINGLE, classes, widths[0], named),))


def _multilabel(sample: Evaluation, named: Names, classes: Sequence[Any] | None) -> Outputs:
    assert sample.classes is not None
    count = sample.classes.shape[1]
    default, own = [f"y{index}" for index in range(count)], [[0, 1]] * count
    if isinstance(classes, list):
        own = classes
    elif classes is not None and len(classes) == count:
        default = [key_of(make_label(value, "the model's classes")) for value in classes]
    names = _output_names(named, count, default)
    outputs = tuple(_output(name, pair, 2, None) for name, pair in zip(names, own, strict=True))
    return Outputs(Form.PROBABILITIES, outputs, several=True, multilabel=True)


def _predictions(estimator: Estimator, sample: Evaluation, named: Names) -> Outputs:
    assert sample.classes is not None
    count = sample.classes.shape[1]
    classes = getattr(estimator, "classes_", None)
    if count > 1:
        several = classes if isinstance(classes, list) else [[0, 1]] * count  # a matrix of indicators
        return _several(Form.PREDICTION, several, [len(each) for each in several], named)
    if isinstance(classes, list):
        classes = classes[0]
    if _type_of(estimator) == "outlier_detector":
        classes = [-1, 1]
    width = len(classes) if classes is not None else _cluster_count(estimator)
    return Outputs(Form.PREDICTION, (_output(SINGLE, classes, width, named),))


def _several(form: Form, classes: Sequence[Any], widths: Sequence[int], named: Names) -> Outputs:
    default = [f"y{index}" for index in range(len(widths))]
    names = _output_names(list(named) if isinstance(named, Mapping) else named, len(widths), default)
    outputs = []
    for name, own, width in zip(names, classes, widths, strict=True):
        outputs.append(_output(name, own, width, named[name] if isinstance(named, Mapping) else None))
    return Outputs(form, tuple(outputs), several=True)


def _output(name: str, classes: Sequence[Any] | None, width: int, named: Names) -> Output:
    """Name the labels of one output: as labels.pkl says, else the estimator's classes, else 0, 1, 2, ..."""
    if isinstance(named, Mapping):
        msg = f"labels.pkl holds labels for the outputs {', '.join(named)}, and the model has one output only."
        raise BundleError(msg)
    own = list(range(width)) if classes is None or len(classes) != width else list(classes)
    values = tuple(value.item() if isinstance(value, np.generic) else value for value in own)
    if named is None:
        named = [make_label(value, "the model's classes") for value in values]
    if len(named) != width:
        msg = (
            f"labels.pkl has {len(named)} labels, and the model has {width}: "
            f"{', '.join(map(repr, values[:5]))}{', ...' if width > 5 else ''}; give a name for each, in this order."
        )
        raise BundleError(msg)
    return Output(name, tuple(named), values)


def _output_names(named: Names, count: int, default: Sequence[str]) -> list[str]:
    if named is None:
        return list(default)
    if isinstance(named, Mapping) or len(named) != count:
        msg = f"labels.pkl must be a list of {count} names, one for each output of the model; it holds {len(named)}."
        raise BundleError(msg)
    return [key_of(name) for name in named]


def _cluster_count(estimator: Estimator) -> int:
    """Tell how many clusters a clusterer can answer with."""
    last = _last(estimator)
    centers = getattr(last, "cluster_centers_", None)
    # Birch's `labels_` are those of its training rows, which need not show every one.
    labels = getattr(last, "subcluster_labels_", getattr(last, "labels_", None))
    count = len(centers) if centers is not None else 0 if labels is None else int(np.max(labels)) + 1
    if count < 1:
        msg = f"The {type(last).__name__} does not say which predictions it can give; it cannot be served."
        raise BundleError(msg)
    return count


def _last(estimator: Estimator) -> Estimator:
    """Give the estimator at the end of pipelines and searches."""
    if hasattr(estimator, "steps"):
        return _last(estimator.steps[-1][1])
    return _last(estimator.best_estimator_) if hasattr(estimator, "best_estimator_") else estimator


def _with_threshold(outputs: Outputs, threshold: object) -> Outputs:
    if threshold is None:
        return outputs
    binary = outputs.form is Form.PROBABILITIES and not outputs.several and len(outputs.outputs[0].labels) == 2
    if not binary:
        msg = "metadata.json has a `threshold`, which only goes with a binary classifier that gives probabilities."
        raise BundleError(msg)
    if isinstance(threshold, bool) or not isinstance(threshold, (int, float)) or not 0 <= threshold <= 1:
        msg = "metadata.json's `threshold` must be a number from 0 to 1."
        raise BundleError(msg)
    return Outputs(outputs.form, outputs.outputs, threshold=float(threshold))
