"""The console's verbs as processes, the way people and scripts use them."""

import contextlib
import csv
import io
import json
import os
import pty
import random
import select
import signal
import subprocess
import termios
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.live.bundles import small_classifier, write_bundle
from tests.live.running import BIN, PATIENCE, REPOSITORY, Server, bundle_of, environ_with

pytestmark = pytest.mark.live

CRIME, TITANIC, ADULT = bundle_of("crime"), bundle_of("titanic"), bundle_of("adult")
THEFT = {"force": "Thames Valley Police", "crime": "Bicycle theft", "month": 10}
DRUGS = {"force": "City of London Police", "crime": "Drugs", "month": 1}
NOBODY = THEFT | {"force": "Sherlock Holmes"}
VERBS = ("serve", "check", "predict", "openapi", "settings")


@pytest.fixture(scope="module")
def crime() -> Iterator[Server]:
    """Serve the default bundle, to compare with."""
    with Server() as server:
        yield server


def brinery(*arguments: str | Path, stdin: str = "", **settings: object) -> subprocess.CompletedProcess[str]:
    """Run the console script to its end."""
    return subprocess.run(
        [BIN / "brinery", *arguments],
        input=stdin,
        env=environ_with(settings),
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        check=False,
    )


def answered(*arguments: str | Path, stdin: str = "", **settings: object) -> str:
    """Run the console script, see that all was well, and give what it wrote."""
    done = brinery(*arguments, stdin=stdin, **settings)
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout


def refused(*arguments: str | Path, stdin: str = "", status: int = 1, **settings: object) -> list[str]:
    """Run the console script, see that it refused without a traceback, and give the lines of standard error."""
    done = brinery(*arguments, stdin=stdin, **settings)
    assert done.returncode == status
    assert "Traceback" not in done.stdout + done.stderr
    return done.stderr.splitlines()


def served(server: Server, rows: object, **headers: str) -> Any:
    """Give what the server answers."""
    return server.request("POST", "/api/predict", rows, headers).json


def test_help() -> None:
    """`--help` names every verb, and each verb's own help says what it takes."""
    text = answered("--help")
    assert all(f"\n    {verb} " in text for verb in VERBS)
    for verb in VERBS:
        assert f"usage: brinery {verb}" in answered(verb, "--help")


def test_help_of_serve() -> None:
    """The help of `serve` has every setting as an option, with its variable."""
    text = answered("serve", "--help")
    variables = [line.partition("=")[0] for line in answered("settings").splitlines() if line.startswith("BRINERY_")]
    assert len(variables) > 15
    for variable in variables:
        assert f"[{variable}]" in text.replace("\n", "")
        assert f"--{variable.removeprefix('BRINERY_').lower().replace('_', '-')} VALUE" in text


def test_version() -> None:
    """`--version` says what is installed."""
    assert answered("--version").startswith("brinery ")


@pytest.mark.parametrize("arguments", [(), ("bake",), ("predict",), ("serve", "--oven", "hot")], ids=" ".join)
def test_wrong_usage(arguments: tuple[str, ...]) -> None:
    """What the console does not understand ends with the usage and status 2."""
    assert refused(*arguments, status=2)[0].startswith("usage: brinery")


def test_check() -> None:
    """`check` says what would be served, with a request and the model's answer."""
    text = answered("check", CRIME)
    for part in (
        "crime, version 1",
        "RandomForestClassifier",
        "sha256:",
        "model.pkl",
        "notCaughtProb",
        "month",
        "force",
    ):
        assert part in text
    assert json.dumps(THEFT, separators=(",", ":")) in text or '"Bicycle theft"' in text
    assert text.endswith("It can be served.\n")


def test_check_tells_all_that_is_wrong(tmp_path: Path) -> None:
    """`check` tells everything that is wrong, a line each, and ends with status 1."""
    folder = write_bundle(tmp_path / "bundle", small_classifier(), lookup=["x0"])
    (folder / "metadata.json").write_text('{"name": 7}')
    lines = refused("check", folder)
    assert len(lines) == 2
    assert all(line.startswith("brinery: ") for line in lines)
    assert any("metadata.json" in line for line in lines)
    assert any("lookup.pkl" in line for line in lines)


def test_openapi(crime: Server) -> None:
    """`openapi` prints what the server would publish, and with `--swagger` the older form."""
    assert json.loads(answered("openapi", CRIME)) == crime.request("GET", "/openapi.json").json
    assert json.loads(answered("openapi", CRIME, "--swagger")) == crime.request("GET", "/swagger.json").json


def test_settings() -> None:
    """`settings` prints each with its current value and its meaning."""
    text = answered("settings", port=8711, unknown_fields="ignore")
    assert "BRINERY_PORT=8711\n    Port to listen on.\n" in text
    assert "BRINERY_UNKNOWN_FIELDS=ignore\n" in text


def test_settings_as_a_page() -> None:
    """`settings --markdown` is the committed reference page, whatever is set."""
    page = answered("settings", "--markdown", port=8711)
    assert page == (REPOSITORY / "docs" / "configuration.md").read_text(encoding="utf-8")


