"""Settings: each parser, the environment, and what a bad value says."""

import dataclasses
import re
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from server.errors import SettingError
from server.options import Option, as_text
from server.rates import Rate
from server.settings import Settings, options
from server.urls import Url

OPTIONS = {option.name: option for option in options()}

GOOD: dict[str, list[tuple[str, object]]] = {
    "bundle": [
        ("pickles", Path("pickles")),
        ("/srv/a b", Path("/srv/a b")),
        ("file:///srv/a.zip", Path("/srv/a.zip")),
        ("s3://bucket/a", Url("s3://bucket/a")),
        ("https://u:p@a.example/b?c=d", Url("https://u:p@a.example/b?c=d")),
    ],
    "bundle_digest": [("", ""), (f"sha256:{'0a' * 32}", f"sha256:{'0a' * 32}")],
    "bundle_cache": [("", None), ("/var/cache/bundles", Path("/var/cache/bundles"))],
    "fetch_timeout": [("1", 1.0), ("600", 600.0)],
    "fetch_attempts": [("1", 1), ("100", 100)],
    "host": [("127.0.0.1", "127.0.0.1"), ("::1", "::1")],
    "port": [("1", 1), ("65535", 65535), (" 80 ", 80)],
    "workers": [("1", 1), ("1024", 1024)],
    "threads": [("4", 4)],
    "front": [("wsgi", "wsgi")],
    "root_path": [("", ""), ("/", ""), ("/crime-65", "/crime-65"), ("/a/b/", "/a/b")],
    "max_body_bytes": [("1", 1), ("99999999999", 99999999999)],
    "max_rows": [("1", 1)],
    "unknown_fields": [("ignore", "ignore")],
    "unknown_labels": [("accept", "accept")],
    "version_mismatch": [("warn", "warn")],
    "protocols": [("", ()), ("mlflow, oip", ("oip", "mlflow"))],
    "predictions": [("predict_proba", "predict_proba")],
    "vertex_predict_route": [("", ""), ("/predict", "/predict"), ("/v1/a/1/b/2:predict", "/v1/a/1/b/2:predict")],
    "vertex_health_route": [("/", "/"), ("/v1/a_b/~1/", "/v1/a_b/~1/")],
    "grpc_port": [("", None), ("9000", 9000)],
    "allowed_globals": [
        ("", ()),
        ("mine.steps.Scaler", ("mine.steps.Scaler",)),
        (" a.B , c.d._E1,", ("a.B", "c.d._E1")),
    ],
    "max_model_bytes": [("1", 1)],
    "manifest": [("required", "required")],
    "trusted_keys": [("", ()), ("/etc/a.pem, b.pem", (Path("/etc/a.pem"), Path("b.pem")))],
    "engine": [("pickle", "pickle")],
    "access_log": [("true", True), ("1", True), ("YES", True), ("False", False), ("0", False), ("no", False)],
    "log_level": [("debug", "debug"), ("error", "error")],
    "log_format": [("console", "console")],
    "cors_origins": [
        ("", ()),
        ("*", ("*",)),
        ("https://a.example, http://localhost:80", ("https://a.example", "http://localhost:80")),
    ],
    "deadline": [("0.5", 0.5), ("86400", 86400.0)],
    "max_queue_requests": [("0", 0), ("1000", 1000)],
    "max_queue_rows": [("1", 1)],
    "header_timeout": [("1", 1.0), ("2.5", 2.5)],
    "body_timeout": [("1", 1.0)],
    "idle_timeout": [("1", 1.0)],
    "write_timeout": [("1", 1.0)],
    "max_connections": [("1", 1)],
    "max_header_bytes": [("1024", 1024)],
    "max_buffered_bytes": [("1", 1)],
    "graceful_timeout": [("0", 0.0), ("1e1", 10.0)],
    "drain_delay": [("2.5", 2.5)],
    "max_requests": [("0", 0), ("10000", 10_000)],
    "max_requests_jitter": [("500", 500)],
    "max_crashes": [("1", 1)],
    "trial_timeout": [("1", 1.0), ("600", 600.0)],
    "trial_memory": [("0", 0), ("2000000000", 2_000_000_000)],
    "auth": [("", ()), ("metrics, predict", ("predict", "metrics"))],
    "api_keys_file": [("", None), ("/run/keys", Path("/run/keys"))],
    "api_keys": [("", ""), ("a sha256:0;\nb sha256:1", "a sha256:0;\nb sha256:1")],
    "jwt_jwks": [("", ""), ("keys.json", "keys.json"), ("https://a.example/k?x=1", "https://a.example/k?x=1")],
    "jwt_issuer": [("", ""), ("https://a.example/", "https://a.example/")],
    "jwt_audience": [("crime", "crime")],
    "jwt_scopes": [("", ()), ("info", ("info",))],
    "rate_limit": [("", None), ("100/s", Rate(100, 1)), ("6000/m", Rate(6000, 60)), ("1/h", Rate(1, 3600))],
    "tls_certificate": [("", None), ("tls.crt", Path("tls.crt"))],
    "tls_key": [("", None), ("tls.key", Path("tls.key"))],
    "tls_client_ca": [("", None), ("ca.crt", Path("ca.crt"))],
}
BAD: dict[str, list[str]] = {
    "bundle": ["", "a\nb", "ftp://a.example/b", "s3:///"],
    "bundle_digest": ["sha256:0a", "0a" * 32, f"sha256:{'0A' * 32}", f"md5:{'0a' * 16}"],
    "bundle_cache": ["a\nb"],
    "fetch_timeout": ["0", "inf"],
    "fetch_attempts": ["0", "101"],
    "host": [""],
    "grpc_port": ["0", "65536", "nine"],
    "port": ["0", "65536", "-1", "8000.0", "eight", "", "tcp:8000", "٣"],
    "workers": ["0", "1025", "1" * 19],
    "threads": ["0"],
    "front": ["flask"],
    "root_path": ["crime", "/a b", "//", "/a//b", "/é", "/?a"],
    "max_body_bytes": ["0", "1M"],
    "max_rows": ["0"],
    "unknown_fields": ["accept", "REFUSE"],
    "unknown_labels": ["ignore"],
    "version_mismatch": ["accept"],
    "protocols": ["v2", "all"],
    "predictions": ["proba"],
    "vertex_predict_route": ["predict", "//a", "/a//b", "/a b", "/a?b", "/{a}", "/<path:a>", "/a%20b", "http://a/b"],
    "vertex_health_route": ["health", "/é", "/a\nb"],
    "allowed_globals": ["Scaler", "mine.*", "mine.steps:Scaler", ".a", "a.", "a..b", "a b.c", "a.é", "a.1b", "a.b;c.d"],
    "max_model_bytes": ["0", "4G"],
    "manifest": ["true", "Signed"],
    "trusted_keys": ["a\nb"],
    "engine": ["fast"],
    "access_log": ["on", "", "2"],
    "log_level": ["INFO", "trace"],
    "log_format": ["text"],
    "cors_origins": ["example.com", "https://a.example/path", "https://a.example https://b.example"],
    "deadline": ["0", "nan", "inf", "86401", "30s", ""],
    "max_queue_requests": ["-1", ""],
    "max_queue_rows": ["0"],
    "header_timeout": ["0", "0.9", "inf"],
    "body_timeout": ["0"],
    "idle_timeout": ["0"],
    "write_timeout": ["0"],
    "max_connections": ["0"],
    "max_header_bytes": ["1023", "64k"],
    "max_buffered_bytes": ["0", "256M"],
    "graceful_timeout": ["-1"],
    "drain_delay": ["-0.1"],
    "max_requests": ["-1", "1e3"],
    "max_requests_jitter": ["-1"],
    "max_crashes": ["0"],
    "trial_timeout": ["0", "nan"],
    "trial_memory": ["-1", "2GB"],
    "auth": ["all", "predict info", "health"],
    "api_keys_file": ["a\nb"],
    "api_keys": ["a\0b"],
    "jwt_jwks": ["http://a.example/keys", "https://", "https://a b", "file:///keys", "a\nb"],
    "jwt_issuer": ["a\nb"],
    "jwt_audience": ["a\nb"],
    "jwt_scopes": ["brinery:info"],
    "rate_limit": ["100", "0/s", "100/w", "100 / s", "1e3/s"],
    "tls_certificate": ["a\nb"],
    "tls_key": ["a\nb"],
    "tls_client_ca": ["a\nb"],
}
TOGETHER: dict[str, dict[str, str]] = {
    "BRINERY_AUTH needs": {"AUTH": "predict"},
    "protect nothing": {"API_KEYS_FILE": "keys"},
    "protect nothing without": {"API_KEYS": "a sha256:0"},
    "protect nothing without scopes": {"JWT_JWKS": "keys", "JWT_ISSUER": "i", "JWT_AUDIENCE": "a"},
    "BRINERY_RATE_LIMIT is": {"RATE_LIMIT": "1/s"},
    "tokens that were made for others": {"AUTH": "predict", "JWT_JWKS": "keys", "JWT_ISSUER": "i"},
    "made for others": {"AUTH": "predict", "JWT_JWKS": "keys", "JWT_AUDIENCE": "a"},
    "set BRINERY_TLS_KEY": {"TLS_CERTIFICATE": "a"},
    "set BRINERY_TLS_CERTIFICATE": {"TLS_KEY": "a"},
    "BRINERY_TLS_CLIENT_CA needs": {"TLS_CLIENT_CA": "a"},
    "are the same path": {"VERTEX_PREDICT_ROUTE": "/a", "VERTEX_HEALTH_ROUTE": "/a"},
}


