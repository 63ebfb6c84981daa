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
