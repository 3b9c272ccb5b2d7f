"""The public surface: every name resolves, the seeds' names are there, and importing stays cheap."""

import inspect
import subprocess
import sys
from pathlib import Path

import pytest

import bioimage_assets
from bioimage_assets import api, extend

SEED_NAMES = [
    "scan_store",
    "summarize_store",
    "register_store",
    "ingest_stores_to_warehouse",
    "join_profiles_with_store",
    "validate_microscopy_profile_table",
    "load_profile_column_aliases",
    "export_store_to_cytomining_warehouse",
    "export_catalog_to_cytomining_warehouse",
    "export_profiles_to_cytomining_warehouse",
    "export_table_to_cytomining_warehouse",
    "join_image_assets_with_profiles",
    "join_catalog_image_assets_with_profiles",
    "query_metadata_table",
    "create_ome_arrow",
    "scan_ome_arrow",
]


def test_every_public_name_resolves_and_is_documented():
    for name in bioimage_assets.__all__:
        assert getattr(bioimage_assets, name) is getattr(api, name)
        assert (getattr(api, name).__doc__ or "").strip(), name


def test_every_public_function_has_an_example_in_its_docstring():
    """`test_docstring_examples.py` runs them; the Python reference of the documentation shows them."""
    functions = [name for name in api.__all__ if inspect.isfunction(getattr(api, name))]
    assert len(functions) > 40
    assert not [name for name in functions if ">>> " not in getattr(api, name).__doc__]


def test_lazy_and_eager_surface_are_the_same():
    assert sorted(bioimage_assets.__all__) == sorted(api.__all__)


def test_the_names_of_the_seeds_are_public():
    assert set(SEED_NAMES) <= set(bioimage_assets.__all__)


def _modules_after(statement: str) -> set[str]:
    code = f"import sys; {statement}; print(*sorted(m.split('.')[0] for m in sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return set(done.stdout.split())


def test_importing_the_package_loads_no_heavy_library():
    heavy = {"pandas", "pyarrow", "pyiceberg", "zarr", "tifffile", "duckdb", "numpy", "dagster"}
    assert not heavy & _modules_after("import bioimage_assets")


@pytest.mark.slow
def test_core_never_loads_dagster():
    assert "dagster" not in _modules_after("import bioimage_assets.api")


@pytest.mark.slow
def test_loading_the_definitions_loads_no_heavy_library():
    heavy = {
        "pandas",
        "pyarrow",
        "polars",
        "pyspark",
        "pyiceberg",
        "zarr",
        "tifffile",
        "pycytominer",
        "cosmicqc",
        "matplotlib",
        "obstore",
    }
    assert not heavy & _modules_after("import bioimage_assets.definitions, bioimage_assets.extend")


def test_every_name_for_extensions_is_documented():
    page = (Path(__file__).resolve().parents[1] / "docs" / "your-assets.md").read_text()
    for name in extend.__all__:
        assert f"`{name}" in page, name
        if callable(getattr(extend, name)):
            assert (getattr(extend, name).__doc__ or "").strip(), name
