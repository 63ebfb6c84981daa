"""`agent templates`: a folder of templates into the collection, and what is there."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from agent.cli.exits import EPILOG, FAILED, explain
from agent.cli.opened import Opened, opened
from agent.cli.options import AsJson
from agent.cli.output import add_row, console, new_table, note, say, say_json
from agent.errors import NotStorable, TemplateNotFound
from agent.words import moment, visible

if TYPE_CHECKING:
    from agent.models import Document

LONGEST_LIST = 1000
STORED, FILE = "collection", "file"

app = typer.Typer(help="Templates: what can be asked for.", no_args_is_help=True,
                  rich_markup_mode=None)  # fmt: skip


@app.callback()
def templates() -> None:
    """Templates: what can be asked for."""


@app.command("load", epilog=EPILOG)
def load(
    folder: Annotated[
        Path, typer.Argument(metavar="DIR", exists=True, file_okay=False, help="Of JSON files.")
    ],
    *,
    as_json: AsJson = False,
) -> None:
    """Store every template of a folder, each in place of the same version.

    A file that is wrong costs only itself; it is named, and the exit code is 1.
    """
    from agent.intake.templates import TemplateSource

    stored: list[dict[str, str]] = []
    with opened() as found:
        source = TemplateSource(None, registry=found.settings.registry)
        loaded = source.load_folder(folder)
        problems = source.problems
        for template in loaded:
            try:
                found.repository.store_template(template.document)
            except NotStorable as exc:
                name = f"template {template.id!r} version {template.version!r}"
                problems.append(f"{folder}: {name} cannot be stored: {explain(exc)}")
                continue
            stored.append({"id": template.id, "version": template.version})
            if not as_json:
                say(visible(f"{template.id} {template.version} ({template.summary})"))
    for problem in problems:
        note(problem)
    if as_json:
        say_json({"stored": stored, "problems": problems})
    if not loaded and not problems:
        note(f"{folder} has no *.json file")
    if problems or not loaded:
        raise typer.Exit(FAILED)


@app.command("list", epilog=EPILOG)
def list_templates(*, as_json: AsJson = False) -> None:
    """List the templates that are there.

    Those of the collection, then those of the folders of AGENT_TEMPLATES.
    """
    with opened() as found:
        rows = list(_listed(found))
    if as_json:
        say_json(rows)
        return
    if not rows:
        say("no template is there")
        return
    table = new_table(("id", "version", "service or steps", "from", "stored"))
    for row in rows:
        stored_at = row.get("stored_at")
        add_row(
            table,
            *(row["id"], row["version"], row["summary"], row["from"]),
            moment(stored_at) if stored_at is not None else "",
        )
    console().print(table)


@app.command("show", epilog=EPILOG)
def show(
    template_id: Annotated[str, typer.Argument(metavar="ID", help="Of a template.")],
    *,
    version: Annotated[
        str | None,
        typer.Option(metavar="VERSION", help="The highest if not said.", show_default=False),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Show a template, as it is stored."""
    with opened() as found:
        source = found.templates()
        try:
            template = source.resolve(template_id, version)
        except TemplateNotFound as exc:
            note(explain(exc))
            raise typer.Exit(FAILED) from None
    if as_json:
        say_json(template.document)
        return
    say(visible(f"{template.id} {template.version} ({template.summary})"))
    for parameter in template.parameters:
        need = "required" if parameter.required else "optional"
        say(visible(f"  data.{parameter.name}: {parameter.type}, {need}"))
    for line in _body_of(template.document):
        say(visible(line))


def _body_of(document: Mapping[str, Any]) -> Iterator[str]:
    """What the template does, as JSON for people."""
    body = document.get("steps") or document.get("service_template")
    yield from json.dumps(body, indent=2, default=str, ensure_ascii=False).splitlines()


def _listed(found: Opened) -> Iterator[Document]:
    """A row for each version of each template, without its body."""
    from agent.intake.templates import summary_of
    from agent.versions import version_order, version_text

    stored = found.repository.list_templates(LONGEST_LIST + 1)
    if len(stored) > LONGEST_LIST:
        note(f"warning: there are more than {LONGEST_LIST}; the first of them by id")
    rows = [
        {
            "id": str(each.get("id", each["_id"])),
            "version": version_text(each.get("version")),
            **{name: each[name] for name in ("service_type", "steps", "stored_at") if name in each},
            "summary": summary_of(each),
            "from": STORED,
        }
        for each in stored[:LONGEST_LIST]
    ]
    yield from sorted(rows, key=lambda row: (row["id"], version_order(row["version"])))
    for template in found.templates().loaded:
        brief = [
            {"key": step.key, "service_type": step.template.service_type, "after": [*step.after]}
            for step in template.steps
        ]
        what = {"steps": brief} if "steps" in template.document else brief[0]["service_type"]
        yield {
            "id": template.id,
            "version": template.version,
            **(what if isinstance(what, dict) else {"service_type": what}),
            "summary": template.summary,
            "from": FILE,
        }
