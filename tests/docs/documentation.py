"""Reads the documentation's Markdown: pages, headings, fenced blocks, and the commands in them."""

import re
import shlex
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
DOCS = ROOT / "docs"
PAGES = sorted([ROOT / "README.md", ROOT / "CHANGELOG.md", *DOCS.rglob("*.md")])

FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
HEADING = re.compile(r"^(#+) (.+)$", re.MULTILINE)


def name_of(page: Path) -> str:
    """Give a page's path within the project: the id of a parametrised test."""
    return page.relative_to(ROOT).as_posix()


def without_blocks(text: str) -> str:
    """Give a page without its fenced blocks, in which a line may look like a heading or a link."""
    return FENCE.sub("", text)


def anchors_of(page: Path) -> list[str]:
    """Give the anchors that a code host makes of a page's headings."""
    titles = (match[2] for match in HEADING.finditer(without_blocks(page.read_text(encoding="utf-8"))))
    return [re.sub(r"[^\w\- ]", "", title.lower()).strip().replace(" ", "-") for title in titles]


def section_of(page: Path, title: str) -> str:
    """Give the text below a heading, up to the next heading."""
    parts = re.split(r"^#+ (.+)$", page.read_text(encoding="utf-8"), flags=re.MULTILINE)
    sections = dict(zip(parts[1::2], parts[2::2], strict=True))
    return sections[title]


def whole_reference() -> str:
    """Give the text of all pages in docs/."""
    return "\n".join(page.read_text(encoding="utf-8") for page in DOCS.rglob("*.md"))


@dataclass(frozen=True)
class Block:
    """A fenced block: its language and its text."""

    language: str
    text: str

    @property
    def commands(self) -> Iterator[Sequence[str]]:
        """The words of each command of a block of shell."""
        for line in re.split(r"\n(?=\S)", self.text.strip()):
            yield shlex.split(line.replace("\\\n", " "))


def blocks_of(page: Path) -> list[Block]:
    """Give a page's fenced blocks in their order."""
    return [Block(match[1], match[2]) for match in FENCE.finditer(page.read_text(encoding="utf-8"))]


@dataclass(frozen=True)
class CurlRequest:
    """What a curl command sends."""

    method: str
    path: str
    headers: Mapping[str, str]
    body: str | None


def curl_request(words: Sequence[str]) -> CurlRequest:
    """Read a curl command; an option that no example uses is an error."""
    method, path, body = "", "", None
    headers: dict[str, str] = {}
    rest = iter(words[1:])
    for word in rest:
        match word:
            case "-sS" | "-i":
                continue
            case "-X":
                method = next(rest)
            case "-H":
                name, _, value = next(rest).partition(":")
                headers[name] = value.strip()
            case "-d" | "--data-binary":
                body = next(rest)
            case _ if word.startswith("http://127.0.0.1:8000/"):
                path = word.removeprefix("http://127.0.0.1:8000")
            case _:
                raise AssertionError(f"an example of curl with {word}")
    if body is not None:  # as curl itself does
        headers.setdefault("Content-Type", "application/x-www-form-urlencoded")
    return CurlRequest(method or ("GET" if body is None else "POST"), path, headers, body)
