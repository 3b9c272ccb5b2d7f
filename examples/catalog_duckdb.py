"""Ask the catalog's image table a question, join profiles to it, and go on in DuckDB.

    python examples/catalog_duckdb.py data/incoming/screen-a/measurements/SA-P1.parquet --profile-dataset-id screen-a

The plate is in the catalog after `make demo`; any other store is after `bioimage-assets register STORE`.
"""

from __future__ import annotations

import argparse

from bioimage_assets import (
    CatalogScanOptions,
    catalog_table_to_arrow,
    create_duckdb_connection,
    join_catalog_image_assets_with_profiles,
    list_catalog_tables,
)


def main(argv: list[str] | None = None) -> None:
    """List tables, read a few columns, join, and aggregate."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("profiles")
    parser.add_argument("--catalog", default="embedded")
    parser.add_argument("--namespace", default="bioimage.cytotable")
    parser.add_argument("--profile-dataset-id")
    arguments = parser.parse_args(argv)

    print("tables:", ", ".join(list_catalog_tables(arguments.catalog, arguments.namespace)))
    chosen = CatalogScanOptions(columns=["image_id", "axes"], limit=5)
    images = catalog_table_to_arrow(
        arguments.catalog, arguments.namespace, "image_assets", scan_options=chosen
    )
    print("images:", images.to_pylist())

    joined = join_catalog_image_assets_with_profiles(
        arguments.catalog,
        arguments.namespace,
        arguments.profiles,
        profile_dataset_id=arguments.profile_dataset_id,
    )
    connection = create_duckdb_connection()
    connection.register("joined", joined)
    rows = connection.execute(
        "SELECT image_id, join_rule, count(*) FROM joined GROUP BY ALL ORDER BY ALL"
    ).fetchall()
    for image_id, rule, count in rows:
        print(f"{image_id or 'no image'}: {count} profile rows ({rule or 'unmatched'})")


if __name__ == "__main__":
    main()
