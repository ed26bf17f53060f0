"""Chart, image and settings agree."""

import re

import pytest
import yaml

from server.options import PREFIX
from server.settings import Settings, options
from server.urls import SCHEMES
from tests.chart.cases import CASES, EGRESS
from tests.chart.rendering import CHART, ROOT, render

DOCKERFILE = (ROOT / "Dockerfile").read_text(encoding="utf-8")
KNOWN = {option.variable: option for option in options()}
INSTRUCTIONS = re.sub(r"\\\n\s*", " ", re.sub(r"^\s*#.*\n", "", DOCKERFILE, flags=re.MULTILINE))


def instruction(name: str) -> str:
    """Give what the last instruction of a kind says, in the image's last stage."""
    found: list[str] = re.findall(rf"^{name}\s+(.+)$", INSTRUCTIONS, re.MULTILINE)
    return found[-1].strip()


def test_the_image_runs_as_the_chart_says() -> None:
    """User, group, port and folder of the bundle are those of the image."""
    objects = render()
    assert instruction("USER") == "${UID}:${UID}"
    assert f"ARG UID={objects.pod['spec']['securityContext']['runAsUser']}\n" in DOCKERFILE
    context = objects.pod["spec"]["securityContext"]
    assert context["runAsUser"] == context["runAsGroup"] == context["fsGroup"] == 10001
    assert instruction("EXPOSE") == str(objects.container["ports"][0]["containerPort"])
    assert f"{instruction('WORKDIR')}{Settings().bundle}" == objects.environ["BRINERY_BUNDLE"]


def test_the_image_starts_what_the_chart_expects() -> None:
    """The chart names no command: the image serves, and its first argument is a verb of the console."""
    container = render().container
    assert "command" not in container
    assert "args" not in container
    assert instruction("ENTRYPOINT") == '["brinery"]'
    assert instruction("CMD") == '["serve"]'
    assert instruction("STOPSIGNAL") == "SIGTERM"


def test_the_settings_are_those_of_the_server() -> None:
    """Port and stop are the server's defaults, and what the chart names besides is a setting that takes the value."""
    objects, defaults = render(), Settings()
    assert objects.container["ports"][0]["containerPort"] == defaults.port
    assert objects.environ["BRINERY_GRACEFUL_TIMEOUT"] == str(int(defaults.graceful_timeout))
    for values in CASES.values():
        ours = {name: text for name, text in render(values).environ.items() if name.startswith(PREFIX)}
        for name, text in ours.items():
            KNOWN[name].parse(text, source=name)


@pytest.mark.parametrize("case", ["keys", "tokens", "signed", "tls-for-clients-with-certificates", "a-fetched-bundle"])
def test_the_server_starts_with_what_the_chart_sets(case: str) -> None:
    """What the chart sets makes sense to the server together, too."""
    Settings.from_environ({name: text for name, text in render(CASES[case]).environ.items() if name.startswith(PREFIX)})


@pytest.mark.parametrize("scheme", SCHEMES)
def test_every_place_can_be_named(scheme: str) -> None:
    """The chart takes an address of each kind that the server fetches from."""
    url = f"{scheme}:/crime/1" if scheme == "models" else f"{scheme}://store/crime"
    objects = render({"bundle": {"url": url}, "networkPolicy": {"egress": EGRESS}})
    assert objects.environ["BRINERY_BUNDLE"] == url


def test_versions_agree() -> None:
    """Chart and application are released together, as one version."""
    chart = yaml.safe_load((CHART / "Chart.yaml").read_text(encoding="utf-8"))
    declared = re.search(r"^version = (.+)$", (ROOT / "setup.cfg").read_text(encoding="utf-8"), re.MULTILINE)
    assert declared is not None
    assert chart["version"] == chart["appVersion"] == declared[1]
