"""The page `docs/settings.md` and how it is made."""

from __future__ import annotations

from pathlib import Path

import pytest

from agent.settings import NOT_BUILT_YET, ServiceSettings, Settings
from scripts import settings_doc


def test_every_setting_has_its_row() -> None:
    """None is left out, of the shared ones and of a service type's."""
    page = settings_doc.page()
    for name, field in Settings.model_fields.items():
        for variable in settings_doc.variables(name, field):
            assert f"`{variable}`" in page
    for name in ServiceSettings.model_fields:
        assert f"| `…_BASE_{name.upper()}` |" in page
    for name in NOT_BUILT_YET:
        assert f"`{name}`" in page


@pytest.mark.parametrize(
    "row",
    [
        "| `PORT` | `8000` | 0 to 65535 | Where `web` listens. |",
        "| `REDIS_TLS_URL` or `REDIS_URL` | `redis://127.0.0.1:6379/0` | a text |",
        "| `AGENT_ENV` | `production` | `production`, `development` |",
        "| `…_BASE_TIMEOUT` | `60` | over 0, up to 3600 |",
        "| `…_BASE_MAX_IN_FLIGHT` | `1000` | 1 or more |",
        "| `…_BASE_ON_AMBIGUOUS` | its own | `retry`, `park` |",
        "| `COMMUNICATION` | `COMMUNICATION_BASE_` | `/api/v1/communicate` | `park` |",
    ],
)
def test_a_row_says_default_and_values(row: str) -> None:
    """In the words of a person."""
    assert row in settings_doc.page()


def test_a_page_that_is_out_of_date_is_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """`--check` writes nothing, and says what to run."""
    monkeypatch.chdir(tmp_path)
    assert settings_doc.main(["--check"]) == 1
    assert "run `make docs`" in capsys.readouterr().err
    assert settings_doc.main([]) == 0
    assert settings_doc.main(["--check"]) == 0
