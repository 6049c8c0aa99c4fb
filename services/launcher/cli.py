"""The `helicon` command. What a subcommand needs is imported when it is called, so that help comes at once."""

import importlib
import sys
from typing import cast

import click

from services.launcher.errors import LauncherError

COMMANDS = {
    "up": ("up", "Run everything on this machine."),
    "gateway": ("parts", "Run a gateway in the foreground."),
    "worker": ("parts", "Run a worker in the foreground."),
    "demo-upstream": ("parts", "Run the demo upstream in the foreground."),
    "migrate": ("migrate", "Bring the database to the newest schema."),
    "app": ("apps", "Make and change apps."),
    "key": ("keys", "Make and revoke API keys."),
    "user": ("users", "Show users and their tokens, and grant more."),
}
"""By name: the module of `commands` that has it (as a function of the same name), and its line in the help."""

EPILOG = """\b
Example:
  helicon up
  helicon up --port 9000 -max_tokens=500"""


class LazyGroup(click.Group):
    """Subcommands that are imported when they are asked for."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click's signature
        """Their names, in the order of the table."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002 - as above
        """Import one."""
        if cmd_name not in COMMANDS:
            return None
        module = importlib.import_module(f"services.launcher.commands.{COMMANDS[cmd_name][0]}")
        return cast("click.Command", getattr(module, cmd_name.replace("-", "_")))

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002 - as above
        """List them without importing them."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, line) for name, (_, line) in COMMANDS.items()])


@click.group(cls=LazyGroup, epilog=EPILOG)
@click.version_option(package_name="helicon", message="%(prog)s %(version)s")
def helicon() -> None:
    """Helicon: a self-hosted AI backend."""


def main() -> int:
    """Run the command line; the exit code is 0 done, 1 failed, 2 wrong use or wrong environment."""
    try:
        return int(helicon.main(prog_name="helicon", standalone_mode=False) or 0)
    except click.exceptions.NoArgsIsHelpError as error:
        error.show()
        return error.exit_code
    except click.ClickException as error:
        return _fail(error.format_message(), error.exit_code)
    except LauncherError as error:
        return _fail(str(error), error.exit_code)
    except (click.Abort, KeyboardInterrupt):
        return 1


def _fail(message: str, code: int) -> int:
    print(f"helicon: {' '.join(message.split())}", file=sys.stderr)  # noqa: T201 - what the command says
    return code
