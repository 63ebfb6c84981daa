"""Makes `docs/settings.md` from `agent/settings.py`, or says whether it is current.

python -m scripts.settings_doc [--check]
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterable, Mapping, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any, Literal, get_args, get_origin

from pydantic import AliasChoices, SecretStr
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from agent.embedded.mongodb import PROGRAM_VARIABLE
from agent.services import BUILT_IN, WEBHOOK
from agent.settings import (
    NOT_BUILT_YET,
    NOT_BUILT_YET_PER_SERVICE,
    ServiceSettings,
    Settings,
)

PAGE = Path("docs/settings.md")

HEAD = """\
# Settings

<!-- Made from agent/settings.py by `make docs`; `make check` fails when it is out of date. -->

Every process reads its settings once, at its start, and looks whether they agree. One that is wrong
stops the start with a line that names the variable and says what to do.

What beats what, the first that is there: what code hands over (`GenerativeWorker(base_url=…)`), the
environment, a file `.env` in the working directory, the default. Of two names for the same setting
the first one in the table wins. A variable that is set to nothing counts as not set. Lists are
separated by spaces.
"""

SERVICES = """\
## One service type

The variables of a service type begin with its own word: `GENERATION_BASE_TIMEOUT`. They beat the
shared one of the same name.
"""

OTHERS = f"""\
## Beside these

| variable | what it is |
|---|---|
| `{PROGRAM_VARIABLE}` | The program that `agent up`, the demo and the tests start as MongoDB, \
when it is not to be SecantusDB's. |
| `AGENT_SANDBOX_KEY` | The bearer key that the sandbox's services (`python -m agent.sandbox`) ask \
for. |
"""


def page() -> str:
    """The whole page."""
    parts = [
        HEAD,
        "## Shared\n\n" + _table(_shared()),
        SERVICES + "\n" + _service_types() + "\n\n" + _table(_per_service()),
        OTHERS,
        _refused(),
    ]
    return "\n".join(part.rstrip("\n") + "\n" for part in parts)


def variables(name: str, field: FieldInfo) -> tuple[str, ...]:
    """The environment variables that set a field, the one that wins first."""
    alias = field.validation_alias
    if isinstance(alias, AliasChoices):
        return tuple(str(choice) for choice in alias.choices)
    return (str(alias) if alias is not None else name.upper(),)


def _shared() -> Iterable[Sequence[str]]:
    for name, field in Settings.model_fields.items():
        yield _row(" or ".join(f"`{each}`" for each in variables(name, field)), field)


def _per_service() -> Iterable[Sequence[str]]:
    own = {"path": "its own", "on_ambiguous": "its own"}
    for name, field in ServiceSettings.model_fields.items():
        variable = variables(name, field)[0]
        yield _row(f"`…_BASE_{variable}`", field, default=own.get(name))


def _service_types() -> str:
    rows = [
        (
            f"`{service.name}`",
            f"`{service.variable_prefix}`",
            f"`{service.path}`",
            f"`{service.on_ambiguous}`",
        )
        for service in BUILT_IN
    ]
    rows.append(("`WEBHOOK` (webhooks.md)", f"`{WEBHOOK.variable_prefix}`", "none", "`retry`"))
    own = ("one of your own (workers.md)", "`{env}_BASE_`", "its `path`", "its `on_ambiguous`")
    return _rows(("service type", "variables begin with", "`PATH`", "`ON_AMBIGUOUS`"), [*rows, own])


def _refused() -> str:
    names = [f"`{name}`" for name in NOT_BUILT_YET]
    names += [f"`…_BASE_{name}`" for name in NOT_BUILT_YET_PER_SERVICE]
    if not names:
        return ""
    return f"""\
## Not built yet

What these configure is still to come. Until then each of them, when set, stops the start:
{", ".join(names)}.
"""


def _row(variable: str, field: FieldInfo, default: str | None = None) -> Sequence[str]:
    shown = (
        default if default is not None else _default(field.get_default(call_default_factory=True))
    )
    what = (field.description or "").replace("|", "\\|")
    return variable, shown, _values(field), what


def _default(value: Any) -> str:
    if value is None or value is PydanticUndefined or value in ((), []):
        return "none"
    if isinstance(value, SecretStr):
        value = value.get_secret_value()
    if isinstance(value, timedelta):
        value = value.total_seconds()
    if isinstance(value, bool):
        return f"`{str(value).lower()}`"
    if isinstance(value, float):
        return f"`{_number(value)}`"
    return f"`{value}`"


def _values(field: FieldInfo) -> str:
    words = _literals(field.annotation)
    if words:
        return ", ".join(f"`{word}`" for word in words)
    bounds = _bounds(field.metadata)
    least, most = bounds.get("ge", bounds.get("gt")), bounds.get("le", bounds.get("lt"))
    if least is None and most is None:
        return _kind(field.annotation)
    return _range(least, most, above="gt" in bounds)


def _range(least: float | None, most: float | None, *, above: bool) -> str:
    """The range in words; `above` says that `least` itself is not in it."""
    match least, most:
        case None, float():
            return f"up to {_number(most)}"
        case float(), None:
            return f"over {_number(least)}" if above else f"{_number(least)} or more"
        case float(), float():
            start = f"over {_number(least)}, up" if above else _number(least)
            return f"{start} to {_number(most)}"
    return ""


def _number(value: float) -> str:
    return f"{value:.0f}" if value == int(value) else f"{value:g}"


def _literals(annotation: Any) -> tuple[str, ...]:
    if get_origin(annotation) is Literal:
        return tuple(str(word) for word in get_args(annotation))
    return tuple(word for part in get_args(annotation) for word in _literals(part))


def _bounds(metadata: Iterable[Any]) -> Mapping[str, float]:
    found: dict[str, float] = {}
    for constraint in metadata:
        for name in ("ge", "gt", "le", "lt"):
            value = getattr(constraint, name, None)
            if value is not None:
                found[name] = _seconds(value)
    return found


def _seconds(value: Any) -> float:
    return value.total_seconds() if isinstance(value, timedelta) else float(value)


def _kind(annotation: Any) -> str:
    kinds = {bool: "`true`, `false`", int: "a whole number", float: "a number"}
    for candidate in (annotation, *get_args(annotation)):
        if candidate in kinds:
            return kinds[candidate]
    return "a list" if get_origin(annotation) is tuple else "a text"


def _table(rows: Iterable[Sequence[str]]) -> str:
    return _rows(("variable", "default", "values", "what it is"), list(rows))


def _rows(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def main(arguments: list[str] | None = None) -> int:
    """Write the page, or look whether it is current."""
    parser = argparse.ArgumentParser(prog="python -m scripts.settings_doc")
    parser.add_argument("--check", action="store_true", help="write nothing; exit 1 if out of date")
    made = page()
    if parser.parse_args(arguments).check:
        if PAGE.is_file() and PAGE.read_text(encoding="utf-8") == made:
            return 0
        print(f"{PAGE} is out of date: run `make docs`", file=sys.stderr)
        return 1
    PAGE.parent.mkdir(exist_ok=True)
    PAGE.write_text(made, encoding="utf-8")
    print(f"{PAGE} is written")
    return 0


if __name__ == "__main__":
    sys.exit(main())
