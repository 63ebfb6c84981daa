"""Somebody without a mouse: where they are on a page, and how they come to another place of it."""

from __future__ import annotations

from typing import Any, NamedTuple, cast

from playwright.sync_api import Page

MOST_PRESSES = 150
"""Until something is reached; no page of these tests has so many places."""
FOCUSED = """() => {
  const here = document.activeElement;
  if (!here || here === document.body) return null;
  const look = getComputedStyle(here);
  const box = here.getBoundingClientRect();
  const label = here.getAttribute("aria-label") || (here.labels && here.labels[0]?.textContent);
  return {
    tag: here.tagName.toLowerCase(),
    name: (label || here.textContent || "").replace(/\\s+/g, " ").trim(),
    ringed: look.outlineStyle !== "none" && parseFloat(look.outlineWidth) >= 2,
    shown: look.visibility === "visible" && box.width > 0 && box.height > 0
      && box.bottom > 0 && box.right > 0 && box.top < innerHeight && box.left < innerWidth,
    inside: !!here.closest("main"),
  };
}"""


class Place(NamedTuple):
    """What has the focus.

    Args:
        ringed: it has a line around it that tells so.
        shown: it is in the window.
        inside: it belongs to the content, not to the frame around it.
    """

    tag: str
    name: str
    ringed: bool
    shown: bool
    inside: bool


class Keyboard:
    """The keys of one person on one page. Whatever gets the focus by them has to be seen."""

    def __init__(self, page: Page) -> None:
        self._page = page

    def press(self, key: str) -> None:
        self._page.keyboard.press(key)

    def type(self, words: str) -> None:
        self._page.keyboard.type(words)

    def here(self) -> Place | None:
        """What has the focus; None if nothing has."""
        found = self._page.evaluate(FOCUSED)
        return None if found is None else Place(**cast(dict[str, Any], found))

    def next(self, key: str = "Tab") -> Place | None:
        """Go one place on, or with `Shift+Tab` back.

        Raises:
            AssertionError: one cannot see where that is.
        """
        self.press(key)
        place = self.here()
        assert place is None or (place.ringed and place.shown), place
        return place

    def go_to(self, name: str, key: str = "Tab") -> None:
        """Go on, or back, to the next place whose name begins so.

        Raises:
            AssertionError: there is none, or one on the way cannot be seen.
        """
        passed = []
        for _ in range(MOST_PRESSES):
            place = self.next(key)
            if place is not None and place.name.startswith(name):
                return
            passed.append(place.name if place is not None else None)
        raise AssertionError(f"no way to {name!r}, only to {passed}")

    def walk(self) -> list[Place]:
        """Go through the whole page once, from its beginning: all places."""
        places: list[Place] = []
        while (place := self.next()) is not None and place not in places[:1]:
            places.append(place)
            assert len(places) < MOST_PRESSES, "there is no end"
        return places
