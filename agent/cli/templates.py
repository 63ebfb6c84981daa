"""`agent templates load`: a folder of templates into the collection."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from agent.cli.exits import EPILOG, FAILED
from agent.cli.opened import opened
from agent.cli.options import AsJson
from agent.cli.output import note, say, say_json
from agent.words import visible

app = typer.Typer(help="Stored templates.", no_args_is_help=True, rich_markup_mode=None)


@app.callback()
def templates() -> None:
    """Stored templates."""


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

    with opened() as found:
        source = TemplateSource(None, registry=found.settings.registry)
        loaded = source.load_folder(folder)
        for template in loaded:
            found.repository.store_template(template.model_dump())
            if not as_json:
                say(visible(f"{template.id} {template.version} ({template.service_type})"))
    for problem in source.problems:
        note(problem)
    if as_json:
        stored = [{"id": template.id, "version": template.version} for template in loaded]
        say_json({"stored": stored, "problems": source.problems})
    if not loaded and not source.problems:
        note(f"{folder} has no *.json file")
    if source.problems or not loaded:
        raise typer.Exit(FAILED)
