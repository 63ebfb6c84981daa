"""Options that several verbs share."""

from __future__ import annotations

from typing import Annotated

import typer

AsJson = Annotated[bool, typer.Option("--json", help="Print JSON, for programs.")]
Ids = Annotated[
    list[str],
    typer.Argument(
        metavar="ID",
        help='Of contexts. One that is no string as extended JSON, such as {"$oid": "…"}, or the '
        "digits of an ObjectId or a UUID.",
        show_default=False,
    ),
]
ServiceName = Annotated[
    str, typer.Argument(metavar="SERVICE", help="A service type, in any case of letters.")
]
OptionalIds = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="ID",
        help='Of contexts. One that is no string as extended JSON, such as {"$oid": "…"}, or the '
        "digits of an ObjectId or a UUID. Or give --all.",
        show_default=False,
    ),
]
OfService = Annotated[
    str | None,
    typer.Option("--service", metavar="SERVICE", help="Only of this one.", show_default=False),
]
OfKind = Annotated[
    str | None,
    typer.Option(
        "--kind",
        "--fingerprint",
        metavar="KIND",
        help="Only with this kind of error, as agent dead lists them.",
        show_default=False,
    ),
]
OfError = Annotated[
    str | None,
    typer.Option(
        "--error", metavar="TYPE", help="Only with this type of error.", show_default=False
    ),
]
OfTag = Annotated[
    str | None,
    typer.Option(
        "--tag",
        metavar="NAME=VALUE",
        help="Only with this tag; a word alone is one of a list of tags.",
        show_default=False,
    ),
]
Priority = Annotated[
    int | None,
    typer.Option(
        min=1, max=10, metavar="1…10", help="1 goes first; 5 if not said.", show_default=False
    ),
]
NotBefore = Annotated[
    str | None,
    typer.Option(
        metavar="TIME",
        help="Not before then: 2030-01-31T12:00:00Z, or +15m for in 15 minutes.",
        show_default=False,
    ),
]
Tags = Annotated[
    list[str] | None,
    typer.Option(metavar="NAME=VALUE", help="May be repeated.", show_default=False),
]
