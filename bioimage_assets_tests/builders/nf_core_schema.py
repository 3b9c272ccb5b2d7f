"""What nf-core/cellpainting asks of a row of its samplesheet.

The rules of ``assets/schema_input.json`` at b214a5a10bb5f3be4fce788ffcd50faf1b64798a, without its texts:
https://github.com/nf-core/cellpainting
"""

from __future__ import annotations

_TEXT, _NUMBER = {"type": "string"}, {"type": "number"}

SAMPLESHEET = {
    "$schema": "https://json-schema.org/draft/2020-12/schema",
    "type": "array",
    "items": {
        "type": "object",
        "properties": {
            "channel": _TEXT | {"pattern": "^[A-Za-z0-9_]+$"},
            "path": _TEXT | {"format": "file-path", "exists": True, "pattern": r"\.tiff?$"},
            **dict.fromkeys(("source", "batch", "plate", "well"), _TEXT),
            **dict.fromkeys(("site", "col", "field_id", "plane_id", "row"), _NUMBER),
        },
        "required": ["channel", "path", "source", "batch", "plate", "well", "site", "row", "col"],
    },
}
