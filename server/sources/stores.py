"""Fetches from stores of objects and from the web, by fsspec: it finds credentials as each store's own tools do."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final

from server.errors import FetchError
from server.sources.faults import too_large
from server.urls import Url

WEB: Final = ("http", "https")


def _web(url: Url, archive: Path, patience: float) -> None:
    import aiohttp
    import fsspec

    async def look(_session: object, _context: object, redirect: aiohttp.TraceRequestRedirectParams) -> None:
        target = redirect.response.headers.get("Location", "")
        if redirect.url.scheme == "https" and target.partition(":")[0].lower() == "http":
            msg = f"{url} leads to an address without TLS; name one that does not."
            raise FetchError(msg)

    watch = aiohttp.TraceConfig()
    watch.on_request_redirect.append(look)
    timeout = aiohttp.ClientTimeout(total=None, connect=patience, sock_connect=patience, sock_read=patience)
    # Proxies are those of the environment.
    given = {"timeout": timeout, "trust_env": True, "trace_configs": [watch]}
    # A signed address must be sent as it was signed.
    fsspec.filesystem(url.scheme, encoded=True, client_kwargs=given).get_file(url.text, str(archive))


def _amazon(patience: float) -> dict[str, Any]:
    tries = {"connect_timeout": patience, "read_timeout": patience, "retries": {"total_max_attempts": 1}}
    # One stream, of one version: parts that are fetched beside each other may be of two.
    return {"config_kwargs": tries, "max_concurrency": 1}


def _google(patience: float) -> dict[str, Any]:
    return {"timeout": patience, "requests_timeout": patience, "access": "read_only"}


def _azure(patience: float) -> dict[str, Any]:
    whole = max(1, round(patience))
    return {"connection_timeout": whole, "read_timeout": whole, "max_concurrency": 1}


OPTIONS: Final[Mapping[str, Callable[[float], dict[str, Any]]]] = {
    "s3": _amazon,
    "gs": _google,
    "az": _azure,
    "abfs": _azure,
    "abfss": _azure,
}


def fetch(url: Url, folder: Path, bounds: Mapping[str, int], patience: float) -> Path:
    """Fetch what is at a URL into `folder`, and give the archive, or the folder with a bundle's files.

    `patience` is how many seconds a connection may take, and each wait for bytes. Raises whatever the store's library
    raises, and `FetchError` for what has more bytes than `bounds`.
    """
    archive = folder / "archive"
    if url.scheme in WEB:
        _web(url, archive, patience)
        return archive
    from fsspec.core import url_to_fs

    store, path = url_to_fs(url.text, **OPTIONS[url.scheme](patience))
    if url.scheme == "s3":
        store.retries = 1  # it is our turn to try again
    found = store.info(path)
    if found["type"] == "file":
        _get(store, url, found, archive, sum(bounds.values()))
        return archive
    bundle = folder / "bundle"
    bundle.mkdir()
    for each in store.ls(path, detail=True):
        name = each["name"].rstrip("/").rpartition("/")[2]
        if each["type"] == "file" and name in bounds:
            _get(store, url, each, bundle / name, bounds[name])
    return bundle


def _get(store: Any, url: Url, found: Mapping[str, Any], target: Path, most: int) -> None:  # noqa: ANN401
    if found["size"] > most:
        raise too_large(url)
    store.get_file(found["name"], str(target))
    if target.stat().st_size != found["size"]:
        msg = "other bytes than the store had listed"
        raise OSError(msg)
