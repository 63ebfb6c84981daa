"""What every injected fault has in common."""

from __future__ import annotations

from abc import ABC, abstractmethod


class Injection(ABC):
    """One fault at work: it begins, strikes, and ends.

    An `AssertionError` from any of the three says that it did not do what it was to do.
    """

    @abstractmethod
    def begin(self) -> None:
        """Do it."""

    @abstractmethod
    def has_struck(self) -> bool:
        """Whether it shows from outside; asked again until it does, and never after."""

    @abstractmethod
    def end(self) -> None:
        """Put right what it did, once its time is over and it has struck."""
