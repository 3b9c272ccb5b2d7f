"""Names of CellProfiler's object tables: https://cellprofiler-manual.s3.amazonaws.com/CellProfiler-4.2.6/"""

from __future__ import annotations

# In the order in which the tables of a cell are joined: the first has one row per cell.
COMPARTMENTS = ("Cytoplasm", "Cells", "Nuclei")
# In the order in which one is chosen to stand for the cell, as for its box.
CELL_FIRST = ("Cells", "Cytoplasm", "Nuclei")
COMPARTMENT_PREFIXES = tuple(f"{name}_" for name in CELL_FIRST)

# Names of files, in lower case.
IMAGE_TABLE = "image"
OBJECT_TABLES = frozenset(name.lower() for name in COMPARTMENTS)
CELLPROFILER_TABLES = OBJECT_TABLES | {IMAGE_TABLE}
# Tables of a run that hold no objects.
NO_OBJECT_TABLES = frozenset(
    {IMAGE_TABLE, "experiment", "relationships", "object relationships", "load_data"}
)
