"""Which URLs may be called back, and how what is sent there is signed."""

from __future__ import annotations

import base64
import hashlib
import hmac
import re
import time
from pathlib import Path
from typing import Any

import pytest

from agent.webhooks import NO_WEBHOOKS, Host, Webhooks, read_hosts, read_secrets

ROOT = Path(__file__).parents[2]
HOSTS = read_hosts(["Hooks.Example", "other.example:8443", "[::1]:9000", "127.0.0.1:9000"])
ALLOWED = Webhooks(HOSTS)
SECRET = "whsec_" + base64.b64encode(b"k" * 24).decode()


@pytest.mark.parametrize(
    ("word", "expected"),
    [
        ("hooks.example", Host("hooks.example")),
        ("HOOKS.Example.:443", Host("hooks.example", 443)),
        ("10.0.0.7:80", Host("10.0.0.7", 80)),
        ("[0:0::1]:80", Host("[::1]", 80)),
        ("xn--bcher-kva.example", Host("xn--bcher-kva.example")),
    ],
)
def test_a_host_is_compared_in_one_form(word: str, expected: Host) -> None:
    """Without regard to case, a last dot, or how an address of IPv6 is written."""
    assert read_hosts([word]) == (expected,)


@pytest.mark.parametrize(
    "word",
    ["https://hooks.example", "hooks.example/x", "*.example", "a b", "hooks.example:", "h:0",
     "h:65536", "u@hooks.example", "[::1", "[dead:]", "bücher.example", "h:१", ".example", ""],
)  # fmt: skip
def test_what_is_no_host_is_refused(word: str) -> None:
    """A pattern, a URL and half an address, too."""
    with pytest.raises(ValueError, match=r"host:port|no IPv6"):
        read_hosts([word])


@pytest.mark.parametrize(
    ("url", "origin", "target"),
    [
        ("https://hooks.example", "https://hooks.example:443", "/"),
        ("HTTPS://HOOKS.example.:443/a?b=c", "https://hooks.example:443", "/a?b=c"),
        ("https://hooks.example?b=c", "https://hooks.example:443", "/?b=c"),
        ("https://other.example:8443//x/..", "https://other.example:8443", "//x/.."),
        ("https://[::1]:9000/", "https://[::1]:9000", "/"),
        ("http://127.0.0.1:9000/hook", "http://127.0.0.1:9000", "/hook"),
        ("http://[0::1]:9000/hook", "http://[::1]:9000", "/hook"),
    ],
)
def test_a_url_on_an_allowed_host_has_its_address(url: str, origin: str, target: str) -> None:
    """Where one connects to is made anew from what was compared."""
    assert ALLOWED.address_of(url) == (origin, target)


@pytest.mark.parametrize(
    ("url", "why"),
    [
        ("https://evil.example/", "evil.example:443 is no host of AGENT_WEBHOOK_HOSTS"),
        ("https://hooks.example:8443/", "is no host"),
        ("https://other.example/", "other.example:443 is no host"),
        ("https://sub.hooks.example/", "is no host"),
        ("https://hooks.example.evil.example/", "is no host"),
        ("http://hooks.example/", "must be an https:// URL"),
        ("https://user:pass@hooks.example/", "without a user"),
        ("https://evil.example@hooks.example/", "without a user"),
        ("https://hooks.example@evil.example/", "without a user"),
        ("https://evil.example\\@hooks.example/", "must be https://host/path"),
        ("https://hooks.example\\.evil.example/", "host:port"),
        ("https://hooks.example#@evil.example/", "must be https://host/path"),
        ("https://hooks.example/#x", "a fragment"),
        ("https://hooks.example/a b", "percent-encoded"),
        ("https://hooks.example/\r\nX-Evil: 1", "percent-encoded"),
        ("https://hooks.example/ü", "percent-encoded"),
        ("https://hooks.example/\n", "percent-encoded"),
        ("https://hooks%2eexample/", "host:port"),
        ("https:hooks.example", "must be https://host/path"),
        ("//hooks.example/", "must be https://host/path"),
        ("ftp://hooks.example/", "must be https://host/path"),
        ("https://hooks.example:99999/", "host:port"),
        ("https://hooks.example/" + "a" * 2048, "at most 2048"),
        ("", "must be https://host/path"),
        (None, "must be a URL"),
        ({"$gt": ""}, "must be a URL"),
    ],
)
def test_any_other_url_is_refused(url: object, why: str) -> None:
    """Whatever two readers of a URL might disagree about is none."""
    with pytest.raises(ValueError, match=why):
        ALLOWED.address_of(url)


