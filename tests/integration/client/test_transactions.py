"""Submissions that join the caller's own transaction."""

from __future__ import annotations

from typing import Any

import pytest
from pymongo.client_session import ClientSession
from pymongo.database import Database

from agent.client import AgentClient, NotConfigured, RequestRefused
from agent.models import Document
from tests.faults.proxy import Proxy
from tests.integration.client.asked import ONE_STEP, TWO_STEPS
from tests.integration.client.conftest import Connect


class ChangedMind(Exception):
    """The caller wants none of it."""


@pytest.fixture
def orders(kept: Database[Document]) -> Database[Document]:
    """Where the caller's own documents are; in a transaction collections should be there."""
    for name in ("orders", "contexts"):
        kept[name].insert_one({"_id": "there"})
        kept[name].delete_one({"_id": "there"})
    return kept


@pytest.mark.parametrize(("template", "documents"), [(ONE_STEP, 1), (TWO_STEPS, 3)])
def test_what_commits_runs(
    direct: AgentClient, orders: Database[Document], template: Any, documents: int
) -> None:
    """Nobody sees it before; then it is there with the caller's own documents."""
    own = direct.mongo[orders.name]["orders"]
    with direct.mongo.start_session() as session, session.start_transaction():
        own.insert_one({"_id": "o1"}, session=session)
        asked = direct.submit(template=template, session=session)
        assert orders["contexts"].count_documents({}) == 0
    assert orders["contexts"].count_documents({}) == documents
    assert orders["orders"].count_documents({}) == 1
    assert asked.status() in ("pending", "processing")


@pytest.mark.parametrize("template", [ONE_STEP, TWO_STEPS])
def test_what_aborts_was_never_there(
    direct: AgentClient, orders: Database[Document], template: Any
) -> None:
    """Neither the request nor any of its steps."""

    def changes_its_mind() -> None:
        with direct.mongo.start_session() as session, session.start_transaction():
            direct.mongo[orders.name]["orders"].insert_one({"_id": "o1"}, session=session)
            direct.submit(template=template, session=session)
            raise ChangedMind

    with pytest.raises(ChangedMind):
        changes_its_mind()
    assert orders["contexts"].count_documents({}) == 0
    assert orders["orders"].count_documents({}) == 0


def test_a_transaction_that_the_network_breaks_is_done_again(
    connect: Connect, orders: Database[Document], network: Proxy, mongodb_uri: str
) -> None:
    """By the driver's own `with_transaction`; all of it is there once."""
    client = connect("mongodb", url=network.through(mongodb_uri))
    own = client.mongo[orders.name]["orders"]
    tries = 0

    def both(session: ClientSession) -> str:
        nonlocal tries
        tries += 1
        own.insert_one({"_id": "o1"}, session=session)
        if tries == 1:
            network.lose_answer_to(b"\x02insert\x00\x09\x00\x00\x00contexts\x00")
        asked: str = client.submit(template=ONE_STEP, session=session).id
        return asked

    with client.mongo.start_session() as session:
        asked = session.with_transaction(both)
    client.close()  # while the network is there
    assert (tries, network.lost_answers) == (2, 1)
    assert [each["_id"] for each in orders["contexts"].find()] == [asked]
    assert orders["orders"].count_documents({}) == 1


@pytest.mark.parametrize("keys", [{"unique_key": "u"}, {"idempotency_key": "k"}])
def test_keys_are_refused_there(direct: AgentClient, orders: Database[Document], keys: Any) -> None:
    """They are seen by all at once, whether it commits or not."""
    with (
        direct.mongo.start_session() as session,
        session.start_transaction(),
        pytest.raises(RequestRefused, match="cannot be given with `session`"),
    ):
        direct.submit(template=ONE_STEP, session=session, **keys)
    assert orders["contexts"].count_documents({}) == 0


def test_a_session_that_cannot_keep_it_together_is_refused(
    direct: AgentClient, connect: Connect
) -> None:
    """Without a transaction, of another client, or by HTTP."""
    with direct.mongo.start_session() as session:
        with pytest.raises(RequestRefused, match="in no transaction"):
            direct.submit(template=ONE_STEP, session=session)
        with pytest.raises(RequestRefused, match="of another client"):
            connect("mongodb").submit(template=ONE_STEP, session=session)
        with pytest.raises(RequestRefused, match="straight to MongoDB"):
            connect("http").submit(template=ONE_STEP, session=session)
    with pytest.raises(NotConfigured, match="goes by HTTP"):
        _ = connect("http").mongo


def test_what_is_refused_is_an_error_of_the_client(
    direct: AgentClient, orders: Database[Document]
) -> None:
    """And the transaction may go on without it."""
    with direct.mongo.start_session() as session, session.start_transaction():
        with pytest.raises(RequestRefused, match="nowhere"):
            direct.submit(template_id="nowhere", session=session)
        asked = direct.submit(template=ONE_STEP, session=session)
    assert [each["_id"] for each in orders["contexts"].find()] == [asked.id]
