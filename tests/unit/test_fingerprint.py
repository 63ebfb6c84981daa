"""The kind of an error: what is the same failure, and what is another one."""

from __future__ import annotations

import re
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.fingerprint import LENGTH, LONGEST_KEPT, fingerprint_of, normalised

ALIKE = {
    "numbers": ("17 of 200 rows are wrong", "3 of 8.5 rows are wrong"),
    "ids": ("no context ctx_01M877Z76QYWGF9K03H2", "no context ctx_01M877Z7VSCMK"),
    "uuids": (
        "user 4f1e2a9c-1111-4222-8333-444455556666 is gone",
        "user 0e1e2a9c-aaaa-4bbb-8ccc-ddddeeeeffff is gone",
    ),
    "hex": ("object at 0x7f3a10 died", "object at 0xdeadbeef died"),
    "object ids": ("no 65f0a1b2c3d4e5f601234567 here", "no 75f0a1b2c3d4e5f60123456f here"),
    "dates": ("since 2024-05-01T12:00:00.123Z", "since 2025-11-30 08:15:00+02:00"),
    "dates of mail": ("until Mon, 02 Jan 2024 10:00:00 GMT", "until Tue, 13 Feb 2025 11:30:59 GMT"),
    "durations": ("timed out after 30.5 s", "timed out after 12 minutes"),
    "sizes": ("body of 12 kB is too large", "body of 16,777,216 bytes is too large"),
    "quoted": ("no template 'greeting'", "no template 'farewell, friend'"),
    "double quoted": ('no user "Ann"', 'no user "Bob O\'Hara"'),
    "cut in a quote": ('cannot read "abc', 'cannot read "quite another te…'),
    "urls": ("GET http://a.example/x?key=1 failed", "GET https://b.example:8443/y/z failed"),
    "mail": ("ann@example.org bounced", "bob.b+c@mail.example.com bounced"),
    "hosts": ("connect to localhost:8080 refused", "connect to api-7.example.com:443 refused"),
    "ipv4": ("connect to 10.0.0.1:443 refused", "connect to 192.168.17.4 refused"),
    "ipv6": ("connect to [fe80::1]:443 refused", "connect to 2001:db8::ff00:42 refused"),
    "lists": ("rows 1, 2, 3 are wrong", "rows 7, 9 are wrong"),
    "case": ("Connection refused", "connection Refused"),
    "spaces": ("no  answer\n", "no answer"),
}  # fmt: skip

DIFFERENT = {
    "words": ("no such user", "no such template"),
    "status codes": ("the service answered 404", "the service answered 422"),
    "fields": ("body.name: Field required", "body.age: Field required"),
    "apostrophes": ("it doesn't exist", "it doesn't start"),
    "nothing": ("", "no answer"),
}


@pytest.mark.parametrize(("one", "other"), ALIKE.values(), ids=ALIKE)
def test_what_differs_from_one_to_the_next_does_not_count(one: str, other: str) -> None:
    """Ten thousand failures of one reason are one kind."""
    assert normalised(one) == normalised(other)
    assert fingerprint_of("X", one) == fingerprint_of("X", other)


@pytest.mark.parametrize(("one", "other"), DIFFERENT.values(), ids=DIFFERENT)
def test_another_reason_is_another_kind(one: str, other: str) -> None:
    """And so is another type with the same words."""
    assert fingerprint_of("X", one) != fingerprint_of("X", other)
    assert fingerprint_of("X", one) != fingerprint_of("Y", one)


def test_a_fingerprint_stays_what_it_is() -> None:
    """It is stored, and typed: other words for the same would part what belongs together."""
    assert {
        fingerprint_of("ServiceFailed", "the service answered 503"),
        fingerprint_of("ServiceRejected", "user 17 is not known"),
    } == {"19872f5ae61e", "e77a2cb598f8"}


def test_a_poison_is_one_kind_however_it_was_noticed() -> None:
    """A signal, an exit code, or ten starts: of one service they are one."""
    messages = ["it ended its process (signal SIGKILL)", "it was started 10 times in a row"]
    assert len({fingerprint_of("PoisonContext", message) for message in messages}) == 1


def test_nothing_of_a_context_can_be_read_from_it() -> None:
    """Quoted values and ids are gone before the hash is made."""
    text = normalised("user 'Ann' (ann@example.org) has the key sk4f9a8b7c6d5e at http://h/?k=v")
    assert text == "user <value> (<address>) has the key # at <url>"


@given(st.text(max_size=2000), st.text(max_size=2000))
def test_any_text_has_a_short_fingerprint(error_type: str, message: str) -> None:
    """Whatever a service or a worker's class may say."""
    assert re.fullmatch(rf"[0-9a-f]{{{LENGTH}}}", fingerprint_of(error_type, message))
    assert len(normalised(message)) <= LONGEST_KEPT


@pytest.mark.parametrize(
    "part", ["a", "1", "1.", "a-", "a@", ":", "'", " '", '"', "x'", "1,", "ab1-", "<id> ", "[:"]
)
def test_no_text_takes_long(part: str) -> None:
    """Each rule is linear; only the beginning is read."""
    begun = time.process_time()
    normalised(part * 1_000_000)
    assert time.process_time() - begun < 1
