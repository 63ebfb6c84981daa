"""What contexts are asked for, as query or as body: `Selection` in the words of the API."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from agent.api import paging
from agent.api.bodies import Body
from agent.intake.request import Date
from agent.models import Status
from agent.services import ServiceRegistry
from agent.store.selection import Selection
from agent.store.spread import MOST_A_MINUTE

Word = Annotated[str, Field(max_length=500)]


class Filters(BaseModel):
    """What is left out does not matter."""

    model_config = ConfigDict(extra="forbid")

    service: Word | None = Field(default=None, description="In any case of letters.",
                                 examples=["GENERATIVE"])  # fmt: skip
    status: Status | None = None
    kind: Word | None = Field(default=None, description="Of its failure, as `/v1/dead-letters` "
                              "has it.")  # fmt: skip
    error: Word | None = Field(default=None, description="The `type` of its error.")
    tag: Word | None = Field(default=None, description="`name=value`, or a word of a list.")
    template: Word | None = Field(default=None, description="The id of its template.")
    user: Word | None = Field(default=None, description="The `user_id` of its request.")
    since: Date | None = None
    until: Date | None = None

    def selection(self, registry: ServiceRegistry) -> Selection:
        """What is selected.

        Raises:
            RequestInvalid: a value cannot be compared.
        """
        service = registry.find(self.service)
        name, is_pair, value = (self.tag or "").partition("=")
        status = self.status
        if status is None and self.kind is not None:
            status = Status.FAILED
        return Selection(
            service_type=service.name if service is not None else self.service,
            status=status,
            kind=self.kind,
            error_type=self.error,
            tag=(name, value) if is_pair else self.tag,
            template_id=self.template,
            user_id=self.user,
            since=self.since,
            until=self.until,
        )


class PageQuery(Filters):
    """A page of what is asked for."""

    limit: int = Field(default=paging.DEFAULT, ge=1, le=paging.MOST)
    cursor: str | None = Field(default=None, max_length=paging.LONGEST_CURSOR,
                               description="`next` of the page before.")  # fmt: skip


class BulkBody(Filters, Body):
    """All that match, so many at most, are changed."""

    model_config = ConfigDict(extra="forbid", strict=False)

    limit: int = Field(default=10_000, ge=1, le=10_000, strict=True)
    dry_run: bool = Field(default=False, strict=True, description="Only count.")


class BulkRetryBody(BulkBody):
    """All that match begin anew."""

    fresh_key: bool | None = Field(default=None, strict=True)
    per_minute: int | None = Field(
        default=None, ge=1, le=MOST_A_MINUTE, strict=True,
        description="So many a minute at most: they wait for their turn as `scheduled`.",
    )  # fmt: skip
