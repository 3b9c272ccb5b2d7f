"""Which modules are changed, and which tests should notice: those that stand beside them."""

from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


@dataclass(frozen=True, slots=True)
class Room:
    """Modules of one idea (files or folders below ``core``) and their tests (below ``bioimage_assets_tests``)."""

    name: str
    modules: tuple[str, ...]
    tests: tuple[str, ...]

    def module_paths(self) -> list[Path]:
        """Files of the modules, in the order of their names."""
        core = ROOT / "bioimage_assets" / "core"
        found = [path for name in self.modules for path in sorted(core.glob(name))]
        if not found:
            raise FileNotFoundError(f"Room {self.name}: no module of {self.modules} below {core}")
        return [path for path in found if path.name != "__init__.py"]

    def test_paths(self) -> list[Path]:
        """Test files, in the order of their names."""
        tests = ROOT / "bioimage_assets_tests"
        return sorted({path for name in self.tests for path in tests.glob(name)})


ROOMS = (
    Room(
        "joins",
        ("joins/*.py",),
        ("core/joins/test_*.py", "properties/test_join_rows.py"),
    ),
    Room("pixels", ("pixels/*.py",), ("core/pixels/test_*.py", "core/joins/test_join_*.py")),
    Room(
        "discovery",
        ("discovery/*.py",),
        ("core/discovery/test_*.py", "core/formats/plate_folders/test_load_data_in_a_dataset.py"),
    ),
    Room("identity", ("model/identity.py",), ("core/model/test_identity.py", "properties/test_join_rows.py")),
    Room("QC", ("profiling/cosmicqc.py",), ("core/profiling/test_profiling_cosmicqc.py",)),
    Room("platemap", ("profiling/platemap.py",), ("core/profiling/test_profiling_platemap.py",)),
    Room(
        "journal",
        ("warehouse/changes/journal.py",),
        tuple(
            f"core/warehouse/test_warehouse_{name}.py"
            for name in ("journal", "crash", "every_step", "given_words", "handed_over", "layouts", "root")
        ),
    ),
    Room(
        "replace",
        ("catalog/replace.py", "catalog/drafts.py", "catalog/landing.py"),
        tuple(f"core/catalog/test_catalog_{name}.py" for name in ("replace", "evolution", "first_write")),
    ),
    Room(
        "grid",
        ("formats/zarr/grid.py",),
        ("core/formats/zarr/test_zarr_grid.py", "core/formats/zarr/test_zarr_chunk_rows.py"),
    ),
    Room("completeness", ("tables/completeness*.py",), ("core/tables/test_completeness.py",)),
)
