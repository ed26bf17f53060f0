"""Who may call: what is open, what is told to strangers, and what to those who ask too often."""

import json
from pathlib import Path
from typing import Any

import pytest
from werkzeug.test import Client

from server.keys import digest_of, new_key
from server.rates import Rate
from server.schemes import SCOPE_OF
from server.settings import SCOPES
from tests.api.fronts import application_of
from tests.api.moody import Moody
from tests.api.serving import post, problem, serve
from tests.signing import AUDIENCE, ISSUER, jwk, jwks, token

APP, OPS, SLOW = new_key(), new_key(), new_key()
ENTRIES = f"app {digest_of(APP)} predict; ops {digest_of(OPS)} info,metrics; slow {digest_of(SLOW)} predict 2/d"
OPEN = ("/api/health", "/api/health/live", "/api/health/ready", "/api/docs", "/api/docs/assets/docs.js", "/")
BODY = '{"x0":1}'


@pytest.fixture(scope="module")
def client(front: str, tmp_path_factory: pytest.TempPathFactory) -> Client:
    """Everything is protected; keys and tokens are accepted."""
    keys = tmp_path_factory.mktemp("jwks") / "keys.json"
    keys.write_bytes(jwks(jwk("ES256")))
    return serve(
        Moody(),
        auth=SCOPES,
        api_keys=ENTRIES,
        jwt_jwks=str(keys),
        jwt_issuer=ISSUER,
        jwt_audience=AUDIENCE,
        cors_origins=("*",),
    )


def bearer(credential: str) -> dict[str, str]:
    """Write the header of a key or a token."""
    return {"Authorization": f"Bearer {credential}"}


def ask(client: Client, path: str, **headers: str) -> Any:
    """Ask for what a path has."""
    return post(client, BODY, path, **headers) if path == "/api/predict" else client.get(path, headers=headers)


@pytest.mark.parametrize("path", SCOPE_OF)
def test_strangers(client: Client, path: str) -> None:
    """Nobody gets anything without credentials, and is told how to send some."""
    refused = ask(client, path)
    assert problem(refused, 401)["type"] == "docs/errors.md#unauthenticated"
    assert refused.headers["WWW-Authenticate"] == 'Bearer realm="brinery"'
    wrong = ask(client, path, X_API_Key="", **bearer(new_key()))
    assert wrong.status_code == 401
    assert wrong.headers["WWW-Authenticate"] == 'Bearer realm="brinery", error="invalid_token"'


@pytest.mark.parametrize("path", OPEN)
def test_what_is_open(client: Client, path: str) -> None:
    """Probes, and a page that holds nothing of the model, are for everybody."""
    assert client.get(path).status_code in (200, 307)


@pytest.mark.parametrize("path", SCOPE_OF)
def test_who_is_let_in(client: Client, path: str) -> None:
    """A key opens what it is for; for anything else its owner is told what it lacks."""
    scope = SCOPE_OF[path]
    good, bad = (APP, OPS) if scope == "predict" else (OPS, APP)
    for headers in (bearer(good), {"X-API-Key": good}):
        assert ask(client, path, **headers).status_code == 200
    refused = ask(client, path, **bearer(bad))
    assert problem(refused, 403)["type"] == "docs/errors.md#forbidden"
    expected = f'Bearer realm="brinery", error="insufficient_scope", scope="{scope}"'
    assert refused.headers["WWW-Authenticate"] == expected


def test_tokens(client: Client) -> None:
    """A token is good for predictions, or for what it names."""
    assert ask(client, "/api/predict", **bearer(token())).status_code == 200
    assert problem(ask(client, "/api/info", **bearer(token())), 403)
    assert ask(client, "/api/info", **bearer(token(scope="brinery:info"))).status_code == 200
    said = problem(ask(client, "/api/predict", **bearer(token(aud="other"))), 401)["detail"]
    assert "somebody else" in said


@pytest.mark.parametrize("path", [*SCOPE_OF, *OPEN])
def test_preflight(client: Client, path: str) -> None:
    """A browser asks without credentials whether it may send them."""
    headers = {"Origin": "https://a.example", "Access-Control-Request-Method": "POST"}
    response = client.options(path, headers=headers)
    assert response.status_code == 204
    assert "Authorization" in response.headers["Access-Control-Allow-Headers"]


def test_what_does_not_exist(client: Client) -> None:
    """A stranger is told as much of other paths as anybody."""
    problem(client.get("/nowhere"), 404)
    problem(client.put("/api/predict"), 405)


def test_a_stranger_is_judged_before_his_body(client: Client) -> None:
    """What he sends is not looked at."""
    problem(post(client, "{"), 401)
    problem(client.post("/api/predict", data=b"x", content_type="text/plain"), 401)
    problem(post(client, "x" * 3_000_000), 401)


