"""`brinery check`: says what a bundle would serve, or all that is wrong with it."""

from pathlib import Path

import orjson
import sklearn

from server.application import Prepared
from server.bundle import is_other_version
from server.launch import tried
from server.model import Model
from server.outputs import Form
from server.parameter import Kind, Parameter
from server.settings import Settings
from server.sources.fetching import read
from server.urls import Url

SHOWN_LABELS = 5


def check(place: Path | Url, settings: Settings) -> str:
    """Say in some lines what the bundle at `place` would serve; raise `BundleError` with all that is wrong."""
    prepared = tried(settings, read(settings, place))
    model = prepared.model
    other = is_other_version(model.sklearn_version)
    sizes = ", ".join(f"{name} {_size(size)}" for name, size in model.sizes.items())
    cost = model.engine.cost
    width = max(len(parameter.name) for parameter in model.signature.parameters)
    lines = [
        f"{model.identity.name}, version {model.identity.version}",
        f"  files       {sizes}",
        f"  digest      {model.identity.digest}",
        f"  sealed      {_say_seal(prepared)}",
        *(["  beware      " + _say_ignored(prepared)] if prepared.seal.ignored_globals else []),
        f"  estimator   {model.estimator_class}",
        f"  pickled by  scikit-learn {model.sklearn_version or '(it does not say)'}; {sklearn.__version__} runs here",
        *(["  beware      another minor release of scikit-learn may answer differently"] if other else []),
        f"  engine      {_say_engine(model)}",
        f"  a row takes {cost.first_row * 1e6:.0f} us alone, each other of a batch {cost.further_row * 1e6:.1f} us",
        "  parameters",
        *(f"    {each.name:{width}}  {_say(each)}" for each in model.signature.parameters),
        f"  answer      {_say_answer(model)}",
        "  a request   " + orjson.dumps(model.signature.example()).decode(),
        "  its answer  " + orjson.dumps(prepared.example_answer).decode(),
        "It can be served.",
    ]
    return "\n".join(lines)


def _say(parameter: Parameter) -> str:
    text = parameter.expectation()
    if parameter.kind is Kind.CATEGORY:
        some = ", ".join(map(str, parameter.labels[:SHOWN_LABELS]))
        more = ", ..." if len(parameter.labels) > SHOWN_LABELS else ""
        text += f": {some}{more}"
        text += " (or any other)" if parameter.open else ""
    return text if parameter.required else f"{text}; optional"


def _say_answer(model: Model) -> str:
    outputs = model.outputs
    if outputs.form is Form.VALUES or outputs.multilabel:
        return f"{outputs.form.value} of " + ", ".join(each.name for each in outputs.outputs)
    said = [
        (f"{each.name}: " if outputs.several else "") + ", ".join(each.keys[:SHOWN_LABELS]) for each in outputs.outputs
    ]
    return f"{outputs.form.value} of " + "; ".join(said)


def _say_seal(prepared: Prepared) -> str:
    seal, count = prepared.seal, len(prepared.golden.cases)
    said = ("yes, and signed by a trusted key" if seal.signed else "yes, not signed") if seal.sealed else "no"
    return f"{said}; {count} golden requests are answered as they were" if count else said


def _say_ignored(prepared: Prepared) -> str:
    names = prepared.seal.ignored_globals
    return f"the manifest allows {', '.join(names)}, which counts only if a trusted key has signed it"


def _say_engine(model: Model) -> str:
    engine = model.engine
    if engine.fallback is not None:
        return f"{engine.name}: {engine.fallback}"
    if not engine.comparison.rows:
        return engine.name
    same = "to the last bit" if engine.comparison.exact else "within rounding"
    return f"{engine.name}; equal to the estimator {same}"


def _size(count: int) -> str:
    if count < 1_000:
        return f"{count} bytes"
    return f"{count / 1e6:.1f} MB" if count >= 1_000_000 else f"{count / 1e3:.1f} kB"
