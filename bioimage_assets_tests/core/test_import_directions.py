"""The rooms of ``core`` import in one direction, and only ``stores`` opens images."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

CORE = Path(__file__).parents[2] / "bioimage_assets" / "core"
# From the bottom up. A room imports rooms of lower levels only; those of one level know nothing of each other.
LEVELS = (
    "findings page_html files_of_the_day user_pattern_worker sql storage_options parquet_checksums browse_link",
    "errors",
    "extras finding_codes error_codes",
    "model arrow_frames scratch user_pattern phrases",
    "stores settings sql_files near_names",
    "tables text_files",
    "formats",
    "scan discovery",
    "catalog warehouse joins measurements",
    "storage",
    "engines release",
    "pixels profiling samplesheets",
    "virtual batch_effects hits image_quality",
    "pictures anndata",
    "public_api",
)
LEVEL = {room: level for level, rooms in enumerate(LEVELS) for room in rooms.split()}
# What opens an image, by library.
OPENERS = ("zarr.storage.", "obstore.store.", "tifffile.TiffFile()")


def _uses(path: Path) -> Iterator[str]:
    """Dotted names that a module imports, and those it calls with ``()`` behind them."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield from (f"{node.module}.{alias.name}" for alias in node.names)
        elif isinstance(node, ast.Call):
            yield f"{ast.unparse(node.func)}()"


def _is_upward(module: str, used: str) -> bool:
    package, _, inside = used.partition(".")
    if package != "bioimage_assets" or used.endswith("()"):
        return False
    room, target = module.removesuffix(".py").split("/")[0], inside.split(".")[1]
    is_core = inside.startswith("core.")
    return not is_core or (target != room and LEVEL[target] >= LEVEL[room])


@pytest.mark.slow
def test_a_module_imports_only_its_room_and_what_stands_below() -> None:
    modules = {str(path.relative_to(CORE)): path for path in CORE.rglob("*.py")}
    assert not [
        (name, used) for name, path in modules.items() for used in _uses(path) if _is_upward(name, used)
    ]
    assert _is_upward("joins/keys.py", "bioimage_assets.core.warehouse.root.Root")
    assert _is_upward("catalog/read.py", "bioimage_assets.metadata.rows")


def test_only_stores_opens_images() -> None:
    others = [path for path in CORE.rglob("*.py") if path.relative_to(CORE).parts[0] != "stores"]
    assert not [(path, used) for path in others for used in _uses(path) if used.startswith(OPENERS)]