def test_settings_that_are_wrong() -> None:
    """A setting that cannot be read is refused by every verb, in one line."""
    [line] = refused("settings", port="many")
    assert "BRINERY_PORT" in line


def test_predict_one_object(crime: Server) -> None:
    """An object on standard input is answered by an object, as the server answers it."""
    assert json.loads(answered("predict", CRIME, "-", stdin=json.dumps(THEFT))) == served(crime, THEFT)


@pytest.mark.slow
def test_predict_an_array(crime: Server, tmp_path: Path) -> None:
    """An array in a file is answered by an array."""
    (tmp_path / "rows.json").write_text(json.dumps([THEFT, DRUGS]))
    assert json.loads(answered("predict", CRIME, tmp_path / "rows.json")) == served(crime, [THEFT, DRUGS])


def test_predict_json_lines(crime: Server, tmp_path: Path) -> None:
    """JSON Lines are answered line by line, into the file that is named."""
    source, target = tmp_path / "rows.jsonl", tmp_path / "answers.jsonl"
    source.write_text("\n".join([json.dumps(THEFT), "", json.dumps(DRUGS)]))
    assert answered("predict", CRIME, source, "--out", target) == ""
    assert [json.loads(line) for line in target.read_text().splitlines()] == served(crime, [THEFT, DRUGS])


