"""All verbs put together, and how any of them ends."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from io import TextIOWrapper

import typer

from agent.cli import (
    batch,
    cancel,
    completion,
    dead,
    hash_password,
    listing,
    pausing,
    purposes,
    retry,
    run_now,
    schedules,
    services,
    setup,
    show,
    status,
    submit,
    tail,
    templates,
    terms,
    up,
)
from agent.cli.arguments import fill_in_wait
from agent.cli.demo import command as demo
from agent.cli.exits import EPILOG, FAILED, FINE, exit_code, explain
from agent.cli.output import note
from agent.errors import AgentError

# rich would take a quarter of a second to draw the help, and a box of five lines for one error
app = typer.Typer(
    name="agent",
    help="Keeps requests as contexts in MongoDB, and sees to it that services carry them out.",
    epilog=EPILOG,
    add_completion=False,
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)

VERBS: tuple[tuple[str, Callable[..., None], str], ...] = (
    ("up", up.up, "Run the whole system until Ctrl-C."),
    ("demo", demo.demo, "Do the main job from start to end, and check it."),
    ("setup", setup.setup, "Create the indexes, and check both servers."),
    ("submit", submit.submit, "Store a request, and print its context's id."),
    ("tail", tail.tail, "Follow a request until it is final, or all contexts."),
    ("show", show.show, "Show a context, and why it is where it is."),
    ("list", listing.list_contexts, "List the newest contexts."),
    ("dead", dead.dead, "List what failed by kind."),
    ("status", status.status, "Show what each service has, and its workers."),
    ("cancel", cancel.cancel, "Cancel contexts that are not final."),
    ("retry", retry.retry, "Begin failed or cancelled contexts anew."),
    ("run-now", run_now.run_now, "Let scheduled contexts wait no longer."),
    ("priority", terms.priority, "Give contexts another priority."),
    ("postpone", terms.postpone, "Let scheduled contexts wait until another time."),
    ("deadline", terms.deadline, "Give contexts another deadline, or none."),
    ("pause", pausing.pause, "Give a service no more calls."),
    ("resume", pausing.resume, "End a service's pause."),
    ("hash-password", hash_password.hash_password, "Make the hash of a dashboard user."),
    ("completion", completion.completion, "Print what has a shell complete verbs and options."),
)

for _name, _verb, _summary in VERBS:
    app.command(_name, short_help=_summary, epilog=EPILOG)(_verb)
app.add_typer(batch.app, name="batch")
app.add_typer(templates.app, name="templates")
app.add_typer(purposes.app, name="purposes")
app.add_typer(schedules.app, name="schedules")
app.add_typer(services.app, name="services")


def run(arguments: Sequence[str]) -> int:
    """Run one command; its exit code. An error of ours is one line on stderr, never a traceback."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")  # a terminal that has no `…`, say
    if completion.is_asked():
        completion.know_shells()
    try:
        app(fill_in_wait(arguments), prog_name="agent")
    except AgentError as exc:
        note(explain(exc))
        return exit_code(exc)
    except SystemExit as exc:
        return exc.code if isinstance(exc.code, int) else FINE if exc.code is None else FAILED
    return FINE
