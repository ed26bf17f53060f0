"""What becomes of a text when it is cut, doubled, and mixed with what parsers trip over."""

from collections.abc import Sequence

from hypothesis import strategies as st


def mutated(texts: Sequence[bytes], tokens: Sequence[bytes]) -> st.SearchStrategy[bytes]:
    """Draw one of the texts, or some behind each other, with up to six mutations by tokens and bytes of its own."""

    @st.composite
    def draw_one(draw: st.DrawFn) -> bytes:
        text = b"".join(draw(st.lists(st.sampled_from(texts), min_size=1, max_size=3)))
        for _ in range(draw(st.integers(0, 6))):
            start = draw(st.integers(0, len(text)))
            end = draw(st.integers(start, min(len(text), start + 40)))
            replacement = draw(
                st.sampled_from(tokens) | st.binary(max_size=8) | st.just(text[start:end] * draw(st.integers(0, 3)))
            )
            text = text[:start] + replacement + text[end if draw(st.booleans()) else start :]
        return text

    return draw_one()


@st.composite
def split(draw: st.DrawFn, text: bytes) -> list[bytes]:
    """Draw a way to cut a text into parts."""
    cuts = sorted(draw(st.lists(st.integers(0, len(text)), max_size=8)))
    return [text[start:end] for start, end in zip([0, *cuts], [*cuts, len(text)], strict=True)]
