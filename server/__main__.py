"""The console: the verbs of `brinery`, which its `--help` lists.

What a verb needs is imported when it runs, so that `--help`, `probe` and `settings` answer at once.
"""

import argparse
import os
import sys
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path

from server.errors import BrineryError, BundleError
from server.parsers import PLACE
from server.settings import Settings, given_in, options
from server.urls import Url, read_place, shown

INTERRUPTED = 130  # what shells make of Ctrl-C
DESCRIPTION = "Serve a fitted scikit-learn model: documented, validated and monitored."


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a verb; give the process's exit status: 0, or 1 for what was refused, after a line on standard error."""
    given = _parser().parse_args(arguments)
    try:
        status: int = given.run(given)
    except BundleError as error:
        for reason in error.reasons:
            sys.stderr.write(f"brinery: {reason}\n")
        return 1
    except BrineryError as error:
        sys.stderr.write(f"brinery: {error}\n")
        return 1
    except BrokenPipeError:  # whoever read us has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except KeyboardInterrupt:
        return INTERRUPTED
    return status


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="brinery", description=DESCRIPTION)
    parser.add_argument("--version", action="version", version=f"brinery {version('brinery')}")
    verbs = parser.add_subparsers(title="verbs", required=True, metavar="VERB")

    serve = verbs.add_parser(
        "serve",
        help="serve a bundle over HTTP",
        description="Serve a bundle by Gunicorn. Each option is also an environment variable, which it overrides.",
    )
    for option in options():
        text = f"{option.sentence} Expected: {option.parser.expects}. Default: {option.default or 'empty'}."
        serve.add_argument(
            option.flag, dest=option.name, metavar="VALUE", help=f"{text} [{option.variable}]".replace("%", "%%")
        )
    serve.set_defaults(run=_serve)

    check = verbs.add_parser("check", help="say what a bundle would serve, or all that is wrong with it")
    _add_bundle(check)
    check.set_defaults(run=_check)

    requirements = verbs.add_parser(
        "requirements",
        help="print the packages that a bundle was made with, for pip",
        description="Print the packages that a bundle's manifest and model say they were made with, as pip reads them. "
        "Nothing of the bundle is run.",
    )
    _add_bundle(requirements)
    requirements.set_defaults(run=_requirements)

    seal = verbs.add_parser(
        "seal",
        help="write down what a bundle is and what it answers, and sign that",
        description="Write manifest.json, which says what the bundle's files are, and golden.json, which says what the "
        "estimator answers. A server verifies both before it serves.",
    )
    seal.add_argument("bundle", metavar="BUNDLE", type=_folder, help="the folder with model.pkl")
    golden = seal.add_mutually_exclusive_group()
    golden.add_argument("--golden", metavar="ROWS_FILE", help="requests to answer: a file of JSON, JSON Lines or CSV")
    golden.add_argument(
        "--rows", metavar="N", type=_rows, help="write golden.json anew, of so many requests drawn from the signature"
    )
    seal.add_argument("--key", metavar="FILE", type=Path, help="an Ed25519 private key in PEM, to sign the manifest")
    seal.add_argument(
        "--allow",
        metavar="GLOBAL",
        action="append",
        default=[],
        help="let the pickles name this global too; counts only under a trusted signature; may be repeated",
    )
    seal.set_defaults(run=_seal)

    predict = verbs.add_parser(
        "predict",
        help="answer the rows of a file",
        description="Answer the rows of a file, in their order. A row that the schema refuses gets its problem in the "
        "place of a result, and makes the exit status 1.",
    )
    _add_bundle(predict)
    predict.add_argument("file", metavar="FILE", help="a file of JSON, JSON Lines or CSV; - is standard input")
    predict.add_argument("--out", metavar="FILE", default="-", help="where to write; standard output by default")
    formats = ("json", "jsonl", "csv")
    predict.add_argument("--from", dest="source_format", choices=formats, help="the file's format, if not by its name")
    predict.add_argument("--to", dest="target_format", choices=formats, help="the answers' format; as the file's")
    predict.set_defaults(run=_predict)

    openapi = verbs.add_parser("openapi", help="print a bundle's OpenAPI document")
    _add_bundle(openapi)
    openapi.add_argument("--swagger", action="store_true", help="as Swagger 2.0, for older tools")
    openapi.set_defaults(run=_openapi)

    postman = verbs.add_parser(
        "postman",
        help="print a bundle's requests as a Postman collection",
        description="Print a collection with ready requests for Postman, made of the examples that the bundle has.",
    )
    _add_bundle(postman)
    postman.add_argument("--host", metavar="URL", help="where the server is; by default on this machine [BRINERY_PORT]")
    postman.set_defaults(run=_postman)

    probe = verbs.add_parser(
        "probe",
        help="ask a server whether it is ready, or to predict",
        description="Ask a server whether it is ready; the exit status is 1 if it is not.",
    )
    probe.add_argument("url", metavar="URL", nargs="?", help="its address; that of the settings on this machine")
    probe.add_argument("--predict", action="store_true", help="send the example of its document, and check the answer")
    probe.add_argument("--key-file", metavar="FILE", type=Path, help="a file with an API key, for --predict")
    probe.set_defaults(run=_probe)

    reload = verbs.add_parser(
        "reload",
        help="let a server on this machine serve what stands in its bundle's folder now",
        description="Asks the server (SIGHUP), waits, and says how it ended: a bundle that cannot be served leaves the "
        "model before it, which makes the exit status 1.",
    )
    reload.add_argument("--port", type=int, metavar="PORT", help="the port that it listens on [BRINERY_PORT]")
    reload.add_argument("--timeout", type=float, default=300.0, metavar="SECONDS", help="how long to wait; 300")
    reload.set_defaults(run=_reload)

    key = verbs.add_parser(
        "key",
        help="make an API key",
        description="Make an API key: the key itself for the caller, and a line with its hash for the server.",
    )
    key.add_argument("name", metavar="NAME", help="a name for it, which the log will show")
    key.add_argument("--scopes", default="", help="what it is for, such as predict,info; everything by default")
    key.add_argument("--rate", default="", help="a rate of its own, such as 100/s, in the place of BRINERY_RATE_LIMIT")
    key.set_defaults(run=_key)

    settings = verbs.add_parser("settings", help="print every setting with its meaning and current value")
    settings.add_argument("--markdown", action="store_true", help="as the reference page, without current values")
    settings.set_defaults(run=_settings)
    return parser


