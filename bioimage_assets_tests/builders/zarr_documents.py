"""Zarr stores of metadata documents only, written by hand so that every version and every mistake can be had."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

AXES_CYX = [
    {"name": "c", "type": "channel"},
    {"name": "y", "type": "space", "unit": "micrometer"},
    {"name": "x", "type": "space", "unit": "micrometer"},
]


def write_json(path: Path, document: object) -> Path:
    """Write one document, with its folders."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(document))
    return path


def write_group(
    root: Path, path: str = "", attributes: Mapping[str, object] | None = None, *, zarr_format: int = 2
) -> Path:
    """Write a group; v3 attributes go below ``ome`` when the caller puts them there."""
    folder = root / path
    if zarr_format == 3:
        write_json(
            folder / "zarr.json", {"zarr_format": 3, "node_type": "group", "attributes": attributes or {}}
        )
    else:
        write_json(folder / ".zgroup", {"zarr_format": 2})
        if attributes is not None:
            write_json(folder / ".zattrs", attributes)
    return folder


def array_document_v2(
    shape: Sequence[int],
    chunks: Sequence[int],
    *,
    dtype: object = "<u2",
    separator: str | None = "/",
    **extra: object,
) -> dict[str, object]:
    """A ``.zarray`` document."""
    document: dict[str, object] = {
        "zarr_format": 2, "shape": list(shape), "chunks": list(chunks), "dtype": dtype, "order": "C",
        "compressor": {"id": "blosc", "cname": "lz4", "clevel": 5, "shuffle": 1, "blocksize": 0},
        "fill_value": 0, "filters": None,
    }  # fmt: skip
    if separator is not None:
        document["dimension_separator"] = separator
    return {**document, **extra}


def array_document_v3(
    shape: Sequence[int],
    chunks: Sequence[int],
    *,
    dtype: object = "uint16",
    inner: Sequence[int] | None = None,
    **extra: object,
) -> dict[str, object]:
    """A ``zarr.json`` array document; with ``inner`` the chunks are shards of inner chunks."""
    codecs: list[dict[str, object]] = [
        {"name": "bytes", "configuration": {"endian": "little"}},
        {"name": "zstd", "configuration": {"level": 0, "checksum": False}},
    ]
    if inner is not None:
        codecs = [
            {
                "name": "sharding_indexed",
                "configuration": {
                    "chunk_shape": list(inner),
                    "codecs": codecs,
                    "index_codecs": [
                        {"name": "bytes", "configuration": {"endian": "little"}},
                        {"name": "crc32c"},
                    ],
                    "index_location": "end",
                },
            }
        ]
    return {
        "zarr_format": 3, "node_type": "array", "shape": list(shape), "data_type": dtype,
        "chunk_grid": {"name": "regular", "configuration": {"chunk_shape": list(chunks)}},
        "chunk_key_encoding": {"name": "default", "configuration": {"separator": "/"}},
        "fill_value": 0, "codecs": codecs, "attributes": {}, **extra,
    }  # fmt: skip


def write_array(
    root: Path,
    path: str,
    shape: Sequence[int],
    chunks: Sequence[int],
    *,
    zarr_format: int = 2,
    **options: object,
) -> Path:
    """Write one array's document, without chunks."""
    build = array_document_v3 if zarr_format == 3 else array_document_v2
    name = "zarr.json" if zarr_format == 3 else ".zarray"
    return write_json(root / path / name, build(shape, chunks, **options))


def multiscales(
    levels: Sequence[str] = ("0", "1"),
    *,
    axes: object = AXES_CYX,
    scale: Sequence[float] = (1.0, 0.65, 0.65),
    **extra: object,
) -> dict[str, object]:
    """A 0.4/0.5 ``multiscales`` entry; each level halves y and x."""
    datasets = []
    for number, path in enumerate(levels):
        factors = [value * (2**number if index >= len(scale) - 2 else 1) for index, value in enumerate(scale)]
        datasets.append({"path": path, "coordinateTransformations": [{"type": "scale", "scale": factors}]})
    return {"version": "0.4", "axes": axes, "datasets": datasets, **extra}


