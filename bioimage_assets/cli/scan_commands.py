"""Commands that look at one store: its images, and a summary."""

from __future__ import annotations

import argparse
from typing import Any

from bioimage_assets.cli.arguments import add_command, add_dataset_flag, build_scan_options
from bioimage_assets.cli.output import OK, print_json, print_pairs, print_progress, print_table
from bioimage_assets.cli.progress import show_progress


def add_commands(commands: Any) -> None:
    """Add `scan` and `summarize`."""
    for name, text, handler in (
        (
            "scan",
            "list the images of an OME-Zarr, Zarr, OME-TIFF or TIFF store, or a folder of them",
            run_scan,
        ),
        ("summarize", "sum a store up: images, shapes, types, axes, channels", run_summarize),
    ):
        parser = add_command(commands, name, text, handler)
        parser.add_argument("uri", metavar="URI", help="store, local or in an object store")
        add_dataset_flag(parser)


def run_scan(arguments: argparse.Namespace) -> int:
    """Print one line per image, and what was odd."""
    from bioimage_assets.core.scan_public import scan_store

    with show_progress(f"Scanning {arguments.uri}"):
        result = scan_store(arguments.uri, options=build_scan_options(arguments))
    if arguments.json:
        print_json(result.to_dict())
        return OK
    print_pairs(
        {
            "source_uri": result.source_uri,
            "format_family": result.format_family,
            "dataset_id": result.dataset_id,
            "image_assets": len(result.image_assets),
        }
    )
    rows = [
        (
            asset.image_id,
            asset.array_path or "<root>",
            _sizes(asset.shape),
            asset.dtype,
            _sizes(asset.chunk_shape),
        )
        for asset in result.image_assets
    ]
    print_table(("image_id", "array", "shape", "dtype", "chunks"), rows)
    for warning in result.warnings:
        print_progress(f"Warning: {warning}")
    return OK


def run_summarize(arguments: argparse.Namespace) -> int:
    """Print what kinds of images the store has."""
    from bioimage_assets.core.scan_public import summarize_store

    with show_progress(f"Scanning {arguments.uri}"):
        summary = summarize_store(arguments.uri, options=build_scan_options(arguments))
    if arguments.json:
        print_json(summary.to_dict())
        return OK
    values = summary.to_dict()
    warnings = summary.warnings
    values["shapes"] = [_sizes(shape) for shape in summary.shapes]
    paths = summary.array_paths
    values["array_paths"] = [*paths[:10], f"and {len(paths) - 10} more"] if len(paths) > 10 else paths
    print_pairs({name: _words(value) for name, value in values.items() if name != "warnings"})
    for warning in warnings:
        print_progress(f"Warning: {warning}")
    return OK


def _sizes(shape: Any) -> str | None:
    return None if shape is None else "x".join(str(extent) for extent in shape)


def _words(value: object) -> str:
    return ", ".join(str(item) for item in value) or "-" if isinstance(value, list) else str(value)