def test_predict_csv(tmp_path: Path) -> None:
    """A CSV is answered by itself with the answer's columns; an empty cell is a missing value."""
    with Server(bundle=TITANIC) as server:
        row = server.request("GET", "/openapi.json").json["paths"]["/api/predict"]["post"]["requestBody"]["content"][
            "application/json"
        ]["examples"]["one row"]["value"]
        rows = [row, row | {"Age": None}]
        wanted = served(server, rows)
    with (tmp_path / "rows.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, list(row))
        writer.writeheader()
        writer.writerows(rows)
    answers = list(csv.DictReader(io.StringIO(answered("predict", TITANIC, tmp_path / "rows.csv"))))
    for answer, expected in zip(answers, wanted, strict=True):
        assert {label: float(answer[label]) for label in expected} == expected
        assert answer["error"] == ""
        assert answer["Sex"] == row["Sex"]


@pytest.mark.slow
def test_predict_from_one_format_to_another(crime: Server) -> None:
    """`--from` and `--to` name the formats where no file name does."""
    text = "month,force,crime\n10,Thames Valley Police,Bicycle theft\n"
    lines = answered("predict", CRIME, "-", "--from", "csv", "--to", "jsonl", stdin=text)
    assert json.loads(lines) == served(crime, THEFT)


def test_predict_with_a_bad_row(crime: Server) -> None:
    """A row that the schema refuses gets its problem in its place, and the exit status is 1."""
    done = brinery("predict", CRIME, "-", stdin=json.dumps([THEFT, NOBODY, DRUGS]))
    assert done.returncode == 1
    assert done.stderr == "brinery: 1 of 3 rows were refused.\n"
    good, bad, other = json.loads(done.stdout)
    assert [good, other] == served(crime, [THEFT, DRUGS])
    assert bad["type"] == "docs/errors.md#unknown-label"
    assert "Sherlock" not in done.stdout


@pytest.mark.parametrize(
    ("arguments", "text", "says"),
    [
        pytest.param((CRIME, "-"), "{", "not JSON", id="no JSON"),
        pytest.param((CRIME, "-", "--from", "jsonl"), "{}\n{", "Line 2", id="no JSON line"),
        pytest.param((CRIME, "/no/such/file"), "", "/no/such/file", id="no file", marks=pytest.mark.slow),
        pytest.param(
            (CRIME, "-", "--out", "/no/such/folder/file"),
            "{}",
            "/no/such/folder",
            id="no folder",
            marks=pytest.mark.slow,
        ),
        pytest.param(("/no/such/bundle", "-"), "{}", "/no/such/bundle", id="no bundle", marks=pytest.mark.slow),
    ],
)
def test_predict_what_cannot_be_read(arguments: tuple[str | Path, ...], text: str, says: str) -> None:
    """What cannot be read or written ends with one line and status 1."""
    [line] = refused("predict", *arguments, stdin=text)
    assert line.startswith("brinery: ")
    assert says in line


@pytest.mark.parametrize("verb", ["check", "postman", "requirements"])
def test_no_bundle(verb: str) -> None:
    """A bundle that is not there is missed by its name; the setting is told as what it is, the server's."""
    [line] = refused(verb, "/no/such/bundle")
    assert "no bundle at /no/such/bundle: expected a folder with a model.pkl" in line
    assert "name one (the server takes it from BRINERY_BUNDLE)" in line


@pytest.mark.parametrize(
    "bundle", ["https://me:secret@models.example/crime.tar.gz", "/no/such/folder", str(Path(__file__))]
)
def test_seal_wants_a_folder(bundle: str) -> None:
    """What cannot be written into is not sealed, and no password of an address is repeated."""
    done = subprocess.run([BIN / "brinery", "seal", bundle], capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "is no folder of this machine; seal writes into the bundle, and takes its folder" in done.stderr
    assert "secret" not in done.stderr


@dataclass
class LongJob:
    """A `brinery predict` that goes on for as long as it is fed."""

    process: subprocess.Popen[bytes]
    terminal: int
    answers: Path
    shown: bytes = b""

    def feed_until_shown(self, text: bytes) -> int:
        """Write rows until the terminal shows the text, which takes a second; give how many were written."""
        assert self.process.stdin is not None
        end, rows = time.monotonic() + PATIENCE, 0
        while text not in self.shown:
            assert time.monotonic() < end, self.shown
            self.process.stdin.write((json.dumps(THEFT) + "\n").encode() * 1_000)
            self.process.stdin.flush()
            rows += 1_000
            if select.select([self.terminal], [], [], 0.05)[0]:
                self.shown += os.read(self.terminal, 4096)
        return rows

    def end(self) -> int:
        """Write no more, read what it still shows, and give its exit status."""
        assert self.process.stdin is not None
        self.process.stdin.close()
        with contextlib.suppress(OSError):  # how Linux says that the other side closed its terminal
            while chunk := os.read(self.terminal, 4096):
                self.shown += chunk
        return self.process.wait(PATIENCE)


def many_rows(count: int) -> list[dict[str, Any]]:
    """Give so many valid rows, always the same ones."""
    lookup = json.loads(answered("openapi", CRIME))["components"]["schemas"]["Input"]["properties"]
    draw = random.Random(7)
    return [
        {
            "month": draw.randint(1, 12),
            "force": draw.choice(lookup["force"]["enum"]),
            "crime": draw.choice(lookup["crime"]["enum"]),
        }
        for _ in range(count)
    ]


@pytest.mark.slow
def test_predict_many_rows(crime: Server, tmp_path: Path) -> None:
    """20,000 rows, more than a request may have, are answered in order, without a bar where nobody sees it."""
    rows = many_rows(20_000)
    source, target = tmp_path / "rows.csv", tmp_path / "answers.jsonl"
    with source.open("w", newline="") as file:
        writer = csv.DictWriter(file, ["month", "force", "crime"])
        writer.writeheader()
        writer.writerows(rows)
    assert answered("predict", CRIME, source, "--out", target) == ""
    answers = [json.loads(line) for line in target.read_text().splitlines()]
    assert len(answers) == 20_000
    for start in (0, 9_900, 19_900):
        assert answers[start : start + 100] == served(crime, rows[start : start + 100])


@pytest.fixture
def interruptible() -> Iterator[None]:
    """Let programs be interrupted that we start: who runs tests in the background ignores it, and they inherit that."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.fixture
def long_job(tmp_path: Path, interruptible: None) -> Iterator[LongJob]:
    """Start a job whose rows come from us and whose progress goes to a terminal of ours."""
    terminal, theirs = pty.openpty()
    termios.tcsetwinsize(theirs, (24, 80))
    with (tmp_path / "answers").open("wb") as target:
        command: list[str | Path] = [BIN / "brinery", "predict", CRIME, "-", "--from", "jsonl"]
        process = subprocess.Popen(
            command, env=environ_with({}), cwd=REPOSITORY, stdin=subprocess.PIPE, stdout=target, stderr=theirs
        )
    os.close(theirs)
    with process:
        yield LongJob(process, terminal, tmp_path / "answers")
        process.kill()
    os.close(terminal)


def test_predict_shows_progress_on_a_terminal(long_job: LongJob) -> None:
    """A long job shows its progress where standard error is a terminal, and the answers stay clean."""
    rows = long_job.feed_until_shown(b"predict")
    assert long_job.end() == 0
    assert b" rows" in long_job.shown
    answers = long_job.answers.read_text().splitlines()
    assert len(answers) == rows
    assert {tuple(json.loads(answer)) for answer in answers} == {("notCaughtProb", "caughtProb")}


@pytest.mark.slow
def test_predict_can_be_interrupted(long_job: LongJob) -> None:
    """Ctrl-C ends a job at once, with the status that shells expect and without a traceback."""
    long_job.feed_until_shown(b"predict")
    long_job.process.send_signal(signal.SIGINT)
    assert long_job.end() == 128 + signal.SIGINT
    assert b"Traceback" not in long_job.shown


@pytest.mark.slow
def test_predict_into_a_pipe_that_closes(tmp_path: Path) -> None:
    """Who has read enough, `head` say, ends the job without a traceback."""
    source = tmp_path / "rows.jsonl"
    source.write_text((json.dumps(THEFT) + "\n") * 20_000)
    command: list[str | Path] = [BIN / "brinery", "predict", CRIME, source]
    with subprocess.Popen(
        command, env=environ_with({}), cwd=REPOSITORY, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        json.loads(process.stdout.readline())
        process.stdout.close()
        assert process.stderr.read() == ""
        assert process.wait() == 1