def cases(table: dict[str, list[Any]]) -> list[Any]:
    """Make a case of each entry of a table, named by the setting and its text."""
    return [
        pytest.param(name, case, id=f"{name}-{(case[0] if isinstance(case, tuple) else case)!a}")
        for name, some in table.items()
        for case in some
    ]


@pytest.mark.parametrize(("name", "case"), cases(GOOD))
def test_good_value(name: str, case: tuple[str, object]) -> None:
    """A value that is described is read from the variable."""
    read = OPTIONS[name].parse(case[0], source=OPTIONS[name].variable)
    assert (read, type(read)) == (case[1], type(case[1])) or isinstance(case[1], Path)


@pytest.mark.parametrize(("name", "case"), cases(BAD))
def test_bad_value(name: str, case: str) -> None:
    """Any other value is refused in a sentence that names the variable, the value, and what was expected."""
    option = OPTIONS[name]
    with pytest.raises(SettingError) as raised:
        Settings.from_environ({option.variable: case})
    got = "not shown here" if option.parser.secret else repr(case)
    assert str(raised.value) == f"{option.variable} is {got}; expected {option.parser.expects}."


@pytest.mark.parametrize(("said", "given"), TOGETHER.items())
def test_settings_that_need_each_other(said: str, given: dict[str, str]) -> None:
    """What makes no sense without another setting is refused, and names that one."""
    with pytest.raises(SettingError, match=said) as raised:
        Settings.from_environ({f"BRINERY_{name}": value for name, value in given.items()})
    assert set(re.findall(r"BRINERY_(\w+)", str(raised.value))) <= set(map(str.upper, OPTIONS))


