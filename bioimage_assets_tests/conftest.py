"""What every test can rely on: a clean environment, a time limit, stress only on request."""

import atexit
import contextlib
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import settings

from bioimage_assets_tests.builders.shared_folder import fill_once

# Pydantic resolves the members of a model when it is imported: after those of Zarr v3, which ngio loads, too, the models of
# OME-Zarr 0.4 would get those.
with contextlib.suppress(ImportError):
    import ome_zarr_models.v04  # noqa: F401

# Settings of the person who runs the tests; none of them may reach a test or a process that a test starts.
_PRIVATE = ("BIOIMAGE_", "DAGSTER_", "PYICEBERG_", "AWS_", "AZURE_", "GOOGLE_")
_MEANT_FOR_TESTS = {"BIOIMAGE_CYTOTABLE_PYTHON", "BIOIMAGE_AZURITE"}
# Seconds after which a test has hung. Generous: the machine may be busy with other things.
_LIMITS_S = {"stress": 3600, "slow": 900}
# Thousands of small files are written and flushed; where that can happen in memory, no test waits for a disk.
_MEMORY_FOLDER = Path("/dev/shm")
_MEMORY_NEEDED_BYTES = 6 << 30


def _private_names() -> set[str]:
    return {name for name in os.environ if name.startswith(_PRIVATE)}


def _has_memory_folder() -> bool:
    if not os.access(_MEMORY_FOLDER, os.W_OK):
        return False
    folder = os.statvfs(_MEMORY_FOLDER)
    return (
        folder.f_bavail * folder.f_frsize >= _MEMORY_NEEDED_BYTES
        and not folder.f_flag & os.ST_NOEXEC  # some tests run scripts that they write
        and os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") >= _MEMORY_NEEDED_BYTES
    )


def _isolate() -> None:
    """Clean the environment; at import, because pyiceberg reads its settings when it is imported."""
    for name in _private_names() - _MEANT_FOR_TESTS:
        del os.environ[name]
    # Without bytecode every process that a test starts takes three times as long to import Dagster.
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
    if "TMPDIR" not in os.environ and _has_memory_folder():
        os.environ["TMPDIR"] = str(_MEMORY_FOLDER)
        tempfile.tempdir = None  # what was found out before no longer holds
    home = Path(tempfile.mkdtemp(prefix="pyiceberg-home-"))
    atexit.register(shutil.rmtree, home, ignore_errors=True)
    # The first file found wins, and one that names no catalog would not count as found.
    (home / ".pyiceberg.yaml").write_text("catalog:\n  of-the-tests:\n    type: in-memory\n")
    os.environ |= {
        "PYICEBERG_HOME": str(home),
        "AWS_EC2_METADATA_DISABLED": "true",
        "DAGSTER_DISABLE_TELEMETRY": "yes",
        "MPLBACKEND": "Agg",
        # Half of a small plate's time, and few tests look at them: those say "on".
        "BIOIMAGE_PICTURES": "off",
    }


_isolate()

# The same examples in every run; --stress tries new ones.
settings.register_profile("repeatable", deadline=None, derandomize=True, print_blob=True)
settings.register_profile("exploring", deadline=None, print_blob=True)


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--stress", action="store_true", help="run tests at full scale too (marker stress)")
    parser.addoption(
        "--write-opcounts", action="store_true", help="write opcounts/counts.json (make opcounts)"
    )


def pytest_configure(config: pytest.Config) -> None:
    settings.load_profile("exploring" if config.getoption("--stress") else "repeatable")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave stress out unless asked for, limit the time of every test, long files first."""
    if not config.getoption("--stress"):
        stress = [item for item in items if item.get_closest_marker("stress")]
        config.hook.pytest_deselected(items=stress)
        items[:] = [item for item in items if not item.get_closest_marker("stress")]
    for item in items:
        _limit(item)
    # Long files first, before them those that start daemons, and the pages before all, or the last one runs alone while
    # the other workers have nothing left.
    long = {item.path for item in items if item.get_closest_marker("slow")}
    order = {"documents": 0, "dagster": 1}
    items.sort(key=lambda item: (item.path not in long, order.get(item.path.parent.name, len(order))))


def _limit(item: pytest.Item) -> None:
    if item.get_closest_marker("timeout"):
        return
    limit = next((seconds for name, seconds in _LIMITS_S.items() if item.get_closest_marker(name)), None)
    if limit is not None:
        item.add_marker(pytest.mark.timeout(limit))


@pytest.fixture(autouse=True)
def _settings_do_not_leak() -> Iterator[None]:
    """Settings that a test leaves in the environment are gone in the next one."""
    before = {name: os.environ[name] for name in _private_names()}
    yield
    for name in _private_names() - before.keys():
        del os.environ[name]
    os.environ.update(before)


@pytest.fixture(scope="session")
def ci_screens(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The four demo plates in their smallest size, made once for the whole run; tests do not change them."""
    from bioimage_assets.demo.screens import build_screens  # heavy, and few tests need it

    return fill_once(tmp_path_factory, "ci", lambda folder: build_screens(folder, size="ci", workers=1))


@pytest.fixture(scope="session")
def standard_screens(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One plate of ``screen-a`` in the size that questions of biology need, made once for the whole run."""
    from bioimage_assets.demo.screens import build_screens

    def fill(folder: Path) -> None:
        build_screens(folder, size="standard", datasets=["screen-a"], n_plates=1, workers=2)

    return fill_once(tmp_path_factory, "standard", fill)


@pytest.fixture(scope="session")
def example_dataset(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What `bioimage-assets example-data FOLDER` writes, made once for the whole run; tests do not change it."""
    from bioimage_assets.demo.example_data import write_example_data

    return (
        fill_once(
            tmp_path_factory, "example-data", lambda folder: write_example_data(folder / "example", workers=1)
        )
        / "example"
    )
