"""Fetches a few of the files that ``requirements.hashed.txt`` pins: pip takes them, and refuses them under another digest.

Run as ``make check-hashes``; needs whatever place pip installs from. The whole file is a gigabyte, so it is a sample.
"""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

HASHED = Path(__file__).resolve().parents[2] / "requirements.hashed.txt"
SAMPLE = ("filelock", "tenacity", "orjson", "certifi", "markupsafe")


def main() -> None:
    """Exit with an error where pip does not take the sample, or takes it with changed digests."""
    blocks = re.split(r"\n(?=\S)", HASHED.read_text())
    wanted = (
        "\n".join(block for block in blocks if block.startswith(tuple(f"{name}==" for name in SAMPLE))) + "\n"
    )
    if wanted.count("==") != len(SAMPLE):
        sys.exit(f"{HASHED.name} holds not all of {', '.join(SAMPLE)}")
    if download(wanted) != 0:
        sys.exit("pip refused a file by its digest: make hashes, and look why it changed")
    if download(re.sub(r"(?<=sha256:)\S+", lambda digest: digest[0][::-1], wanted)) == 0:
        sys.exit("pip took files whose digests are others")
    print(f"{', '.join(SAMPLE)}: taken with their digests, refused with others")


def download(requirements: str) -> int:
    """Exit code of pip for these requirements, into a folder that goes."""
    with TemporaryDirectory() as folder:
        path = Path(folder) / "wanted.txt"
        path.write_text(requirements)
        command = [
            sys.executable,
            "-m",
            "pip",
            "download",
            "--quiet",
            "--no-deps",
            "--require-hashes",
            "--dest",
            folder,
        ]
        return subprocess.run(
            [*command, "--requirement", str(path)], stderr=subprocess.DEVNULL, check=False
        ).returncode


if __name__ == "__main__":
    main()