def test_settings_that_fit_together() -> None:
    """What is complete is accepted."""
    given = {"AUTH": "info", "JWT_JWKS": "k", "JWT_ISSUER": "i", "JWT_AUDIENCE": "a", "RATE_LIMIT": "1/s"}
    tls = {"TLS_CERTIFICATE": "c", "TLS_KEY": "k", "TLS_CLIENT_CA": "a"}
    made = Settings.from_environ({f"BRINERY_{name}": value for name, value in {**given, **tls}.items()})
    assert made.auth == ("info",)


def test_every_setting_has_cases() -> None:
    """The tables above have good and bad values for every setting."""
    assert set(GOOD) == set(BAD) == set(OPTIONS) == {field.name for field in dataclasses.fields(Settings)}


@pytest.mark.parametrize("option", options(), ids=lambda option: option.name)
def test_options_are_described(option: Option) -> None:
    """Every setting has a sentence that ends with a full stop, a flag and a variable by the same name."""
    assert option.sentence.endswith(".")
    assert option.flag.removeprefix("--").replace("-", "_") == option.name
    assert option.variable == "BRINERY_" + option.name.upper()


@pytest.mark.parametrize("name", [name for name in OPTIONS if name != "workers"])
def test_default_is_as_shown(name: str) -> None:
    """The default that is shown is read back as the default that holds."""
    option = OPTIONS[name]
    assert option.parse(option.default, source="default") == getattr(Settings(), name)


