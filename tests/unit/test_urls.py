"""Where a bundle is: paths, URLs, and what of them may be seen."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from server.urls import Url, read_place, shown


@pytest.mark.parametrize(
    ("text", "path"),
    [
        ("pickles", "pickles"),
        ("/srv/a b", "/srv/a b"),
        ("crime:65", "crime:65"),
        ("a/b:c/d.zip", "a/b:c/d.zip"),
        ("file:///srv/a%20b.zip", "/srv/a b.zip"),
        ("file://localhost/srv", "/srv"),
        ("FILE:///srv", "/srv"),
    ],
)
def test_paths(text: str, path: str) -> None:
    """What has no scheme is a path, and so is what file:// names."""
    assert read_place(text) == Path(path)


@pytest.mark.parametrize(
    ("text", "seen", "name"),
    [
        ("https://a.example/models/crime-65.tar.gz", "https://a.example/models/crime-65.tar.gz", "crime-65"),
        ("https://u:p@a.example:8443/c.TGZ?X-Amz-Signature=s", "https://a.example:8443/c.TGZ", "c"),
        ("https://token@a.example/crime%2065.zip", "https://a.example/crime%2065.zip", "crime 65"),
        ("HTTP://a.example/download?id=7", "http://a.example/download", "download"),
        ("s3://bucket/models/crime-65/", "s3://bucket/models/crime-65/", "crime-65"),
        ("s3://bucket", "s3://bucket", "bucket"),
        ("gs://bucket/v1.2", "gs://bucket/v1.2", "v1.2"),
        ("az://container/crime.zip?sv=1&sig=s", "az://container/crime.zip", "crime"),
        ("abfss://box@acc.dfs.core.windows.net/c.zip", "abfss://box@acc.dfs.core.windows.net/c.zip", "c"),
        ("models:/crime/65", "models:/crime/65", "crime"),
        ("models:/crime@champion", "models:/crime@champion", "crime"),
        ("oci://registry.example:5000/team/crime:65", "oci://registry.example:5000/team/crime:65", "crime"),
        ("oci://registry.example/crime@sha256:ab", "oci://registry.example/crime@sha256:ab", "crime"),
    ],
)
def test_urls(text: str, seen: str, name: str) -> None:
    """A URL is shown without what may be credentials, and gives the model a name."""
    url = read_place(text)
    assert isinstance(url, Url)
    scheme, colon, rest = text.partition(":")
    assert (str(url), url.name, url.text) == (seen, name, scheme.lower() + colon + rest)
    assert shown(text).casefold() == seen.casefold() or "@" in seen
    assert "text" not in repr(url)


@pytest.mark.parametrize(
    "text",
    [
        "", "a\nb", "ftp://a.example/b", "https://a.example", "https://a.example/", "https:///b", "s3://",
        "http://a b/c",
        "file://other/srv", "file:///srv?x", "file://", "models:/", "models://host/crime", "oci://host", "oci:///crime",
        "https://a.example/b#c", "://a", "s3://key:secret@bucket/c.tar", "abfss://box:pw@a.example/c",
        "oci://u:p@a.example/b", "https:/u:p@a.example/b", "https:u:p@a.example/b", "s3:/bucket/c.tar", "models:crime",
        "https://u:p/q@a.example/b", "https://u:1/q@a.example/b", "oci://u:1/q@a.example/b", "https://u:p?q@a.example/b",
    ],
)  # fmt: skip
def test_neither(text: str) -> None:
    """What is neither a path nor a URL that we know is refused."""
    with pytest.raises(ValueError):  # noqa: PT011  # a parser says no more
        read_place(text)


secrets = st.text("abcdefgh0123456789%-_.~!$&'()*+,;=:", min_size=6, max_size=20).map(lambda text: f"geheim{text}")


starts = [f"{each}{slashes}" for each in ("https", "s3", "gs", "az", "abfss", "oci") for slashes in ("://", ":/", ":")]


@given(st.sampled_from([*starts, "ftp://", "nonsense://"]), secrets, secrets)
def test_credentials_are_never_shown(start: str, password: str, signature: str) -> None:
    """Neither a password nor a signature is shown, whether the URL can be used or not."""
    text = f"{start}user:{password}@host/path/model.zip?sig={signature}"
    assert "geheim" not in shown(text)
    try:
        place = read_place(text)
    except ValueError:
        return
    assert isinstance(place, Url)
    assert "geheim" not in f"{place} {place!r} {place.name}"
