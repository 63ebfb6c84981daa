"""`agent purposes`: what requests are for, and the template of each."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from agent.cli.exits import EPILOG, FAILED, explain
from agent.cli.opened import Opened, opened
from agent.cli.options import AsJson
from agent.cli.output import add_row, console, new_table, note, say, say_json
from agent.errors import NotStorable, RequestInvalid, TemplateNotFound
from agent.words import visible

if TYPE_CHECKING:
    from agent.intake.purposes import Purpose
    from agent.intake.templates import TemplateSource

app = typer.Typer(help="Purposes: what requests are for.", no_args_is_help=True,
                  rich_markup_mode=None)  # fmt: skip


@app.callback()
def purposes() -> None:
    """Purposes: what requests are for, and the template of each."""


@app.command("load", epilog=EPILOG)
def load(
    file: Annotated[
        Path,
        typer.Argument(
            metavar="FILE", exists=True, dir_okay=False, help="A JSON object of purposes by id."
        ),
    ],
    *,
    as_json: AsJson = False,
) -> None:
    """Store every purpose of a file, each in place of the one of the same id.

    One that is wrong costs only itself; it is named, and the exit code is 1. One whose template is
    not there yet is stored, with a warning.
    """
    from agent.intake.files import read_object_file
    from agent.intake.purposes import read_purposes

    with opened() as found:
        loaded: list[Purpose] = []
        try:
            loaded, wrong = read_purposes(read_object_file(file), found.settings.registry)
        except RequestInvalid as exc:
            wrong = [str(exc)]
        stored, unstorable = _store(found, loaded, quiet=as_json)
        problems = [f"{file}: {problem}" for problem in (*wrong, *unstorable)]
        warnings = _warnings(found, stored) if stored else []
    for problem in problems:
        note(problem)
    for warning in warnings:
        note(f"warning: {warning}")
    if as_json:
        ids = [purpose.id for purpose in stored]
        say_json({"stored": ids, "problems": problems, "warnings": warnings})
    if not loaded and not problems:
        note(f"{file} has no purpose")
    if problems or not loaded:
        raise typer.Exit(FAILED)


@app.command("list", epilog=EPILOG)
def list_purposes(*, as_json: AsJson = False) -> None:
    """List the stored purposes."""
    from agent.intake.purposes import read_purpose

    with opened() as found:
        stored = found.repository.list_purposes()
    if as_json:
        say_json(stored)
        return
    if not stored:
        say("no purpose is stored")
        return
    table = new_table(("id", "template", "keywords", "description"))
    for each in stored:
        try:
            read_purpose(str(each["_id"]), each, found.settings.registry)
        except RequestInvalid as exc:
            note(f"warning: purpose {each['_id']}: {exc}")
        keywords: Any = each.get("keywords")
        words = ", ".join(map(str, keywords)) if isinstance(keywords, list) else ""
        add_row(table, each["_id"], _template_of(each), words, each.get("description") or "")
    console().print(table)


def _template_of(purpose: Mapping[str, Any]) -> str:
    version = purpose.get("version")
    return f"{purpose.get('template_id', '?')}{'' if version is None else f' {version}'}"


def _store(
    found: Opened, purposes: list[Purpose], *, quiet: bool
) -> tuple[list[Purpose], list[str]]:
    """Those that were stored, and why the others were not."""
    stored: list[Purpose] = []
    problems: list[str] = []
    for purpose in purposes:
        try:
            found.repository.store_purpose(purpose.id, purpose.document)
        except NotStorable as exc:
            problems.append(f"purpose {purpose.id!r} cannot be stored: {explain(exc)}")
            continue
        stored.append(purpose)
        if not quiet:
            say(visible(f"{purpose.id} ({purpose.template_id})"))
    return stored, problems


def _warnings(found: Opened, purposes: list[Purpose]) -> list[str]:
    """What keeps a purpose from being used, for now."""
    from agent.intake.templates import TemplateSource

    source = TemplateSource.of(found.repository, found.settings)
    warnings = (_warning(purpose, source) for purpose in purposes)
    return [warning for warning in warnings if warning]


def _warning(purpose: Purpose, source: TemplateSource) -> str | None:
    try:
        template = source.resolve(purpose.template_id, purpose.version)
    except TemplateNotFound:
        version = "" if purpose.version is None else f" version {purpose.version!r}"
        return f"purpose {purpose.id!r}: no template {purpose.template_id!r}{version} is there yet"
    except RequestInvalid as exc:
        return f"purpose {purpose.id!r}: {exc}"
    services = {step.template.service_type for step in template.steps}
    if purpose.service_type is not None and purpose.service_type not in services:
        return (
            f"purpose {purpose.id!r} says {purpose.service_type}, its template "
            f"{purpose.template_id!r} is of {' and '.join(sorted(services))}; the template decides"
        )
    return None
