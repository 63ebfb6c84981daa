"""GENERATIVE's job: fills a template with the request's data."""

import json
import re
from collections.abc import Mapping
from typing import Any

from agent.sandbox.incoming import Call
from agent.sandbox.replies import Reply, json_reply

_PLACEHOLDER = re.compile(r"\{\{\s*([\w.-]+)\s*\}\}")
_POSITION = re.compile(r"[0-9]{1,9}")
_MISSING = object()


def generate(call: Call) -> Reply:
    """The template's `prompt`, `template` or `text`, or else the request's text, filled."""
    request = call.context.get("request")
    request_text = request.get("text") if isinstance(request, dict) else None
    candidates = [call.template_data.get(name) for name in ("prompt", "template", "text")]
    prompt = next((text for text in [*candidates, request_text] if isinstance(text, str)), None)
    if prompt is None:
        error = "template_data has no prompt, template or text"
        return json_reply({"success": False, "request_id": call.request_id, "error": error})
    text = fill(prompt, call)
    usage = {"prompt_tokens": len(prompt.split()), "completion_tokens": len(text.split())}
    return json_reply(
        {"success": True, "request_id": call.request_id, "text": text, "usage": usage}
    )


def fill(template: str, call: Call) -> str:
    """Each `{{name}}` replaced by the request's data, or by what earlier steps gave
    (`{{inputs.draft.text}}`); a name that leads nowhere stays as it is."""

    def value(match: re.Match[str]) -> str:
        path = match[1].split(".")
        for root in (call.data, {"inputs": call.context.get("inputs")}):
            found = _follow(root, path)
            if found is not _MISSING:
                return found if isinstance(found, str) else json.dumps(found, ensure_ascii=False)
        return match[0]

    return _PLACEHOLDER.sub(value, template)


def _follow(root: Mapping[str, Any], path: list[str]) -> Any:
    """What stands at a path of names and list positions, or `_MISSING`."""
    found: Any = root
    for name in path:
        if isinstance(found, Mapping) and name in found:
            found = found[name]
        elif isinstance(found, list) and _POSITION.fullmatch(name) and int(name) < len(found):
            found = found[int(name)]
        else:
            return _MISSING
    return found