def test_contract_defaults() -> None:
    """The defaults are those of the contract."""
    made = Settings(workers=3)
    assert dataclasses.asdict(made) == {
        "bundle": Path("pickles"),
        "bundle_digest": "",
        "bundle_cache": None,
        "fetch_timeout": 120.0,
        "fetch_attempts": 4,
        "host": "0.0.0.0",  # noqa: S104  # a container listens on all
        "port": 8000,
        "workers": 3,
        "threads": 4,
        "front": "asgi",
        "root_path": "",
        "max_body_bytes": 1_048_576,
        "max_rows": 10_000,
        "unknown_fields": "refuse",
        "unknown_labels": "refuse",
        "version_mismatch": "refuse",
        "protocols": ("oip", "kserve", "mlflow", "azureml", "vertex"),
        "predictions": "predict",
        "vertex_predict_route": "",
        "vertex_health_route": "",
        "grpc_port": None,
        "allowed_globals": (),
        "max_model_bytes": 4 * 1024**3,
        "manifest": "optional",
        "trusted_keys": (),
        "engine": "auto",
        "access_log": True,
        "log_level": "info",
        "log_format": "json",
        "cors_origins": (),
        "deadline": 30.0,
        "max_queue_requests": 64,
        "max_queue_rows": 10_000,
        "header_timeout": 10.0,
        "body_timeout": 30.0,
        "idle_timeout": 75.0,
        "write_timeout": 30.0,
        "max_connections": 10_000,
        "max_header_bytes": 65_536,
        "max_buffered_bytes": 268_435_456,
        "graceful_timeout": 25.0,
        "drain_delay": 0.0,
        "max_requests": 0,
        "max_requests_jitter": 0,
        "max_crashes": 5,
        "trial_timeout": 120.0,
        "trial_memory": 0,
        "auth": (),
        "api_keys_file": None,
        "api_keys": "",
        "jwt_jwks": "",
        "jwt_issuer": "",
        "jwt_audience": "",
        "jwt_scopes": ("predict",),
        "rate_limit": None,
        "tls_certificate": None,
        "tls_key": None,
        "tls_client_ca": None,
    }


def test_signatures_need_keys() -> None:
    """Signed manifests cannot be demanded without a key to see them by."""
    with pytest.raises(SettingError, match=r"BRINERY_MANIFEST=signed needs a key .* set BRINERY_TRUSTED_KEYS"):
        Settings.from_environ({"BRINERY_MANIFEST": "signed"})
    environ = {"BRINERY_MANIFEST": "signed", "BRINERY_TRUSTED_KEYS": "key.pem"}
    assert Settings.from_environ(environ).trusted_keys == (Path("key.pem"),)


def test_a_place_with_credentials() -> None:
    """Neither a refusal nor a value that is shown has the credentials of a URL."""
    with pytest.raises(SettingError, match=r"BRINERY_BUNDLE is 'ftp://a\.example/b'; expected") as raised:
        Settings.from_environ({"BRINERY_BUNDLE": "ftp://u:geheim@a.example/b?sig=geheim"})
    assert "geheim" not in str(raised.value)
    made = Settings.from_environ({"BRINERY_BUNDLE": "https://u:geheim@a.example/b?sig=geheim"})
    assert as_text(made.bundle) == "https://a.example/b"
    assert "geheim" not in repr(made)


def test_unknown_variable() -> None:
    """A variable with our prefix that is no setting is refused by its name, without its value."""
    with pytest.raises(SettingError, match="BRINERY_PROT is not a setting") as raised:
        Settings.from_environ({"BRINERY_PROT": "secret"})
    assert "secret" not in str(raised.value)


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("BRINERY_SERVICE_HOST", "10.0.0.1"),
        ("BRINERY_SERVICE_PORT", "8000"),
        ("BRINERY_SERVICE_PORT_HTTP", "8000"),
        ("BRINERY_PORT", "tcp://10.0.0.1:8000"),
        ("BRINERY_GRPC_PORT", "tcp://10.0.0.1:9000"),
        ("BRINERY_PORT_8000_TCP", "tcp://10.0.0.1:8000"),
        ("BRINERY_PORT_8000_TCP_ADDR", "10.0.0.1"),
        ("BRINERY_CRIME_65_SERVICE_HOST", "10.0.0.1"),
        ("BRINERY_CRIME_65_PORT", "tcp://10.0.0.1:8000"),
        ("BRINERY_CRIME_65_PORT_8000_TCP_PROTO", "tcp"),
        ("PORT", "none of ours"),
    ],
    ids=lambda text: text,
)
def test_variables_of_others(variable: str, value: str) -> None:
    """What Kubernetes says of services whose names begin with ours is passed over, and so is what is not ours."""
    assert Settings.from_environ({variable: value, "BRINERY_WORKERS": "1"}) == Settings(workers=1)


def test_settings_do_not_change() -> None:
    """Settings are frozen."""
    with pytest.raises(dataclasses.FrozenInstanceError):
        Settings().port = 1  # type: ignore[misc]


@given(st.floats(0.001, 86_400))
def test_seconds_are_written_as_they_are_read(value: float) -> None:
    """A duration is written so that the same duration is read back."""
    assert OPTIONS["deadline"].parse(as_text(value), source="") == value


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (True, "true"),
        (False, "false"),
        (("a", "b"), "a,b"),
        ((Path("a"), Path("b")), "a,b"),
        (30.0, "30"),
        (2.5, "2.5"),
        (7, "7"),
    ],
)
def test_as_text(value: object, text: str) -> None:
    """Values are written in the plain form that people would use."""
    assert as_text(value) == text