def _add_bundle(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "bundle", metavar="BUNDLE", type=_place, help="the folder with model.pkl, an archive of it, or its URL"
    )


def _place(text: str) -> Path | Url:
    try:
        return read_place(text)
    except ValueError:
        msg = f"{shown(text)!r} is not {PLACE.expects}".replace("`", "")
        raise argparse.ArgumentTypeError(msg) from None


def _folder(text: str) -> Path:
    place = _place(text)
    if not isinstance(place, Path) or not place.is_dir():
        msg = f"{shown(text)!r} is no folder of this machine; seal writes into the bundle, and takes its folder"
        raise argparse.ArgumentTypeError(msg)
    return place


def _rows(text: str) -> int:
    if not text.isdecimal() or not 1 <= int(text) <= 1_000:
        msg = f"{text!r} is not a whole number from 1 to 1000"
        raise argparse.ArgumentTypeError(msg)
    return int(text)


def _serve(given: argparse.Namespace) -> int:
    from server.console.serve import serve

    serve({option.name: value for option in options() if (value := getattr(given, option.name)) is not None})


def _check(given: argparse.Namespace) -> int:
    from server.console.check import check

    print(check(given.bundle, Settings.from_environ(os.environ)))
    return 0


def _requirements(given: argparse.Namespace) -> int:
    from server.console.requirements import requirements

    print(requirements(given.bundle, Settings.from_environ(os.environ)), end="")
    return 0


def _seal(given: argparse.Namespace) -> int:
    from server.console.seal import seal

    settings = Settings.from_environ(os.environ)
    said = seal(given.bundle, settings, rows_file=given.golden, rows=given.rows, key=given.key, allow=given.allow)
    print(said, end="")
    return 0


def _predict(given: argparse.Namespace) -> int:
    from server.console.batch import format_of, predict_paths

    source_format = given.source_format or format_of(given.file)
    target_format = given.target_format or (format_of(given.out) if given.out != "-" else source_format)
    answered, refused = predict_paths(
        given.bundle, Settings.from_environ(os.environ), (given.file, source_format), (given.out, target_format)
    )
    if refused:
        sys.stderr.write(f"brinery: {refused} of {answered + refused} rows were refused.\n")
    return 1 if refused else 0


def _openapi(given: argparse.Namespace) -> int:
    from server.console.documents import document

    print(document(given.bundle, Settings.from_environ(os.environ), swagger=given.swagger))
    return 0


def _postman(given: argparse.Namespace) -> int:
    from server.console.documents import postman_collection

    print(postman_collection(given.bundle, Settings.from_environ(os.environ), host=given.host))
    return 0


def _probe(given: argparse.Namespace) -> int:
    from server.console.probe import probe

    settings = Settings.from_environ(os.environ)
    print(probe(given.url, settings, predict=given.predict, key_file=given.key_file))
    return 0


def _reload(given: argparse.Namespace) -> int:
    from server.console.reload import reload

    print(reload(given.port or Settings.from_environ(os.environ).port, seconds=given.timeout))
    return 0


def _key(given: argparse.Namespace) -> int:
    from server.console.key import key_lines

    print(key_lines(given.name, given.scopes, given.rate), end="")
    return 0


def _settings(given: argparse.Namespace) -> int:
    from server.console.reference import settings_lines, settings_page

    if given.markdown:
        print(settings_page(), end="")
    else:
        print(settings_lines(Settings.from_environ(os.environ), given_in(os.environ)), end="")
    return 0


if __name__ == "__main__":
    sys.exit(main())
