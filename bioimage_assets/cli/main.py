"""`bioimage-assets`: find the command, run it, turn errors into one line and an exit code.

Exit codes: 0 done, 1 a contract, check or plate failed, 2 the call or its input cannot be used.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from importlib import import_module
from typing import cast

import click

from bioimage_assets.cli.output import INTERRUPTED, OK, USAGE, print_error, print_explain
from bioimage_assets.core.errors import BioimageError
from bioimage_assets.core.extras import build_missing, find_extra_of

PROGRAM = "bioimage-assets"
# Set by the shell's completion script, which Click writes.
COMPLETION_VARIABLE = "_BIOIMAGE_ASSETS_COMPLETE"
FAMILIES = {
    "scan_commands": "scan summarize",
    "catalog_commands": "register ingest publish-chunks register-directory register-profiles deregister",
    "upkeep_commands": "tables maintain tag rollback",
    "warehouse_commands": "export-cytomining export-cytomining-catalog export-cytomining-profiles "
    "validate-warehouse convert-layout",
    "profile_commands": "validate-contract join-profiles locate completeness init-dataset",
    "query_commands": "query",
    "browse_command": "browse",
    "crop_commands": "export-crops",
    "anndata_command": "export-anndata",
    "biofile_command": "biofile-finder",
    "release_commands": "release verify-release diff",
    "virtual_plate_command": "virtual-plate",
    "samplesheet_command": "samplesheet",
    "gallery_command": "gallery",
    "partition_commands": "partitions",
    "materialize_command": "materialize",
    "status_command": "status",
    "explain_command": "explain",
    "example_command": "example-data",
    "completion": "completion",
}
COMMANDS = {name: family for family, names in FAMILIES.items() for name in names.split()}


class Program(click.Group):
    """All commands; the module of one is imported when it is asked for."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        module = import_module(f"bioimage_assets.cli.{COMMANDS[cmd_name]}")
        return cast("click.Command", getattr(module, cmd_name.replace("-", "_")))

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        if args[0] not in COMMANDS and not ctx.resilient_parsing:
            raise click.NoSuchCommand(args[0], possibilities=COMMANDS, ctx=ctx)
        return super().resolve_command(ctx, args)


@click.group(cls=Program, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="bioimage_assets", message=f"{PROGRAM} %(version)s")
def program() -> None:
    """Image-based profiling data from pixels to profiles: scan, catalogue, join, export."""


def main(argv: Sequence[str] | None = None, called_as: str = PROGRAM) -> int:
    """Run one command and give its exit code; help calls the program as it was called."""
    try:
        if COMPLETION_VARIABLE in os.environ:
            from click.shell_completion import shell_complete

            return shell_complete(program, {}, PROGRAM, COMPLETION_VARIABLE, os.environ[COMPLETION_VARIABLE])
        with program.make_context(called_as, list(sys.argv[1:] if argv is None else argv)) as context:
            code = program.invoke(context) or OK
            print_explain(context)
        sys.stdout.flush()  # here, where a reader that has gone is not an error
        return int(code)
    except click.exceptions.Exit as stop:  # --help and --version
        return stop.exit_code
    except click.ClickException as error:
        error.show()
        return error.exit_code
    except BioimageError as error:
        print_error(error)
        return USAGE
    except ModuleNotFoundError as error:
        extra = find_extra_of(error)
        if extra is None:  # a fault of ours, and its traceback is wanted
            raise
        print_error(build_missing("This command", extra.name))
        return USAGE
    except KeyboardInterrupt:
        return _end_interrupted()
    except RuntimeError as error:
        # DuckDB's word for a Ctrl-C; any other is a fault of ours, and its traceback is wanted.
        if str(error) != "Query interrupted":
            raise
        return _end_interrupted()
    except BrokenPipeError:  # the reader of the output (head, less) has closed it
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except OSError as error:  # a full disk, a folder that may not be written
        print_error(error)
        return USAGE


def _end_interrupted() -> int:
    print_error("interrupted; what was stored before is complete")
    return INTERRUPTED


if __name__ == "__main__":
    sys.exit(main())
