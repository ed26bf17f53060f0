"""Renders the chart, as Helm does for a cluster of its own newest version without custom kinds."""

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import helm_python as helm
import yaml

ROOT = Path(__file__).resolve().parents[2]
CHART = ROOT / "helm" / "brinery"


class Objects:
    """The objects of one release."""

    def __init__(self, objects: Iterable[Any]) -> None:
        self.all: list[Any] = list(objects)

    def __iter__(self) -> Iterator[Any]:
        return iter(self.all)

    def __getitem__(self, kind: str) -> Any:
        """Give the only object of a kind."""
        (found,) = (each for each in self.all if each["kind"] == kind)
        return found

    def __contains__(self, kind: str) -> bool:
        return any(each["kind"] == kind for each in self.all)

    @property
    def pod(self) -> Any:
        """The pod of the deployment."""
        return self["Deployment"]["spec"]["template"]

    @property
    def container(self) -> Any:
        """The container that serves."""
        (found,) = self.pod["spec"]["containers"]
        return found

    @property
    def environ(self) -> dict[str, str]:
        """The variables of the container that have a value of their own."""
        variables = self.container["env"]
        names = [each["name"] for each in variables]
        assert len(names) == len(set(names)), "a variable is set twice"
        return {each["name"]: each["value"] for each in variables if "value" in each}


def templates(
    values: Mapping[str, Any] | None = None, name: str = "crime-65", namespace: str = "models"
) -> dict[str, str]:
    """Give the text that each template makes of these values."""
    with helm.Chart.load(CHART) as chart:
        return chart.render(dict(values or {}), name=name, namespace=namespace)


def render(values: Mapping[str, Any] | None = None, name: str = "crime-65", namespace: str = "models") -> Objects:
    """Give the objects of a release with these values, the pod of `helm test` among them."""
    texts = templates(values, name, namespace)
    parts = [text for path, text in texts.items() if path.endswith(".yaml")]
    return Objects(each for text in parts for each in yaml.safe_load_all(text) if each)
