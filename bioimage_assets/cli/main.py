"""`bioimage-assets`: parse the command line, run one command, turn errors into one line and an exit code.

Exit codes: 0 done, 1 a contract, check or plate failed, 2 the call or its input cannot be used.
"""

import argparse
import os
import sys
from collections.abc import Sequence
from importlib import import_module

from bioimage_assets.cli.output import USAGE, print_error
from bioimage_assets.core.errors import BioimageError

FAMILIES = (
    "bioimage_assets.cli.scan_commands",
    "bioimage_assets.cli.catalog_commands",
    "bioimage_assets.cli.upkeep_commands",
    "bioimage_assets.cli.warehouse_commands",
    "bioimage_assets.cli.profile_commands",
    "bioimage_assets.cli.query_commands",
    "bioimage_assets.cli.plate_commands",
    "bioimage_assets.cli.completion",
)


class _Version(argparse.Action):
    """Print the version; looked up only when it is asked for."""

    def __call__(self, parser: argparse.ArgumentParser, *_: object) -> None:
        from importlib.metadata import version

        print(f"bioimage-assets {version('bioimage_assets')}")
        parser.exit()


def build_parser() -> argparse.ArgumentParser:
    """All commands; a family's module is light, what a command calls is imported when it runs."""
    parser = argparse.ArgumentParser(
        prog="bioimage-assets",
        description="Image-based profiling data from pixels to profiles: scan, catalogue, join, export.",
    )
    parser.add_argument("--version", action=_Version, nargs=0, help="print the version and exit")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", required=True)
    for family in FAMILIES:
        import_module(family).add_commands(commands)
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command and give its exit code."""
    arguments = build_parser().parse_args(argv)
    try:
        code = int(arguments.handler(arguments) or 0)
        sys.stdout.flush()  # here, where a reader that has gone is not an error
        return code
    except BioimageError as error:
        print_error(error)
        return USAGE
    except KeyboardInterrupt:
        print_error("interrupted; what was stored before is complete")
        return 130
    except BrokenPipeError:  # the reader of the output (head, less) has closed it
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except OSError as error:  # a full disk, a folder that may not be written
        print_error(error)
        return USAGE


if __name__ == "__main__":
    sys.exit(main())
