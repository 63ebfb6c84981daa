"""Batches: one request over many rows, as it is stored.

First the rows are kept, in chunks and as they come, so that memory stays flat; then the parent is
stored, and that is what is acknowledged. The items are made of the rows later, by `Expand`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass, replace
from hashlib import sha256
from typing import TYPE_CHECKING, Any

import bson
from bson.raw_bson import RawBSONDocument

from agent.errors import AlreadyStored, ContextNotFound, NotStorable, RequestInvalid
from agent.intake.batch import MOST_ROWS, REJECTED_TOLD, Batch, Mode, Rejected, Row
from agent.intake.choice import Chosen, completed
from agent.intake.context_manager import MAX_CONTEXT_BYTES, check_depth, check_times
from agent.intake.families import without_priorities
from agent.intake.items import ItemTerms, batch_parent, documents_of
from agent.intake.parameters import Parameter, with_defaults
from agent.intake.request import Request
from agent.intake.request_service import RequestService, data_of
from agent.intake.rows import converted
from agent.intake.submissions import Asked, Submissions, Submitted, fingerprint_of
from agent.intake.templates import TemplateSource
from agent.models import HIGHEST_PRIORITY, Document, Step, new_id
from agent.settings import Settings
from agent.store.connection import encoded_size, translated

if TYPE_CHECKING:
    from agent.store.mongo_context_repository import MongoContextRepository

ROWS_IN_CHUNK = 1000
CHUNK_BYTES = 8 * 1024 * 1024
"""Of the rows of one chunk, and of the contexts that come of it in one transaction."""


@dataclass(frozen=True, slots=True)
class Created:
    """What became of a batch that was asked for.

    Args:
        existing: another one, not finished yet, holds its unique key: it is that one's id.
        total: how many items it has.
        rejected_count: how many rows became nothing; `rejected` tells the first of them.
    """

    id: str
    existing: bool
    total: int
    rejected_count: int
    rejected: tuple[Rejected, ...]


class Batches:
    """Stores batches.

    Args:
        requests: how a template is found.
    """

    def __init__(self, repository: MongoContextRepository, requests: RequestService) -> None:
        self._repository = repository
        self._requests = requests
        self._submissions = Submissions(requests, repository)

    @classmethod
    def of(
        cls, repository: MongoContextRepository, templates: TemplateSource, settings: Settings
    ) -> Batches:
        """By the settings, with the purposes that are stored."""
        return cls(repository, RequestService.of(repository, templates, settings))

    def create(
        self,
        batch: Batch,
        rows: Iterable[Row | Rejected],
        *,
        owner: str,
        source: str = "api",
    ) -> Created:
        """Store a batch of these rows, or find the one that came under its keys before. A row that
        is wrong costs only itself.

        Args:
            owner: whose idempotency keys these are.

        Raises:
            RequestInvalid: nothing can become of it; every problem is named.
            IdempotencyKeyReused: another batch, or one of other rows, came under its key.
            StillInProgress: the same is being stored just now.
            StoreUnavailable: MongoDB did not answer. Sent again under the same idempotency key, it
                makes one batch all the same.
        """
        chosen = self._requests.choose(batch)
        terms = self._terms(batch, chosen, source)
        kept = _Kept(self._repository, chosen.template.parameters, terms)
        try:
            kept.take(_as_one(rows) if batch.mode is Mode.WHOLE else rows)
            submitted = self._submissions.once(
                Asked.of(batch, kept.fingerprint(fingerprint_of(batch))),
                lambda id: self._store(id, batch, terms, kept),
                owner=owner,
            )
        finally:
            kept.drop()
        return self._created(submitted, kept)

    def _terms(self, batch: Batch, chosen: Chosen, source: str) -> ItemTerms:
        steps = chosen.template.steps
        without_parameters = replace(chosen.template, parameters=())
        asked = completed(batch, chosen._replace(template=without_parameters))
        priority = asked.priority
        if asked.urgent:
            priority = HIGHEST_PRIORITY
            steps = without_priorities(steps)
        due, deadline = check_times(self._repository.now(), asked.available_at, asked.deadline_at)
        request = data_of(asked, chosen).model_dump()
        check_depth("request", request)
        return ItemTerms(
            template_id=chosen.template.id,
            template_version=chosen.template.version,
            steps=tuple(self._limited(step, asked) for step in steps),
            request=request,
            priority=priority,
            due=due if asked.available_at is not None else None,
            deadline_at=deadline,
            tags=asked.tags,
            source=source,
        )

    def _limited(self, step: Step, asked: Request) -> Step:
        settings = self._repository.settings
        service = settings.registry[step.template.service_type]
        limit = step.max_attempts or asked.max_attempts or settings.service(service).max_attempts
        return step.model_copy(update={"max_attempts": limit})

    def _store(self, id: str, batch: Batch, terms: ItemTerms, kept: _Kept) -> None:
        parent = batch_parent(
            terms, id=id, total=kept.total, now=self._repository.now(), upload=kept.upload,
            chunks=kept.chunks, rejected=kept.rejected(), metadata=batch.metadata,
            callback_url=batch.callback_url, retention=batch.kept,
        )  # fmt: skip
        size = encoded_size(parent)
        if size > MAX_CONTEXT_BYTES:
            raise RequestInvalid(
                f"what all items share has {size / 2**20:.1f} MB; at most "
                f"{MAX_CONTEXT_BYTES // 2**20} MB are stored"
            )
        try:
            kept.hand_over(parent)
        except NotStorable as exc:
            raise RequestInvalid(f"the batch cannot be stored: {exc}") from exc

    def _created(self, submitted: Submitted, kept: _Kept) -> Created:
        """What is answered: as it was stored, by whichever of several came first."""
        total, rejected = kept.total, kept.rejected()
        try:
            found = self._repository.find_context(submitted.id)
        except ContextNotFound:  # it came of the same rows, and its time was over
            pass
        else:
            total, rejected = found.get("total") or 1, found.get("rejected") or rejected
        return Created(
            id=submitted.id,
            existing=submitted.existing,
            total=total,
            rejected_count=rejected.get("count", 0),
            rejected=tuple(Rejected(**each) for each in rejected.get("rows", ())),
        )


class _Kept:
    """The rows of one batch, checked and kept as they come."""

    def __init__(
        self,
        repository: MongoContextRepository,
        parameters: tuple[Parameter, ...],
        terms: ItemTerms,
    ) -> None:
        self._repository = repository
        self._parameters = parameters
        self._types = {parameter.name: parameter.type for parameter in parameters}
        self._terms = terms
        self._common = terms.request["data"]
        self._digest = sha256()
        self._wrong: list[Rejected] = []
        self._wrong_count = 0
        self.upload = new_id("upl")
        self.total = self.chunks = 0
        self._is_needed = False
        self._item_bytes = self._bytes_of_an_item()

    def take(self, rows: Iterable[Row | Rejected]) -> None:
        """Keep them all.

        Raises:
            RequestInvalid: none of them can be used, there are too many, or this is no such file.
            StoreUnavailable: MongoDB did not answer.
        """
        at_once, size = max(1, min(ROWS_IN_CHUNK, CHUNK_BYTES // self._item_bytes)), 0
        items: list[RawBSONDocument] = []
        for encoded in self._checked(rows):
            if items and (len(items) >= at_once or size + len(encoded) > CHUNK_BYTES):
                self._keep(items)
                items, size = [], 0
            items.append(RawBSONDocument(encoded))
            size += len(encoded)
        if items:
            self._keep(items)
        if not self.total:
            raise RequestInvalid(self._why_none())

    def _bytes_of_an_item(self) -> int:
        """What its contexts have without its row.

        Raises:
            RequestInvalid: what all items share is too large for any of them.
        """
        documents = documents_of(
            "ctx_0", self._terms, [{"row": 1, "data": {}}], self._repository.now()
        )
        size = sum(map(encoded_size, documents))
        if size > MAX_CONTEXT_BYTES:
            raise RequestInvalid(
                f"an item has {size / 2**20:.1f} MB without its row; at most "
                f"{MAX_CONTEXT_BYTES // 2**20} MB are stored"
            )
        return size

    def _checked(self, rows: Iterable[Row | Rejected]) -> Iterator[bytes]:
        for each in rows:
            if self.total + self._wrong_count >= MOST_ROWS or _number(each) > 9 * MOST_ROWS:
                raise RequestInvalid(f"a batch has {MOST_ROWS:,} rows at most")
            if isinstance(each, Rejected):
                self._reject(each.row, each.error)
                continue
            try:
                encoded = self._encoded(each)
            except (RequestInvalid, NotStorable) as exc:
                self._reject(each.number, str(exc))
            else:
                self._digest.update(encoded)
                self.total += 1
                yield encoded

    def _encoded(self, row: Row) -> bytes:
        """What is kept of a row: its number, and what it says beyond what all say.

        Raises:
            RequestInvalid, NotStorable: it cannot become an item.
        """
        if not isinstance(row.data, dict):
            raise RequestInvalid("no object")
        data = self._converted(row.data) if row.is_text else row.data
        check_depth("data", data)
        whole = with_defaults(self._parameters, {**self._common, **data})
        kept = {
            key: value
            for key, value in whole.items()
            if key not in self._common or value is not self._common[key]
        }
        item: Document = {"row": row.number, "data": kept}
        user_id = data.get("user_id")
        if isinstance(user_id, str) and user_id:
            item["user_id"] = user_id
        with translated():
            encoded = bson.encode(item)
        room = MAX_CONTEXT_BYTES - self._item_bytes
        if len(encoded) > room:
            raise RequestInvalid(
                f"{len(encoded):,} bytes; {room:,} are left beside what all items share"
            )
        return encoded

    def _converted(self, cells: dict[str, Any]) -> dict[str, Any]:
        """Text as the template wants it; what is left empty is not given."""
        types = self._types
        return {
            name: converted(cell, types[name]) if name in types else cell
            for name, cell in cells.items()
            if cell != "" or types.get(name, "string") in ("string", "any")
        }

    def _reject(self, row: int, error: str) -> None:
        self._wrong_count += 1
        self._digest.update(f"{row}".encode())
        if len(self._wrong) < REJECTED_TOLD:
            self._wrong.append(Rejected(row, error[:300]))

    def _why_none(self) -> str:
        if not self._wrong:
            return "there are no rows"
        first = self._wrong[0]
        return f"none of {self._wrong_count:,} rows can be used; row {first.row}: {first.error}"

    def _keep(self, items: list[RawBSONDocument]) -> None:
        self._repository.keep_rows(self.upload, self.chunks, items)
        self.chunks += 1

    def fingerprint(self, of_batch: str) -> str:
        """What two submissions of the same batch have in common."""
        self._digest.update(of_batch.encode())
        return self._digest.hexdigest()

    def rejected(self) -> Document:
        """As it stands in the parent."""
        return {"count": self._wrong_count, "rows": [asdict(each) for each in self._wrong]}

    def hand_over(self, parent: Document) -> None:
        """Store the parent; from then on the rows are its own.

        Raises:
            AlreadyStored: there is a batch of this id, of other rows.
            NotStorable: MongoDB refuses it.
            StoreUnavailable: MongoDB did not answer. Whether it was stored is open.
        """
        self._is_needed = True
        try:
            self._repository.insert_batch(parent, self.upload, self.chunks)
        except AlreadyStored:
            expanding = self._repository.find_batch(parent["_id"]).get("expanding") or {}
            self._is_needed = expanding.get("upload") == self.upload
            if expanding:  # who stored it may have died before it said so
                self._repository.keep_for_good(expanding["upload"], expanding["chunks"])
            raise
        except NotStorable:
            self._is_needed = False
            raise

    def drop(self) -> None:
        """Forget the rows, if they became no batch."""
        if not self._is_needed and self.chunks:
            self._repository.drop_rows(self.upload, self.chunks)


def _number(row: Row | Rejected) -> int:
    return row.row if isinstance(row, Rejected) else row.number


def _as_one(rows: Iterable[Row | Rejected]) -> Iterator[Row | Rejected]:
    """All rows as the `items` of one; what is wrong with one costs only that one.

    Raises:
        RequestInvalid: they do not fit into one context.
    """
    items, size = [], 0
    for row in rows:
        if isinstance(row, Rejected):
            yield row
        elif not isinstance(row.data, dict):
            yield Rejected(row.number, "no object")
        else:
            items.append(row.data)
            size += len(str(row.data))
            if size > 2 * MAX_CONTEXT_BYTES:
                raise RequestInvalid(
                    f"all rows as one context have more than {MAX_CONTEXT_BYTES // 2**20} MB; "
                    "use `mode: each`, or hand large data over by reference"
                )
    if items:
        yield Row(1, {"items": items})
