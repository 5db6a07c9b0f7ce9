"""What a person may have meant by a word that is not known."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


def nearest(word: str, known: Iterable[str]) -> str | None:
    """The known word that looks most like ``word``, whatever its case; None where none is near."""
    by_lower_case = {name.lower(): name for name in known}
    near = difflib.get_close_matches(word.lower(), by_lower_case)
    # letters that changed places are a common mistake; difflib prefers a shorter word to one of the same letters
    near.sort(key=lambda name: sorted(name) != sorted(word.lower()))
    return by_lower_case[near[0]] if near else None


def did_you_mean(word: str, known: Iterable[str], otherwise: str | None = None) -> str:
    """A hint for an unknown word.

    Args:
        word: what was given.
        known: what could have been given.
        otherwise: the hint where no known word is near; None: all known words.
    """
    known = list(known)
    near = nearest(word, known)
    if near is not None:
        return f"did you mean {near!r}?"
    return f"known: {', '.join(known)}" if otherwise is None else otherwise
