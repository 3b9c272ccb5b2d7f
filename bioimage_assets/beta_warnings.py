"""Dagster features in use that are still beta or preview, so that users are not warned about our choices.

``backfill_policy``, ``data_version``, partitioned asset checks and links to the source code behave as this project needs them to in
the versions that `constraints.txt` pins, and tests say so. Imported for its effect by ``partitions``, which
every module with partitioned definitions imports.
"""

import warnings

import dagster as dg

_CODE_REFERENCES = ("with_source_code_references", "LocalFileCodeReference", "CodeReferencesMetadataValue")
for _name in (
    "backfill_policy", "data_version", "partitions_def", "owners", "include_sources", *_CODE_REFERENCES,
):  # fmt: skip
    for _category in (dg.BetaWarning, dg.PreviewWarning):
        warnings.filterwarnings("ignore", message=f".*{_name}.*", category=_category)
# Scans go out in one run and heavy tables in batches, on purpose.
warnings.filterwarnings("ignore", message=".*varying BackfillPolicies.*", category=UserWarning)