def test_each_scope_alone(front: str) -> None:
    """What is not protected is open, with credentials and without."""
    for scope in SCOPES:
        client = serve(Moody(), auth=(scope,), api_keys=ENTRIES)
        for path, its in SCOPE_OF.items():
            assert ask(client, path).status_code == (401 if its == scope else 200)
            assert its == scope or ask(client, path, **bearer("wrong")).status_code == 200


def test_off_by_default(front: str) -> None:
    """Without the setting no route is touched, and no answer speaks of credentials."""
    client = serve(Moody())
    for path in SCOPE_OF:
        response = ask(client, path, **bearer("anything"))
        assert response.status_code == 200
        assert "RateLimit" not in response.headers


def test_the_documents_say_so(client: Client) -> None:
    """Both documents name the schemes, and the operations that want them, as the routes do."""
    openapi = client.get("/openapi.json", headers=bearer(OPS)).get_json()
    swagger = client.get("/swagger.json", headers=bearer(OPS)).get_json()
    assert set(openapi["components"]["securitySchemes"]) == set(swagger["securityDefinitions"]) == {"bearer", "apiKey"}
    scopes = {route.path: route.scope for some in application_of(client).routes.values() for route in some}
    for path, operations in openapi["paths"].items():
        for operation in operations.values():
            assert ("security" in operation) == (scopes[path] is not None), path
            assert ({"401", "403", "429"} <= set(operation["responses"])) == (scopes[path] is not None)
        if path.startswith("/api/"):
            assert SCOPE_OF.get(path) == scopes[path]
        if path in swagger["paths"]:
            (operation,) = swagger["paths"][path].values()
            assert ("security" in operation) == (scopes[path] is not None)


def test_rates(front: str) -> None:
    """Who asks more often than he may is told when to come again; others, and probes, are not held up."""
    client = serve(Moody(), auth=("predict", "metrics"), api_keys=ENTRIES, rate_limit=Rate(50, 60))
    answers = [ask(client, "/api/predict", **bearer(SLOW)) for _ in range(3)]
    assert [each.status_code for each in answers] == [200, 200, 429]
    assert [each.headers["RateLimit-Policy"] for each in answers] == ['"default";q=2;w=86400'] * 3
    assert [each.headers["RateLimit"].split(";")[1] for each in answers] == ["r=1", "r=0", "r=0"]
    assert problem(answers[2], 429)["type"] == "docs/errors.md#rate-limited"
    assert 43_000 < int(answers[2].headers["Retry-After"]) <= 43_200
    assert ask(client, "/api/predict", **bearer(APP)).headers["RateLimit-Policy"] == '"default";q=50;w=60'
    health = client.get("/api/health/ready", headers=bearer(SLOW))
    assert health.status_code == 200
    assert "RateLimit" not in health.headers
    metrics = client.get("/metrics", headers=bearer(OPS)).text
    assert 'brinery_rejected_total{reason="rate-limited"} 1.0' in metrics


@pytest.fixture
def logged(front: str, capsys: pytest.CaptureFixture[str]) -> Any:
    """An application that logs, and a function that gives its lines."""
    logging = serve(Moody(), auth=SCOPES, api_keys=ENTRIES, log_level="info")
    capsys.readouterr()

    def lines() -> list[dict[str, Any]]:
        return [json.loads(line) for line in capsys.readouterr().out.splitlines()]

    return logging, lines


def test_the_log_names_callers_by_the_operators_names(logged: Any) -> None:
    """A line has the name of the key; one of a refusal says why, and neither holds a credential."""
    client, lines = logged
    ask(client, "/api/predict", **bearer(APP))
    (line,) = lines()
    assert line["caller"] == "app"
    wrong = new_key()
    ask(client, "/api/predict", **bearer(wrong))
    refused, line = lines()
    assert (refused["event"], refused["reason"], refused["route"]) == ("caller_refused", "unknown_key", "/api/predict")
    assert refused["request_id"] == line["request_id"]
    assert "caller" not in line
    ask(client, "/api/info", **bearer(APP))
    refused, line = lines()
    assert (refused["reason"], line["caller"], line["status"]) == ("scope", "app", 403)
    assert wrong not in f"{refused}{line}"


def test_keys_are_read_at_the_start(front: str, tmp_path: Path) -> None:
    """A file of keys is read when an application is made, so that another one has those of then."""
    file = tmp_path / "keys"
    file.write_text(f"old {digest_of(APP)}")
    old = serve(Moody(), auth=SCOPES, api_keys_file=file)
    file.write_text(f"new {digest_of(OPS)}")
    new = serve(Moody(), auth=SCOPES, api_keys_file=file)
    assert [ask(old, "/api/info", **bearer(key)).status_code for key in (APP, OPS)] == [200, 401]
    assert [ask(new, "/api/info", **bearer(key)).status_code for key in (APP, OPS)] == [401, 200]
