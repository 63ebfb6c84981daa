"""JSON files that people wrote: templates and purposes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, NoReturn

from agent.errors import RequestInvalid
from agent.intake.context_manager import check_depth
from agent.intake.values import kind_of

MAX_FILE_BYTES = 15 * 1024 * 1024


def read_object_file(file: Path) -> dict[str, Any]:
    """The JSON object in a file.

    Raises:
        RequestInvalid: it cannot be read, or holds something else; the file is not named.
    """
    try:
        if file.stat().st_size > MAX_FILE_BYTES:
            raise RequestInvalid(f"is larger than {MAX_FILE_BYTES // 2**20} MB")
        text = file.read_text(encoding="utf-8-sig")
        content = json.loads(text, parse_constant=_refuse_constant)
    except OSError as exc:
        raise RequestInvalid(f"cannot be read ({exc.strerror})") from exc
    except UnicodeDecodeError as exc:
        raise RequestInvalid("is not UTF-8") from exc
    except (ValueError, RecursionError) as exc:
        raise RequestInvalid(f"is not JSON ({exc})") from exc
    if not isinstance(content, dict):
        raise RequestInvalid(f"holds {kind_of(content)}, not an object")
    check_depth("the file", content)
    return content


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is no JSON")
