"""Fetches a bundle that is an artifact in a registry of images, by oras: OCI's distribution and image specs, 1.1.

Each file is a layer under its name (`oras push HOST/NAME:TAG model.pkl lookup.pkl`), or one layer is an archive of them
(`oras push HOST/NAME:TAG folder`).
"""

import hashlib
import re
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import orjson

from server.errors import FetchError
from server.sources.faults import too_large
from server.urls import ENDINGS, Url

if TYPE_CHECKING:
    import requests

TITLE: Final = "org.opencontainers.image.title"
ARCHIVES: Final = ("+gzip", ".tar.gzip", "+tar", ".tar", "+zip")  # ends of media types
MANIFESTS: Final = [
    "application/vnd.oci.image.manifest.v1+json",
    "application/vnd.docker.distribution.manifest.v2+json",
]
MAX_MANIFEST: Final = 4_194_304  # what registries take, by the specification
# As Docker has it: who runs a registry on this machine has no certificate for it.
LOOPBACK: Final = re.compile(r"(localhost|127(\.[0-9]+){3}|\[::1\])(:[0-9]+)?")
PIECE: Final = 65_536


def fetch(url: Url, folder: Path, bounds: Mapping[str, int], patience: float) -> Path:
    """Fetch an artifact into `folder`, and give an archive, or a folder with a bundle's files; see `stores.fetch`."""
    name, _, digest = url.text.partition("://")[2].partition("@")
    host = name.partition("/")[0]
    client = _client(host, patience)
    container = client.get_container(name)
    container.digest = digest  # oras would read the half of it
    if not name.startswith(f"{container.registry}/{container.api_prefix}"):  # as Docker has it, that is no host
        msg = f"{url} has a host with neither a dot nor a port; write its whole name, or its port."
        raise FetchError(msg)
    manifest = _manifest(client, container, url)
    layers = [_layer(each) for each in manifest.get("layers", ())]
    files = [(title, layer) for title, layer in layers if title in bounds]
    bundle, archive = folder / "bundle", folder / "archive"
    if not files:
        packed = [layer for title, layer in layers if _is_archive(title, layer)]
        if len(packed) != 1:
            msg = f"{url} has no layer by the name of a bundle's file, and no single archive; push the bundle's files."
            raise FetchError(msg)
        _get(client, container, url, packed[0], archive, sum(bounds.values()))
        return archive
    bundle.mkdir()
    for title, layer in files:
        _get(client, container, url, layer, bundle / title, bounds[title])
    return bundle


def _manifest(client: Any, container: Any, url: Url) -> Mapping[str, Any]:  # noqa: ANN401
    """Fetch the manifest, and see that it is the one whose digest the URL has, if it has one."""
    client.auth.load_configs(container)
    address = f"{client.prefix}://{container.manifest_url()}"
    with client.do_request(address, headers={"Accept": ", ".join(MANIFESTS)}, stream=True) as response:
        response.raise_for_status()
        content = b""
        for piece in response.iter_content(PIECE):
            content += piece
            if len(content) > MAX_MANIFEST:
                msg = f"{url} has a manifest of more than {MAX_MANIFEST} bytes; push it again."
                raise FetchError(msg)
    if container.digest and container.digest != f"sha256:{hashlib.sha256(content).hexdigest()}":
        msg = f"{url} has a manifest whose content is not what its digest says; it must be a SHA-256."
        raise FetchError(msg, permanent=False)
    manifest: Mapping[str, Any] = orjson.loads(content)
    return manifest


def _layer(layer: Mapping[str, Any]) -> tuple[str, Mapping[str, Any]]:
    return str(layer.get("annotations", {}).get(TITLE, "")), layer


def _is_archive(title: str, layer: Mapping[str, Any]) -> bool:
    return title.endswith(ENDINGS) or str(layer.get("mediaType", "")).endswith(ARCHIVES)


def _get(client: Any, container: Any, url: Url, layer: Mapping[str, Any], target: Path, most: int) -> None:  # noqa: ANN401
    """Fetch a layer, and see that it is what the manifest says."""
    algorithm, _, digits = str(layer["digest"]).partition(":")
    if algorithm != "sha256":
        msg = f"{url} has a layer whose digest is no SHA-256; push it again."
        raise FetchError(msg)
    seen, size = hashlib.sha256(), 0
    with client.get_blob(container, layer["digest"], stream=True) as response, target.open("xb") as file:
        response.raise_for_status()
        for piece in response.iter_content(PIECE):
            size += len(piece)
            if size > most:
                raise too_large(url)
            seen.update(piece)
            file.write(piece)
    if seen.hexdigest() != digits:
        msg = f"{url} has a layer whose content is not what its digest says."
        raise FetchError(msg, permanent=False)


def _client(host: str, patience: float) -> Any:  # noqa: ANN401
    """Make a client that waits so long, and raises what registries refuse with its status."""
    from oras.provider import Registry
    from requests.adapters import HTTPAdapter

    class Client(Registry):  # type: ignore[misc]
        do_request = Registry.do_request.__wrapped__  # oras would try again by itself, for minutes

    class Adapter(HTTPAdapter):
        def send(self, request: "requests.PreparedRequest", **given: Any) -> "requests.Response":  # type: ignore[override]  # noqa: ANN401
            response = super().send(request, **{**given, "timeout": patience})
            if response.status_code >= 400 and response.status_code != 401:  # with which a registry asks who we are
                response.raise_for_status()
            return response

    client = Client(hostname=host, insecure=LOOPBACK.fullmatch(host) is not None)
    for prefix in ("http://", "https://"):
        client.session.mount(prefix, Adapter())
    return client
