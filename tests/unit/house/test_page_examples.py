"""How the examples of a page are read and compared: what differs from the page is noticed."""

from __future__ import annotations

import pytest

from tests.acceptance.page import Example, Ids, examples_of

PAGE = """Words, and $ no command.

```console
$ agent submit \\
    --wait
ctx_01M87TZTSQA32E860RZHE03GBY
…
$ agent show ctx_01M87TZTSQA32E860RZHE03GBY
```

```sh
$ not typed
```
"""
FIRST, SECOND = "ctx_01M87TZTSQA32E860RZHE03GBY", "ctx_01M87TZY9619QV3YRRNE3RJSKJ"
MINE, OTHER = "ctx_01M87V9R0SZ941KSAR0P282K1R", "ctx_01M87VB09D73YAW8D48J8ND4YW"


def test_commands_are_read_with_what_they_print() -> None:
    """In their order, continued lines and all, from blocks of a terminal alone."""
    assert examples_of(PAGE) == [
        Example("agent submit \\\n    --wait", f"{FIRST}\n…"),
        Example(f"agent show {FIRST}", ""),
    ]


@pytest.mark.parametrize(
    ("shown", "said"),
    [
        ("done: 49 of 50", "done: 49 of 50\n"),
        ("took 4.3 s, at 2026-11-24 22:32:34 UTC", "took 12 ms, at 2027-01-01 00:00:00 UTC\n"),
        ("a  b\n────", "  a      b  \n──────────\n\n"),
        ("…\nlast", "first\nsecond\nlast\n"),
        ("first\n…", "first\n"),
        ('{"id":1,…', '{"id":1,"more":2}'),
        ("", "anything"),
    ],
)
def test_what_is_shown_is_what_is_said(shown: str, said: str) -> None:
    """But for times, widths, and what `…` stands for."""
    assert Ids().shown_by(shown, said)


@pytest.mark.parametrize(
    ("shown", "said"),
    [
        ("done: 49 of 50", "done: 50 of 50\n"),
        ("done", "done\nand more\n"),
        ("done", ""),
        ("…\nlast", "first\nlast\nand more\n"),
        ("a.b", "axb\n"),
        (FIRST, "ctx_1\n"),
    ],
)
def test_anything_else_is_noticed(shown: str, said: str) -> None:
    """Another number, another line, a line too few."""
    assert not Ids().shown_by(shown, said)


def test_an_id_stands_for_the_same_one_from_then_on() -> None:
    """In what is printed and in what is typed; two of the page are two."""
    ids = Ids()
    assert not ids.shown_by(f"{FIRST} {FIRST}", f"{MINE} {OTHER}\n")
    assert ids.shown_by(f"{FIRST}_1 {FIRST}_2", f"{MINE}_1 {MINE}_2\n")
    assert not ids.shown_by(FIRST, OTHER)
    assert ids.shown_by(f"{FIRST} {SECOND}", f"{MINE} {OTHER}\n")
    assert ids.put_into(f"agent show {SECOND}_0000026") == f"agent show {OTHER}_0000026"
