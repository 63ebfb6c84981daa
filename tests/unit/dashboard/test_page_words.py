"""What stands on a page: sentences with their times, and what is shown to nobody."""

from __future__ import annotations

from agent.dashboard.words import MASK, masked, sentence


def test_a_sentence_has_its_times_for_a_script_to_tell_in_the_reader_s_zone() -> None:
    """With the exact one in UTC in the title, as any other time."""
    said = sentence("it waits until 2026-11-29 08:57:29 UTC")
    assert said.startswith('It waits until <time datetime="2026-11-29T08:57:29.000Z"')
    assert 'title="2026-11-29 08:57:29.000 UTC"' in said


def test_a_sentence_stays_text() -> None:
    """Whatever a service wrote, and where a time is none."""
    said = sentence("<b>2026-99-99 08:57:29 UTC</b> 2026-11-29 08:57:29 UTC <script>")
    assert said.startswith("&lt;b&gt;2026-99-99 08:57:29 UTC&lt;/b&gt; <time")
    assert said.endswith(" &lt;script&gt;")


def test_numbers_of_tokens_are_no_secret() -> None:
    """What a model read and wrote is worth knowing; a token that opens a door is not."""
    usage = {"tokens": 214, "max_tokens": 400, "token_count": 7}
    assert masked(usage) == usage
    secret = {"token": "t", "access_token": 4711, "tokens": ["t"], "completion_tokens": "t"}
    assert masked(secret) == dict.fromkeys(secret, MASK)
