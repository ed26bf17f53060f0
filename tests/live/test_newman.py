"""The Postman collection that testers run against any deployment passes on live servers of different models."""

import hashlib
import json
import os
import re
import runpy
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.cluster import KMeans
from sklearn.compose import make_column_transformer
from sklearn.ensemble import IsolationForest
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.multioutput import MultiOutputClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder
from sklearn.tree import DecisionTreeClassifier

from tests.live import newman
from tests.live.bundles import write_bundle
from tests.live.certificates import Authority
from tests.live.running import BIN, REPOSITORY, Server, bundle_of, environ_with
from tests.live.secure import SecureServer

pytestmark = pytest.mark.live

KEY = "brn_for-the-tester-and-much-more-that-nobody-guesses"
ENTRY = f"tester sha256:{hashlib.sha256(KEY.encode()).hexdigest()}"
# By both fronts where the model is the default one: what is said of another does not depend on the front.
OTHERS_SERVED = [("wsgi", "crime"), ("asgi", "adult"), ("asgi", "titanic"), ("asgi", "wine"), ("asgi", "reviews")]
SERVED = [("asgi", "crime"), *(pytest.param(*each, marks=pytest.mark.slow) for each in OTHERS_SERVED)]


def test_the_collection_is_current() -> None:
    """The collection is what postman/build.py writes of its sources and of the table of cases."""
    done = subprocess.run([sys.executable, newman.POSTMAN / "build.py", "--check"], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(("front", "name"), SERVED, indirect=["front"])
def test_models(front: str, name: str, serving: Callable[[str], Server]) -> None:
    """Every check of the collection holds for a committed model, and each stands in the report by its name."""
    ran = newman.run(serving(name).url)
    ran.check()
    fields = json.loads(serving(name).request("GET", "/api/predict/params").body)
    for field in fields:
        assert any(test.startswith(f"{field}: missing is ") for _, test in ran.tests)
    assert {request for request, _ in ran.tests} >= {newman.TABLE, "not JSON", "metrics, afterwards"}


@pytest.mark.slow
def test_the_whole_table(crime: Server) -> None:
    """Each case of the table that can be sent by Newman has the answer that the table allows."""
    cases = runpy.run_path(str(newman.POSTMAN / "build.py"))["cases"]
    table = cases((REPOSITORY / "tests" / "cases" / "requests.jsonl").read_text(encoding="utf-8").splitlines())
    assert len(table) > 500
    ran = newman.run(crime.url, "--folder", "What is served", "--folder", "What is refused", cases=json.dumps(table))
    ran.check()
    assert {(newman.TABLE, case["name"]) for case in table} <= set(ran.tests)


@pytest.mark.parametrize(("front", "name"), SERVED, indirect=["front"])
def test_the_collection_of_one_model(front: str, name: str, serving: Callable[[str], Server], tmp_path: Path) -> None:
    """`brinery postman` prints a collection whose requests the server answers."""
    server, file = serving(name), tmp_path / "collection.json"
    command = [str(BIN / "brinery"), "postman", str(bundle_of(name)), "--host", server.url]
    file.write_bytes(subprocess.run(command, capture_output=True, check=True, env=environ_with({})).stdout)
    ran = newman.run(server.url, collection=file)
    ran.check()
    assert ("one row", "it is answered") in ran.tests


def test_slashes_at_the_end_of_the_address(crime: Server) -> None:
    """An address may end with a slash."""
    newman.run(f"{crime.url}//", "--folder", "What is served").check()


@pytest.mark.parametrize("host", ["127.0.0.1:8742", "http://", "ftp://127.0.0.1"])
def test_make_newman_wants_an_address(host: str) -> None:
    """`make newman` asks nobody before HOST has a scheme, and says so."""
    command = ["make", "-C", str(REPOSITORY), "newman", f"HOST={host}"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert f"HOST is {host}. Expected an address with http:// or https://" in done.stderr
    assert done.returncode != 0


@pytest.mark.slow
def test_make_newman() -> None:
    """`make newman` writes both reports; a key stands in neither, and its exit status is Newman's.

    The page names the deployment, and loads nothing, for clusters and their testers may have no network.
    """
    newman.need()
    reports = newman.POSTMAN / "reports"
    given: dict[str, Any] = {"auth": "predict,info,metrics", "api_keys": ENTRY}
    with Server(bundle=bundle_of("wine"), **given) as server:
        command = ["make", "-C", str(REPOSITORY), "newman", f"HOST={server.url}"]
        # Not those of a `make` that may run this test.
        environ = {name: value for name, value in os.environ.items() if name not in ("MAKEFLAGS", "ARGS")}
        good = subprocess.run([*command, f"KEY={KEY}"], capture_output=True, text=True, check=False, env=environ)
        assert good.returncode == 0, good.stdout + good.stderr
        written = good.stdout + (reports / "newman.xml").read_text() + (reports / "newman.html").read_text()
        assert "alcalinity_of_ash: missing is refused" in written
        assert KEY not in written
        page = (reports / "newman.html").read_text()
        assert f"<code>{server.url}</code>" in page
        assert not re.search(r"<(script|link|img|iframe)|@import|url\(", page)
        bad = subprocess.run(command, capture_output=True, text=True, check=False, env=environ)
        assert bad.returncode != 0
        assert "the deployment can be tested" in (reports / "newman.html").read_text()


FRAME = pd.DataFrame(
    {"what/ever~": ["red", "green", "blue", "red"] * 5, "n": np.arange(20.0), "big?": [True, False] * 10}
)
NAMES = np.where(FRAME["n"] > 9, "späť", "früh")
COLOURS = make_column_transformer((OneHotEncoder(handle_unknown="ignore"), ["what/ever~"]), remainder="passthrough")
TARGETS = np.column_stack([np.arange(20) % 2, np.arange(20) % 3])
OTHERS: dict[str, Callable[[], Any]] = {
    "pipeline": lambda: make_pipeline(COLOURS, LogisticRegression()).fit(FRAME, NAMES),
    "clusterer": lambda: KMeans(3, random_state=0, n_init=1).fit(FRAME[["n"]]),
    "outliers": lambda: IsolationForest(n_estimators=5, random_state=0).fit(FRAME[["n"]]),
    "regressor": lambda: LinearRegression().fit(FRAME[["n"]], FRAME["n"] * 3),
    "numbers": lambda: LinearRegression().fit(FRAME[["n"]], TARGETS),
    "outputs": lambda: MultiOutputClassifier(LogisticRegression()).fit(FRAME[["n"]], TARGETS),
    "multilabel": lambda: DecisionTreeClassifier(random_state=0).fit(FRAME[["n"]], TARGETS == 0),
    "nameless": lambda: DecisionTreeClassifier(random_state=0).fit(TARGETS, TARGETS[:, 0] == 1),
}


@pytest.mark.slow
@pytest.mark.parametrize("kind", OTHERS)
def test_kinds_of_models(kind: str, tmp_path: Path) -> None:
    """The collection judges every kind of answer, without a lookup, and with names that need escapes."""
    with Server(bundle=write_bundle(tmp_path / kind, OTHERS[kind]())) as server:
        ran = newman.run(server.url, skip=[newman.TABLE, "limits"])
        ran.check()
        assert {newman.TABLE, "limits"} & {request for request, _ in ran.tests} == set()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "given"),
    [
        pytest.param("crime", {"unknown_fields": "ignore"}, id="unknown fields"),
        pytest.param("adult", {"unknown_labels": "accept"}, id="unknown labels"),
        pytest.param("crime", {"max_rows": 7, "max_body_bytes": 10_000, "workers": 2}, id="limits"),
        pytest.param("wine", {"engine": "pickle", "cors_origins": "*"}, id="pickle"),
    ],
)
def test_settings(name: str, given: dict[str, Any]) -> None:
    """The collection expects what the deployment publishes of its settings."""
    with Server(bundle=bundle_of(name), **given) as server:
        limits = {"max_body_bytes": given["max_body_bytes"]} if "max_body_bytes" in given else {}
        newman.run(server.url, **limits).check()


@pytest.mark.slow
@pytest.mark.parametrize("place", ["/crime-65", ""])
def test_a_path_with_a_key_behind_tls(place: str, front: str, tmp_path: Path) -> None:
    """The collection passes with a path, TLS and a key, and tries what happens without one."""
    authority = Authority(tmp_path)
    given: dict[str, Any] = {
        "auth": "predict,info,metrics",
        "api_keys": ENTRY,
        "front": front,
        "root_path": "/crime-65",
    }
    with SecureServer(authority, **given) as server:
        url = f"https://localhost:{server.port}{place}"
        trusted = newman.run(url, "--ssl-extra-ca-certs", str(authority.ca), api_key=KEY)
        trusted.check()
        refused = {test for request, test in trusted.tests if request == "without a key"}
        assert {"POST /api/predict with no key is refused", "GET /metrics with a wrong key is refused"} <= refused
        some = ("--insecure", "--folder", "What is served")
        newman.run(url, *some, api_key=KEY).check()
        assert newman.run(url, *some).failures
