"""The gate behind every step that says what it found: errors and warnings of a plate, as they are stored."""

from bioimage_assets.checks.inputs import CheckInputs
from bioimage_assets.checks.verdict import ERROR, WARN, Verdict
from bioimage_assets.core.findings import SEVERITIES, FindingGroup
from bioimage_assets.core.model.table_specs import STEPS
from bioimage_assets.core.storage.standing_findings import read_findings_of_step
from bioimage_assets.metadata import build_groups_markdown

_WORDS = {"error": "error(s)", "warning": "warning(s)", "info": "note(s)"}


def check_step_findings(inputs: CheckInputs) -> Verdict:
    """The step of a table found nothing wrong; an error stops what is made of the plate where that is asked for.

    Only a verdict of level ERROR blocks in Dagster, so that errors are warnings where they are not to block.
    """
    step = next(step for step in STEPS if inputs.table_name in step.names)
    groups = read_findings_of_step(inputs.tables, inputs.plate_key, step.names)
    if not groups:
        return Verdict(True, "nothing was found")
    counts: dict[str, int] = {name: sum(group.severity == name for group in groups) for name in SEVERITIES}
    worst = groups[0]
    severity = ERROR if worst.severity == "error" and inputs.is_strict else WARN
    text = _describe(counts, worst)
    return Verdict(
        worst.severity == "info", text, {"findings": build_groups_markdown(groups), **counts}, severity
    )


def _describe(counts: dict[str, int], worst: FindingGroup) -> str:
    counted = ", ".join(f"{count} {_WORDS[name]}" for name, count in counts.items() if count)
    return f"{counted}; {worst.code}: {worst.message} `bioimage-assets explain {worst.code}` says more."
