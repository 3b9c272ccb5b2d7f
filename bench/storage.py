"""What storing costs, as ratios: the Iceberg catalog and the Parquet warehouse root at the sizes of a real screen.

    python bench/storage.py [--folder <scratch folder>] [--plates 100] [--chunks 120000] [--commits 500]

Pass criteria: 100 plates in a batch are one commit per table; replacing one plate's 120,000 chunk rows takes at most
3 × the bare Parquet file, in the catalog and in the root; the last of 500 commits take at most 2 × the first with
maintenance on; streams of millions of rows stay within 1.5 GB. The parts, with criteria of their own, are
``_storage_catalog.py`` and ``_storage_warehouse.py``; every step is a process of its own.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).resolve().parent


def main() -> int:
    """Run both parts; 1 where a criterion is missed."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--folder", type=Path, help="scratch folder; default: a temporary one")
    parser.add_argument("--plates", type=int, default=100)
    parser.add_argument("--chunks", type=int, default=120_000)
    parser.add_argument("--commits", type=int, default=500)
    parser.add_argument("--stream-rows", type=int, default=2_000_000)
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="bench-storage-", dir=chosen.folder) as folder:
        sizes = ["--plates", str(chosen.plates), "--chunks", str(chosen.chunks)]
        catalog = [*sizes, "--commits", str(chosen.commits), "--stream-rows", str(chosen.stream_rows)]
        warehouse = [*sizes, "--stream-rows", str(max(10_000, chosen.stream_rows // 4))]
        failed = [
            script
            for script, arguments in (("_storage_catalog.py", catalog), ("_storage_warehouse.py", warehouse))
            if _run(script, [*arguments, "--folder", f"{folder}/{script.removesuffix('.py')}"])
        ]
    if failed:
        print(f"missed in {', '.join(failed)}")
    return 1 if failed else 0


def _run(script: str, arguments: list[str]) -> int:
    print(f"-- {script}", flush=True)
    return subprocess.run(
        [sys.executable, str(HERE / script), *arguments], check=False, cwd=HERE.parent
    ).returncode


if __name__ == "__main__":
    sys.exit(main())
