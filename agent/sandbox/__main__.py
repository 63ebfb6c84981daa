"""The command line: `python -m agent.sandbox`."""

import asyncio
import json
import tempfile
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Annotated

import typer

from agent.errors import ConfigurationError
from agent.sandbox.server import bind, create_services, serve, write_whole

Port = Annotated[int, typer.Option(min=0, max=65535, help="0 takes a free port.")]

cli = typer.Typer(add_completion=False, pretty_exceptions_enable=False)


@cli.command()
def main(
    *,
    host: str = "127.0.0.1",
    generation_port: Port = 0,
    analysis_port: Port = 0,
    communication_port: Port = 0,
    data: Annotated[
        Path | None, typer.Option(help="Keeps the outbox and the record of calls.")
    ] = None,
    api_key: Annotated[
        str | None, typer.Option(envvar="AGENT_SANDBOX_KEY", help="Bearer key that calls need.")
    ] = None,
    ready_file: Annotated[
        Path | None, typer.Option(help="Gets the base URLs, once all three answer.")
    ] = None,
) -> None:
    """Serve the three Base services on three ports, until SIGTERM or Ctrl-C."""

    def announce(urls: Mapping[str, str]) -> None:
        line = json.dumps(urls)
        if ready_file is not None:
            write_whole(ready_file, line + "\n")
        typer.echo(line)

    try:
        with ExitStack() as stack:
            if ready_file is not None:
                ready_file.unlink(missing_ok=True)  # an earlier run's says nothing about this one
            ports = (generation_port, analysis_port, communication_port)
            listeners = [stack.enter_context(bind(host, port)) for port in ports]
            scratch = data or Path(stack.enter_context(tempfile.TemporaryDirectory()))
            services = create_services(
                outbox_dir=scratch / "outbox", record_dir=data, api_key=api_key
            )
            asyncio.run(serve(services, listeners, announce))
    except (ConfigurationError, OSError) as exc:
        typer.echo(f"agent.sandbox: {exc}", err=True)
        raise typer.Exit(2) from exc


if __name__ == "__main__":
    cli(prog_name="python -m agent.sandbox")
