"""Counts and errors in words that a biologist reads on a page."""

from __future__ import annotations

from bioimage_assets.core.errors import BioimageError

_MAX_CHARACTERS = 300


def count_words(count: int, one: str, many: str = "") -> str:
    """``1 feature``, ``2 features``, ``1,200 wells``; ``many`` where an s is not enough."""
    return f"{count:,} {plural_of(count, one, many)}"


def plural_of(count: int, one: str, many: str = "") -> str:
    """The word alone, for places where the number stands elsewhere."""
    return one if count == 1 else many or f"{one}s"


def join_words(words: list[str]) -> str:
    """``a``, ``a and b``, ``a, b and c``."""
    return " and ".join([", ".join(words[:-1]), words[-1]]) if len(words) > 1 else "".join(words)


def error_words(error: BaseException) -> str:
    """Why something could not be made: the project's own errors say it themselves, others are named behind the reason."""
    text = " ".join(str(error).split())
    text = text if len(text) <= _MAX_CHARACTERS else f"{text[:_MAX_CHARACTERS]}…"
    if isinstance(error, BioimageError) and text:
        # Inside a sentence: a capital stays where it is more than the beginning of one (TIFF, OME).
        return (text[0].lower() if text[1:2].islower() else text[0]) + text[1:].rstrip(".")
    if isinstance(error, OSError):
        return f"a file could not be read ({text or type(error).__name__})"
    if isinstance(error, MemoryError):
        return "it would need more memory than there is"
    return f"its numbers cannot be drawn ({type(error).__name__}{': ' if text else ''}{text})"
