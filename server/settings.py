"""One frozen, typed `Settings`; the only module that reads the environment.

Each field has a default, a parser and a sentence; the reference page, the console's options and the error
messages are made from them.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal, Self

from server.cpus import available_cpus
from server.errors import SettingError
from server.options import PREFIX, Option, is_service_link, options_of, setting
from server.parsers import (
    BOOLEAN,
    DIGEST,
    FILE,
    FOLDER,
    FREE,
    GLOBALS,
    HOST,
    JWKS,
    KEYS,
    OPTIONAL_PORT,
    ORIGINS,
    PATHS,
    PLACE,
    RATE,
    ROOT_PATH,
    ROUTE,
    choice,
    integer,
    seconds,
    some_of,
)
from server.platforms import ARTIFACTS, Given, given_by_platforms
from server.rates import Rate
from server.urls import Url

# What a caller may be let in for; the probes under /api/health are open to everybody.
SCOPES: Final = ("predict", "info", "metrics")

# Those that other servers' clients speak: Open Inference Protocol v2, KServe v1, MLflow's and SageMaker's, ...
PROTOCOLS: Final = ("oip", "kserve", "mlflow", "azureml", "vertex")


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """Everything that can be set, each field from the environment variable `BRINERY_` + its name in capitals."""

    bundle: Path | Url = setting(
        Path("pickles"), PLACE, "The bundle that is served: a folder or an archive, here or where a URL names it."
    )
    bundle_digest: str = setting(
        "", DIGEST, "Digest that the bundle must have, as `brinery check` prints it; another one is not loaded."
    )
    bundle_cache: Path | None = setting(
        None,
        FOLDER,
        "Folder in which bundles that were fetched are kept, those whose digest is set; empty: one of this user's "
        "among the temporary files.",
    )
    fetch_timeout: float = setting(
        120.0, seconds(1), "Seconds in which a bundle must have been fetched and unpacked, all attempts together."
    )
    fetch_attempts: int = setting(
        4, integer(1, 100), "How often a fetch is tried, with growing pauses between, where trying again may help."
    )
    host: str = setting("0.0.0.0", HOST, "Address to listen on.")  # noqa: S104  # a container listens on all
    port: int = setting(8000, integer(1, 65_535), "Port to listen on.")
    workers: int = setting(
        available_cpus, integer(1, 1024), "Worker processes.", shown="the CPU quota of the cgroup, rounded up"
    )
    threads: int = setting(4, integer(1, 1024), "Threads of a worker's pool.")
    front: Literal["asgi", "wsgi"] = setting(
        "asgi",
        choice("asgi", "wsgi"),
        "Which front `brinery serve` starts: `asgi`, on an event loop, or `wsgi`, the Flask application on threads.",
    )
    root_path: str = setting(
        "",
        ROOT_PATH,
        "Path under which a proxy publishes us; documents, pages and links follow it. Requests may come with it or "
        "without it.",
    )
    max_body_bytes: int = setting(
        1_048_576, integer(1), "Most bytes of a request's body; a longer one is refused with 413."
    )
    max_rows: int = setting(10_000, integer(1), "Most rows of a batch; a longer one is refused with 413.")
    unknown_fields: Literal["refuse", "ignore"] = setting(
        "refuse", choice("refuse", "ignore"), "What happens to fields that the signature does not name."
    )
    unknown_labels: Literal["refuse", "accept"] = setting(
        "refuse",
        choice("refuse", "accept"),
        "What happens to labels that were not seen in training; `accept` has an effect only where the fitted encoder "
        "itself takes unknown categories, and the schema says so.",
    )
    version_mismatch: Literal["refuse", "warn"] = setting(
        "refuse",
        choice("refuse", "warn"),
        "What happens to a model that was pickled by another minor release of scikit-learn.",
    )
    allowed_globals: tuple[str, ...] = setting(
        (),
        GLOBALS,
        "Classes and functions that the model may use beside those that are listed, exact names such as "
        "`package.module.Name` separated by commas. Loading the model may run them.",
    )
    max_model_bytes: int = setting(
        4 * 1024**3, integer(1), "Most bytes of the model, once it is decompressed; a larger one is not loaded."
    )
    manifest: Literal["optional", "required", "signed"] = setting(
        "optional",
        choice("optional", "required", "signed"),
        "Whether a bundle must be sealed: `optional` verifies a manifest where there is one, `required` wants one, "
        "`signed` wants one that a trusted key has signed.",
    )
    trusted_keys: tuple[Path, ...] = setting(
        (), PATHS, "Files with the Ed25519 public keys, in PEM, whose signatures under a manifest are trusted."
    )
    protocols: tuple[str, ...] = setting(
        PROTOCOLS,
        some_of(*PROTOCOLS),
        "Protocols of other servers that are spoken beside our own: the Open Inference Protocol v2, KServe v1, that of "
        "MLflow and SageMaker, Azure ML's and Vertex AI's.",
    )
    grpc_port: int | None = setting(
        None,
        OPTIONAL_PORT,
        "Port on which the Open Inference Protocol is spoken over gRPC, by all workers; empty: on none. Needs "
        "`brinery[grpc]`.",
    )
    predictions: Literal["predict", "predict_proba"] = setting(
        "predict",
        choice("predict", "predict_proba"),
        "What the protocols give that have one value for each row: the prediction, or the probabilities in the order "
        "of the labels where the model has them.",
    )
    vertex_predict_route: str = setting(
        "", ROUTE, "Path on which Vertex AI asks for predictions, where it is spoken; empty: none."
    )
    vertex_health_route: str = setting(
        "", ROUTE, "Path on which Vertex AI asks whether we are ready, where it is spoken; empty: none."
    )
    engine: Literal["auto", "pickle"] = setting(
        "auto", choice("auto", "pickle"), "How the model is evaluated; `pickle` uses no compiled engine."
    )
    access_log: bool = setting(True, BOOLEAN, "Write one log line per request.")
    log_level: Literal["debug", "info", "warning", "error"] = setting(
        "info", choice("debug", "info", "warning", "error"), "Least level of the log lines that are written."
    )
    log_format: Literal["json", "console"] = setting(
        "json", choice("json", "console"), "Form of the log lines: `json` for machines, `console` for people."
    )
    cors_origins: tuple[str, ...] = setting(
        (), ORIGINS, "Origins whose pages may call us (CORS), separated by commas, or `*` for all."
    )
    deadline: float = setting(
        30.0,
        seconds(0.001),
        "Seconds that a request may take once it has come in; then it is answered with 504. A caller may shorten his "
        "own by the header `X-Request-Timeout`.",
    )
    max_queue_requests: int = setting(
        64,
        integer(0),
        "Most predictions of a worker that wait for a thread, beside those that are being made; more are refused with "
        "503.",
    )
    max_queue_rows: int = setting(
        10_000,
        integer(1),
        "Most rows of the predictions that wait; more are refused with 503. One prediction may always wait alone.",
    )
    header_timeout: float = setting(
        10.0,
        seconds(1),
        "Seconds for the whole head of a request, from the connection's start or from its first byte; then 408, and "
        "the connection is closed.",
    )
    body_timeout: float = setting(
        30.0, seconds(1), "Seconds for the whole body of a request, from the end of its head; then 408."
    )
    idle_timeout: float = setting(
        75.0,
        seconds(1),
        "Seconds that a connection is kept between two requests; longer than the proxy before us keeps it.",
    )
    write_timeout: float = setting(
        30.0, seconds(1), "Seconds that a caller has to read a long answer; then the connection is broken off."
    )
    max_connections: int = setting(
        10_000,
        integer(1),
        "Most connections of a worker, fewer where the limit of open files is lower; more are refused with 503.",
    )
    max_header_bytes: int = setting(
        65_536, integer(1_024), "Most bytes of all headers of a request; longer ones are refused with 431."
    )
    max_buffered_bytes: int = setting(
        268_435_456,
        integer(1),
        "Most bytes of requests that a worker holds while they still come in, or wait behind others of one connection, "
        "at least one of the largest size; whoever sends more is refused with 503.",
    )
    graceful_timeout: float = setting(
        25.0, seconds(0), "Seconds that requests in flight have to end when the server stops."
    )
    drain_delay: float = setting(
        0.0, seconds(0), "Seconds that we go on answering, not ready, before we stop listening."
    )
    max_requests: int = setting(
        0, integer(0), "Requests after which a worker is replaced by a fresh one, against memory that grows; 0: never."
    )
    max_requests_jitter: int = setting(
        0, integer(0), "Up to so many requests more, at random for each worker, so that not all are replaced at once."
    )
    max_crashes: int = setting(
        5,
        integer(1),
        "Crashes of workers within a minute after which the server is not ready, until they are fewer again.",
    )
    trial_timeout: float = setting(
        120.0,
        seconds(1),
        "Seconds in which a model must have been loaded and tried, by a process of its own.",
    )
    trial_memory: int = setting(
        0, integer(0), "Bytes of memory that the process which tries a model may take; 0: what is free."
    )
    auth: tuple[str, ...] = setting(
        (), some_of(*SCOPES), "What needs credentials: predictions, what tells about the model, the metrics."
    )
    api_keys_file: Path | None = setting(None, FILE, "File of API keys, hashed: a line `NAME sha256:HEX` for each.")
    api_keys: str = setting("", KEYS, "API keys, hashed, beside those of the file.")
    jwt_jwks: str = setting("", JWKS, "Public keys (a JWK set) by whose owner JSON Web Tokens must be signed.")
    jwt_issuer: str = setting("", FREE, "Issuer (`iss`) that a token must name.")
    jwt_audience: str = setting("", FREE, "Audience (`aud`) that a token must name.")
    jwt_scopes: tuple[str, ...] = setting(
        ("predict",), some_of(*SCOPES), "What a token is good for that names no scope of ours, such as `brinery:info`."
    )
    rate_limit: Rate | None = setting(
        None, RATE, "Requests that each API key, or each subject of tokens, may send; more are refused with 429."
    )
    tls_certificate: Path | None = setting(
        None, FILE, "File of the certificate, and those that lead to its root, by which we speak TLS."
    )
    tls_key: Path | None = setting(None, FILE, "File of the certificate's private key, without a passphrase.")
    tls_client_ca: Path | None = setting(
        None, FILE, "File of the certificates of those who sign our clients' own; then only such clients may connect."
    )

    @classmethod
    def from_environ(cls, environ: Mapping[str, str], *, artifacts: Path = ARTIFACTS) -> Self:
        """Read the settings from `environ`; `artifacts` is the folder that says that SageMaker runs us.

        Raises `SettingError` for a value that cannot be used and for a variable with our prefix that we do not know.
        """
        known = {option.name: option for option in options()}
        values: dict[str, object] = {
            name: known[name].parse(given.text, source=given.source)
            for name, given in given_in(environ, artifacts=artifacts).items()
        }
        settings = cls(**values)  # type: ignore[arg-type]  # each value comes from its own field's parser
        settings.check_together()
        return settings

    def check_together(self) -> None:
        """Raise `SettingError` for settings that make no sense without each other."""
        keys, tokens = self.api_keys_file is not None or bool(self.api_keys), bool(self.jwt_jwks)
        for wrong, said in (
            (
                self.auth and not keys and not tokens,
                "#AUTH needs callers to let in: set #API_KEYS_FILE, #API_KEYS or #JWT_JWKS",
            ),
            ((keys or tokens) and not self.auth, "API keys and tokens protect nothing without scopes: set #AUTH"),
            (self.rate_limit and not self.auth, "#RATE_LIMIT is one of callers who are known: set #AUTH"),
            (
                tokens and not (self.jwt_issuer and self.jwt_audience),
                "#JWT_JWKS alone would accept tokens that were made for others: set #JWT_ISSUER and #JWT_AUDIENCE",
            ),
            (self.tls_certificate and not self.tls_key, "#TLS_CERTIFICATE is of no use without its key: set #TLS_KEY"),
            (
                self.tls_key and not self.tls_certificate,
                "#TLS_KEY is of no use without its certificate: set #TLS_CERTIFICATE",
            ),
            (
                self.manifest == "signed" and not self.trusted_keys,
                "#MANIFEST=signed needs a key to see who signed: set #TRUSTED_KEYS",
            ),
            (self.tls_client_ca and not self.tls_certificate, "#TLS_CLIENT_CA needs #TLS_CERTIFICATE and #TLS_KEY"),
            (
                self.vertex_predict_route and self.vertex_predict_route == self.vertex_health_route,
                "#VERTEX_PREDICT_ROUTE and #VERTEX_HEALTH_ROUTE (AIP_... on Vertex AI) are the same path: give two",
            ),
            (
                self.grpc_port is not None and "oip" not in self.protocols,
                "#GRPC_PORT is for the Open Inference Protocol: name `oip` in #PROTOCOLS",
            ),
            (self.grpc_port == self.port, "#GRPC_PORT must be another port than #PORT"),
        ):
            if wrong:
                raise SettingError(f"{said.replace('#', PREFIX)}.")


def given_in(environ: Mapping[str, str], *, artifacts: Path = ARTIFACTS) -> dict[str, Given]:
    """Give the texts of the settings, by their names, that are set: our own variables go before the platforms'.

    Raises `SettingError` for a variable with our prefix that we do not know.
    """
    known = {option.variable: option for option in options()}
    given = given_by_platforms(environ, artifacts)
    for variable in sorted(environ):
        if not variable.startswith(PREFIX) or is_service_link(variable, environ[variable]):
            continue
        if variable not in known:
            msg = f"{variable} is not a setting; `brinery settings` lists them all."
            raise SettingError(msg)
        given[known[variable].name] = Given(environ[variable], variable)
    return given


def options() -> list[Option]:
    """Give every setting in the order of the reference page."""
    return options_of(Settings)