def test_in_development_http_goes_to_other_machines_too() -> None:
    """At the port that http has."""
    found = Webhooks(HOSTS, development=True).address_of("http://hooks.example/x")
    assert found == ("http://hooks.example:80", "/x")


def test_without_hosts_nobody_is_called_back() -> None:
    """And the message names the setting."""
    with pytest.raises(ValueError, match="AGENT_WEBHOOK_HOSTS names no host"):
        NO_WEBHOOKS.address_of("https://hooks.example/")


def test_the_signature_is_that_of_standard_webhooks() -> None:
    """By the algorithm as its specification writes it out, and by an example made elsewhere."""
    keys = read_secrets("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")
    payload = b'{"test": 2432232314}'
    headers = Webhooks(HOSTS, keys).headers_of("msg_p5jXN8AQM9LWM0D4loKWxJek", 1614265330, payload)
    assert headers == {
        "webhook-id": "msg_p5jXN8AQM9LWM0D4loKWxJek",
        "webhook-timestamp": "1614265330",
        "webhook-signature": "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=",
    }


def test_each_secret_signs() -> None:
    """So that a receiver may go from one to the next in its own time."""
    second = "whsec_" + base64.b64encode(b"x" * 64).decode()
    keys = read_secrets(f"{SECRET} {second}")
    headers = Webhooks(HOSTS, keys).headers_of("m", 7, b"{}")
    expected = [
        base64.b64encode(hmac.new(key, b"m.7.{}", hashlib.sha256).digest()).decode()
        for key in (b"k" * 24, b"x" * 64)
    ]
    assert headers["webhook-signature"].split(" ") == [f"v1,{each}" for each in expected]


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "must be whsec_"),
        ("c2VjcmV0", "secret 1 does not begin with whsec_"),
        (f"{SECRET} whsec_!!!!", "secret 2 is not base64"),
        ("whsec_" + base64.b64encode(b"k" * 23).decode(), "23 bytes; use 24 to 64"),
        ("whsec_" + base64.b64encode(b"k" * 65).decode(), "65 bytes; use 24 to 64"),
    ],
)
def test_a_wrong_secret_is_told_by_its_place_alone(text: str, why: str) -> None:
    """Nothing of it stands in the message."""
    with pytest.raises(ValueError, match=why) as caught:
        read_secrets(text)
    assert not any(word.removeprefix("whsec_") in str(caught.value) for word in text.split())


def test_the_example_of_the_page_knows_what_is_ours() -> None:
    """As a receiver copies it from there: neither what others send nor what is old."""
    page = (ROOT / "docs/webhooks.md").read_text()
    [code] = re.findall(r"```python\n(.*?)```", page, re.DOTALL)
    names: dict[str, Any] = {}
    exec(code, names)
    is_ours = names["is_ours"]
    now, payload = int(time.time()), b'{"type": "request.completed"}'
    both = Webhooks(HOSTS, (b"x" * 32, b"k" * 24))
    headers = both.headers_of("m", now, payload)
    assert is_ours(SECRET, headers, payload)
    assert not is_ours(SECRET, headers, payload + b" ")
    assert not is_ours(SECRET, {**headers, "webhook-id": "n"}, payload)
    assert not is_ours("whsec_" + base64.b64encode(b"y" * 24).decode(), headers, payload)
    assert not is_ours(SECRET, both.headers_of("m", now - 301, payload), payload)


def test_keys_are_not_shown() -> None:
    """However it comes into a log."""
    assert "kkkk" not in repr(Webhooks(HOSTS, read_secrets(SECRET)))
