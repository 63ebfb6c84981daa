"""`python -m scripts.screenshots`: writes `docs/dashboard/*.png`, which docs/dashboard.md shows."""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path

from agent.cli.opened import opened
from agent.embedded import Supervisor
from scripts.browser import running_browser
from scripts.screenshots.pictures import PICTURES, take
from scripts.screenshots.population import populate
from scripts.screenshots.processes import alive, workers
from scripts.screenshots.stage import servers_at, web_at

FOLDER = Path(__file__).parents[2] / "docs" / "dashboard"


def main() -> None:
    """Make the system up, and photograph its pages."""
    parser = argparse.ArgumentParser(prog="python -m scripts.screenshots", description=__doc__)
    parser.add_argument("names", nargs="*", help="which; all of them where none is named")
    parser.add_argument("--folder", type=Path, default=FOLDER, help="where they are written")
    asked = parser.parse_args()
    wanted = tuple(each for each in PICTURES if not asked.names or each.name in asked.names)
    supervisor, began = Supervisor(), time.monotonic()
    with tempfile.TemporaryDirectory(prefix="agent-pictures-") as name:
        folder = Path(name)
        with servers_at(folder / "servers", supervisor), opened() as found:
            running = populate(found.repository, found.client, found.settings)
            print(f"the system is made up, after {time.monotonic() - began:.0f} s")
            views = workers(running, found.repository.now())
            with (
                web_at(folder, supervisor) as url,
                alive(views, found.repository, found.client),
                running_browser() as browser,
            ):
                take(browser, url, asked.folder, wanted)
    for each in wanted:
        path = asked.folder / f"{each.name}.png"
        print(f"{path.stat().st_size / 1024:5.0f} KB  {path.name}")


if __name__ == "__main__":
    main()
