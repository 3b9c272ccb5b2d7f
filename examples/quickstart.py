"""Scan a store, register it, check a profile table and join it: the shortest way through the package.

    python examples/quickstart.py data/incoming/screen-a/SA-P1.ome.zarr data/incoming/screen-a/measurements/SA-P1.parquet

Both are there after `make demo`; any other store will do, and the measurements may be left out.

The catalog is the embedded one below ``data/``; ``--catalog default`` takes the one that PyIceberg is configured for.
"""

from __future__ import annotations

import argparse

from bioimage_assets import (
    join_profiles_with_store,
    register_store,
    summarize_store,
    validate_microscopy_profile_table,
)


def main(argv: list[str] | None = None) -> None:
    """Run the steps and print what each gives."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("uri")
    parser.add_argument("profiles", nargs="?")
    parser.add_argument("--catalog", default="embedded")
    parser.add_argument("--namespace", default="bioimage.cytotable")
    arguments = parser.parse_args(argv)

    summary = summarize_store(arguments.uri)
    print(f"{summary.image_asset_count} image(s), axes {', '.join(summary.axes) or 'unknown'}")

    registration = register_store(arguments.uri, arguments.catalog, arguments.namespace)
    print(
        f"{registration.image_assets_rows_published} image rows, {registration.chunk_rows_published} chunk rows"
    )

    if arguments.profiles is None:
        return
    contract = validate_microscopy_profile_table(arguments.profiles)
    missing = ", ".join(contract.missing_required_columns)
    print("contract: fulfilled" if contract.is_valid else f"contract: the table has no {missing}")
    joined = join_profiles_with_store(arguments.uri, arguments.profiles)
    matched = joined.num_rows - joined["join_rule"].null_count
    print(f"{joined.num_rows} profile rows, {matched} with an image")


if __name__ == "__main__":
    main()
