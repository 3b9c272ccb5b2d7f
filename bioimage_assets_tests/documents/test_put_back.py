"""What a page did to the clone is undone for the next page: files changed, removed and made, links and folders."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from bioimage_assets_tests.documents.conftest import list_files, put_back


def test_a_folder_that_was_worked_in_is_again_what_its_copy_is(tmp_path: Path) -> None:
    folder, kept = tmp_path / "clone", tmp_path / "kept"
    (folder / "data" / "plate").mkdir(parents=True)
    for name in ("read", "changed", "removed", "data/deep", "data/plate/0"):
        (folder / name).write_text(name)
    (folder / "link").symlink_to("read")
    shutil.copytree(folder, kept, symlinks=True)
    untouched = (folder / "read").stat().st_ino

    at = (folder / "changed").stat()
    (folder / "changed").write_text("CHANGED")  # of the same size
    os.utime(folder / "changed", ns=(at.st_atime_ns, at.st_mtime_ns + 1))
    (folder / "removed").unlink()
    shutil.rmtree(folder / "data" / "plate")
    (folder / "data" / "plate").write_text("a file where a folder was")
    (folder / "link").unlink()
    (folder / "link").mkdir()
    (folder / "link" / "made").write_text("a folder where a link was")
    (folder / "made" / "by" / "page").mkdir(parents=True)
    (folder / "made" / "link").symlink_to("nowhere")

    put_back(kept, folder)

    assert list_files(folder) == list_files(kept)
    assert (folder / "changed").read_text() == "changed"
    assert (folder / "data" / "plate" / "0").read_text() == "data/plate/0"
    assert (folder / "link").readlink() == Path("read")
    assert (folder / "data").stat().st_mtime_ns == (kept / "data").stat().st_mtime_ns
    assert (folder / "read").stat().st_ino == untouched  # was not written again
