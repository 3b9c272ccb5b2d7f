"""Names of columns that quality control and profiling write, for readers that need neither library."""

from __future__ import annotations

OBJECT_ID = "Metadata_ObjectID"
FAILED = "Metadata_cqc_failed"
MISSING = "Metadata_cqc_missing"
OBJECT_COUNT = "Metadata_Object_Count"
FAILED_COUNT = "Metadata_QC_Failed_Count"
LOW_COUNT = "Metadata_Low_Cell_Count"
# ``controls``, ``plate`` or, of consensus profiles, ``mixed``; tables of earlier versions lack it.
NORMALIZED_TO = "Metadata_Normalized_To"
