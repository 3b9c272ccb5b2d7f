"""Commands that look at one store: its images, and a summary."""

from __future__ import annotations

import argparse
from typing import Any

from bioimage_assets.cli.arguments import add_command, add_dataset_flag, build_scan_options
from bioimage_assets.cli.output import OK, print_json, print_progress
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
    from bioimage_assets.core.public_api.scan import scan_store

    with show_progress(f"Scanning {arguments.uri}"):
        result = scan_store(arguments.uri, options=build_scan_options(arguments))
    if arguments.json:
        print_json(result.to_dict())
        return OK
    print(f"source_uri: {result.source_uri}")
    print(f"format_family: {result.format_family}")
    print(f"dataset_id: {result.dataset_id}")
    print(f"image_assets: {len(result.image_assets)}")
    for asset in result.image_assets:
        chunks = f" chunks={asset.chunk_shape}" if asset.chunk_shape else ""
        path = asset.array_path or "<root>"
        print(f"- {asset.image_id}: array={path} shape={asset.shape} dtype={asset.dtype}{chunks}")
    for warning in result.warnings:
        print_progress(f"Warning: {warning}")
    return OK


def run_summarize(arguments: argparse.Namespace) -> int:
    """Print what kinds of images the store has."""
    from bioimage_assets.core.public_api.scan import summarize_store

    with show_progress(f"Scanning {arguments.uri}"):
        summary = summarize_store(arguments.uri, options=build_scan_options(arguments))
    if arguments.json:
        print_json(summary.to_dict())
        return OK
    values = summary.to_dict()
    del values["warnings"]
    paths = summary.array_paths
    values["array_paths"] = [*paths[:10], f"and {len(paths) - 10} more"] if len(paths) > 10 else paths
    for name, value in values.items():
        print(f"{name}: {_words(value)}")
    for warning in summary.warnings:
        print_progress(f"Warning: {warning}")
    return OK


def _words(value: object) -> str:
    return ", ".join(str(item) for item in value) or "-" if isinstance(value, list) else str(value)
