"""Seeds as people write them: `0-99`, or `3 17 20-25`."""

from __future__ import annotations

from collections.abc import Iterable


def parse_seeds(words: Iterable[str]) -> list[int]:
    """The seeds that numbers and ranges name, each once, in their order.

    Raises:
        ValueError: a word is neither.
    """
    found: dict[int, None] = {}
    for word in " ".join(words).replace(",", " ").split():
        first, dash, last = word.partition("-")
        if not first.isdecimal() or (dash and not last.isdecimal()):
            raise ValueError(f"{word!r} is no seed; write numbers and ranges, such as 3 17 20-25")
        begin, end = int(first), int(last or first)
        if end < begin:
            raise ValueError(f"{word!r} ends before it begins")
        found |= dict.fromkeys(range(begin, end + 1))
    return list(found)
