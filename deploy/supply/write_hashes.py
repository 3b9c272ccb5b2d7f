"""Resolves what an installation needs, within constraints.txt, into ``requirements.hashed.txt``: versions and SHA-256 only.

Run as ``make hashes``. The resolver is uv (https://docs.astral.sh/uv/pip/compile/), for Linux and macOS and all tested
versions of Python at once. No name of a server, no URL and no option is written: whoever installs says where files
come from, and the digests say whether they are the right ones.
"""

from __future__ import annotations

import argparse
import re
import subprocess
import sys
import tomllib
from pathlib import Path
from tempfile import TemporaryDirectory

REPOSITORY = Path(__file__).resolve().parents[2]
TARGET = REPOSITORY / "requirements.hashed.txt"
EXTRAS = ("cytomining", "postgres", "s3")  # what the image of deploy/compose installs
PYTHONS = ">=3.11"
# uv keeps to the lower bound of the versions only; the upper one is a condition like the system.
PLACES = tuple(
    f"sys_platform == '{system}' and python_full_version < '3.14'" for system in ("linux", "darwin")
)
EVERYWHERE = " ; python_full_version < '3.14' and (sys_platform == 'darwin' or sys_platform == 'linux')"
HEADER = """\
# Versions and digests of everything that deploy/compose installs; made by `make hashes`, within constraints.txt.
# Linux and macOS, Python 3.11 to 3.13:
#   pip install --require-hashes -r requirements.hashed.txt && pip install --no-deps --no-build-isolation .
"""


def main() -> None:
    """Write the file, or with ``--check`` fail where it would be another one."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--uv", default="uv", help="the resolver")
    parser.add_argument(
        "--check", action="store_true", help="write nothing, fail where the file is not up to date"
    )
    arguments = parser.parse_args()
    text = HEADER + resolve(arguments.uv)
    check_text(text)
    if not arguments.check:
        TARGET.write_text(text)
    elif text != TARGET.read_text():
        sys.exit(f"{TARGET.name} is not what {arguments.uv} resolves now: make hashes")


def resolve(uv: str) -> str:
    """Pinned requirements with digests, as pip reads them."""
    with TemporaryDirectory() as name:
        project = Path(name) / "pyproject.toml"
        project.write_text(build_project())
        command = [
            uv, "pip", "compile", "pyproject.toml", "--universal", "--python-version", "3.11", "--generate-hashes",
            "--no-header", "--no-annotate", "--no-emit-index-url", "--no-emit-find-links", "--quiet",
            "--constraint", str(REPOSITORY / "constraints.txt"),
        ]  # fmt: skip
        text = subprocess.run(command, cwd=name, check=True, stdout=subprocess.PIPE, text=True).stdout
    # The condition that all lines share goes: with it, pip would install nothing on another system, and say it is done.
    return text.replace(EVERYWHERE, "")


def build_project() -> str:
    """A project that needs what ours needs with `EXTRAS`, and what builds ours."""
    ours = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())
    wanted = [*ours["project"]["dependencies"], *ours["build-system"]["requires"]]
    for extra in EXTRAS:
        wanted += ours["project"]["optional-dependencies"][extra]
    lines = "".join(f"  {requirement!r},\n" for requirement in wanted)
    places = "".join(f'  "{place}",\n' for place in PLACES)
    return (
        f'[project]\nname = "wanted"\nversion = "0"\nrequires-python = "{PYTHONS}"\ndependencies = [\n{lines}]\n'
        f"[tool.uv]\nenvironments = [\n{places}]\n"
    )


def check_text(text: str) -> None:
    """Refuse a file that names a server, or a requirement without a digest."""
    if found := re.search(r"\S*://\S*|--(index|extra-index|find-links)\S*|^-e .*", text, re.MULTILINE):
        sys.exit(f"{TARGET.name} would name a place: {found.group()}")
    for block in re.split(r"\n(?=[A-Za-z0-9])", text.partition("\n\n")[2] or text):
        if "==" in block and "--hash=sha256:" not in block:
            sys.exit(f"no digest: {block.splitlines()[0]}")


if __name__ == "__main__":
    main()