def write_image(
    root: Path,
    path: str = "",
    *,
    zarr_format: int = 2,
    shape: Sequence[int] = (2, 16, 16),
    chunks: Sequence[int] = (1, 8, 8),
    levels: Sequence[str] = ("0", "1"),
    channels: Sequence[str] = (),
    entries: Sequence[Mapping[str, object]] | None = None,
) -> Path:
    """Write an image group with its level arrays; ``entries`` replaces the ``multiscales`` list."""
    ome: dict[str, object] = {"multiscales": list(entries) if entries is not None else [multiscales(levels)]}
    if channels:
        ome["omero"] = {"channels": [{"label": name} for name in channels]}
    attributes = {"ome": {"version": "0.5", **ome}} if zarr_format == 3 else ome
    folder = write_group(root, path, attributes, zarr_format=zarr_format)
    # The specification of 0.5 demands that the arrays name their dimensions as the axes do.
    named = {"dimension_names": ["c", "y", "x"]} if zarr_format == 3 and len(shape) == 3 else {}
    for number, level in enumerate(levels):
        level_shape = [*shape[:-2], *(max(1, extent >> number) for extent in shape[-2:])]
        write_array(folder, level, level_shape, chunks, zarr_format=zarr_format, **named)
    return folder


def write_plate(
    root: Path,
    *,
    zarr_format: int = 2,
    name: str | None = "Plate 7",
    wells: Mapping[str, Sequence[str]] | None = None,
    acquisitions: Sequence[int] = (),
    plate: Mapping[str, object] | None = None,
    levels: Sequence[str] = ("0", "1"),
) -> Path:
    """Write an HCS plate: ``wells`` maps well paths to field paths; fields go round the acquisitions."""
    wells = wells if wells is not None else {"A/1": ("0", "1"), "B/12": ("0",)}
    document: dict[str, object] = {"version": "0.4", "wells": [{"path": path} for path in wells]}
    if name is not None:
        document["name"] = name
    if acquisitions:
        document["acquisitions"] = [{"id": number} for number in acquisitions]
    document.update(plate or {})

    def wrap(ome: dict[str, object]) -> dict[str, object]:
        return {"ome": {"version": "0.5", **ome}} if zarr_format == 3 else ome

    write_group(root, "", wrap({"plate": document}), zarr_format=zarr_format)
    for path, fields in wells.items():
        images = [
            {
                "path": item,
                **({"acquisition": acquisitions[index % len(acquisitions)]} if acquisitions else {}),
            }
            for index, item in enumerate(fields)
        ]
        write_group(root, path, wrap({"well": {"images": images}}), zarr_format=zarr_format)
        for item in fields:
            write_image(root, f"{path}/{item}", zarr_format=zarr_format, levels=levels)
    return root


def write_placed_image(root: Path) -> Path:
    """Write a 0.6 image whose levels are placed by every kind of transformation that has a scale per axis."""
    turn = [[1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]]
    steps = [
        {"type": "scale", "scale": [1.0, 0.5, 0.5]},
        {"type": "translation", "translation": [0.0, 7.0, 9.0]},
        {"type": "affine", "affine": [[*row, 1.0] for row in turn]},
        {"type": "rotation", "rotation": turn},
        {"type": "mapAxis", "mapAxis": [0, 1, 2]},
        {"type": "bijection", "forward": {"type": "identity"}, "inverse": {"type": "identity"}},
    ]
    placed = {
        "type": "sequence",
        "transformations": steps,
        "input": {"path": "0"},
        "output": {"name": "physical"},
    }
    entry = {
        "coordinateSystems": [{"name": "physical", "axes": AXES_CYX}],
        "datasets": [{"path": "0", "coordinateTransformations": [placed]}],
    }
    write_image(root, zarr_format=3, levels=("0",))
    write_group(root, "", {"ome": {"version": "0.6", "multiscales": [entry]}}, zarr_format=3)
    return root
