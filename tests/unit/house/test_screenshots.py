"""The pictures of docs/dashboard.md, and the system that is made up for them."""

from __future__ import annotations

import random
import re

from agent.models import Context
from scripts.screenshots import backlog, families
from scripts.screenshots.making import Maker
from scripts.screenshots.pictures import PICTURES
from tests.conftest import ROOT
from tests.factories import LONG_AGO

FOLDER = ROOT / "docs" / "dashboard"
LARGEST = 150 * 1024
SHOWN = re.compile(r"!\[([^\]]{10,})\]\(dashboard/([a-z-]+)\.png\)")


def test_every_picture_is_shown_with_words_for_those_who_do_not_see_it() -> None:
    """And none is shown that the command does not take."""
    page = (ROOT / "docs" / "dashboard.md").read_text(encoding="utf-8")
    assert sorted(name for _, name in SHOWN.findall(page)) == sorted(each.name for each in PICTURES)


def test_every_picture_is_there_and_small() -> None:
    """Whoever clones the repository gets them all."""
    sizes = {each.name: (FOLDER / f"{each.name}.png").stat().st_size for each in PICTURES}
    assert {name: size for name, size in sizes.items() if size > LARGEST} == {}


def test_what_is_made_up_could_have_been_stored() -> None:
    """Whole contexts, each once; what failed too often is not tried again."""
    maker = Maker(LONG_AGO, random.Random(0))
    made = [*backlog.running(maker), *backlog.examples(maker), *backlog.again(maker),
            *backlog.dead(maker), *families.report(maker), *families.batch(maker)]  # fmt: skip
    ids = {each["_id"] for each in made}
    assert len(ids) == len(made)
    assert {backlog.STUBBORN_ID, families.REPORT_ID, families.BATCH_ID} <= ids
    for each in made:
        if each["kind"] == "context":
            context = Context.model_validate(each)
            assert context.failures < context.max_attempts
