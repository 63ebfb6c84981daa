"""Text that wants to be more than text, in every field that others write."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import redis

from agent.models import Document, step_id
from agent.projections.presence import Presence, Running, WorkerView
from agent.settings import Settings
from agent.store.audit import Deed
from agent.store.mongo_context_repository import MongoContextRepository
from tests.acceptance.browser.filled import a_failure, a_retry
from tests.factories import a_context, a_request, a_template

MEGABYTE = 1_000_000
TEXTS = {
    "script": "<script>alert(1)</script>",
    "image": "\"'><img src=x onerror=alert(1)>",
    "attribute": '" autofocus onfocus="alert(1)',
    "template": "a{{7*7}}${7*7}z",
    "link": "javascript:alert(1)",
    "address": "https://evil.example/",
    "turned": "abc\u202egnp.exe\u2066",
    "long": "W" * MEGABYTE,
    "words": "word " * (MEGABYTE // 5),
}
EVERYTHING = TEXTS["link"] + "".join(TEXTS[name] for name in ("image", "template", "turned"))
TURNING = "\u202a\u202b\u202d\u202e\u2066\u2067\u2068"
"""Characters that turn round the text behind them."""
LONGEST_KEY = 200
"""Of names and ids."""
LONGEST_REST = 20_000
"""Of what else a context holds: all of it has to be no more than MongoDB keeps."""
HARM = """turning => {
  const found = [];
  for (const each of document.querySelectorAll("*")) {
    for (const { name, value } of each.attributes) {
      if (/^on/i.test(name)) found.push(`${name} of ${each.tagName}`);
      if (["href", "src", "action", "formaction", "xlink:href"].includes(name)
        && new URL(value, location).origin !== location.origin) found.push(`${name}=${value}`);
      if (name !== "value" && [...turning].some(mark => value.includes(mark)))
        found.push(`turned: ${name}=${value.slice(0, 60)}`);
    }
  }
  for (const each of [...document.scripts, ...document.images]) {
    if (!each.src.startsWith(`${location.origin}/dashboard/static/`)) found.push(each.outerHTML);
  }
  const said = document.title + document.documentElement.textContent;
  if ([...turning].some(mark => said.includes(mark))) found.push("turned text");
  if (/a49|49z/.test(said)) found.push("what was to be reckoned");
  return found;
}"""
"""What of a page is not as we wrote it."""


def fill_hostile(
    repository: MongoContextRepository, client: redis.Redis, settings: Settings
) -> None:
    """Write each text wherever others write: producers, Base services, workers, people."""
    for name, text in TEXTS.items():
        repository.insert_contexts([
            _everywhere(repository, f"{name} {text[:LONGEST_KEY]}", text),
            _again(repository, f"{name}, again {text[:LONGEST_KEY]}", text),
        ])  # fmt: skip
        _people(repository, text)
    short = [text[:LONGEST_KEY] for text in TEXTS.values()]
    for kind in ("REQUEST", "BATCH"):
        repository.insert_contexts(_parts(kind, short))
    for text in short:
        _schedule(repository, text)
        Presence(client, settings.namespace).beat(
            WorkerView(text, ("GENERATIVE", text), 8, 1, text, 7, text, False, text,
                       [Running(text, text, 3.0)])
        )  # fmt: skip
    repository.lead(TEXTS["script"], timedelta(hours=1))


def parent_of(kind: str) -> str:
    """The id of the request, or of the batch."""
    return f"{kind} {TEXTS['script']}"


def _written(text: str) -> dict[str, Any]:
    """What a producer may write, of one context; less of it where it all would be too much."""
    short, key = text[:LONGEST_REST], text[:LONGEST_KEY].replace(".", "-").replace("$", "-")
    return {
        "request": a_request(user_id=text, text=text, purpose_id=short, data={key: short}),
        "template": a_template(id=text, version=short, service_template={key: short}),
        "tags": {"team": text}, "metadata": {key: short}, "source": short,
    }  # fmt: skip


def _everywhere(repository: MongoContextRepository, context_id: str, text: str) -> Document:
    error = {"type": text, "message": text, "fingerprint": text[:40], "status_code": text[:40]}
    short = text[:LONGEST_REST]
    attempt = {"number": 1, "outcome": short, "worker": short, "trace_id": short, "error": error,
               "started_at": repository.now(), "finished_at": repository.now()}  # fmt: skip
    failure = a_failure(repository.now(), _id=context_id, **_written(text))
    return {**failure, "error": error, "attempts": [attempt], "results": {"reply": text},
            "processed_by": short}  # fmt: skip


def _again(repository: MongoContextRepository, context_id: str, text: str) -> Document:
    error = {"type": text, "message": text}
    attempt = {"number": 1, "outcome": "retry", "error": error, "finished_at": repository.now()}
    retry = a_retry(repository.now(), _id=context_id, **_written(text))
    return {**retry, "attempts": [attempt], "error": error}


def _people(repository: MongoContextRepository, text: str) -> None:
    deed = repository.note_deed(Deed(text, text, text, text, text))
    repository.note_outcome(deed, count=0, error=text)
    repository.pause_service("GENERATIVE", by="operator", reason=text, until=None)


def _parts(kind: str, texts: list[str]) -> list[Document]:
    """A parent, and a part for each text that comes after the one before."""
    parent_id = parent_of(kind)
    parent = a_context(_id=parent_id, kind="parent", service_type=kind, status="processing",
                       fence=1, **_written(TEXTS["image"]))  # fmt: skip
    parent["error"] = {"type": TEXTS["image"], "message": TEXTS["script"]}
    ids = [step_id(parent_id, text) for text in texts]
    error = {"type": TEXTS["script"], "message": TEXTS["image"]}
    return [
        {**parent, "total": len(ids), "steps": ids},
        *({**a_context(_id=each, parent_id=parent_id, status="failed", fence=1, step=text,
                       completed_at=parent["created_at"], after=ids[:place][-1:]),
           "error": error, "service_type": text}
          for place, (each, text) in enumerate(zip(ids, texts, strict=True))),
    ]  # fmt: skip


def _schedule(repository: MongoContextRepository, name: str) -> None:
    repository.insert_schedule({
        "_id": name, "cron": name, "timezone": name, "last_error": name, "last_ids": [name],
        "paused": False, "fired": name, "next_at": repository.now(), "request": {},
    })  # fmt: skip
