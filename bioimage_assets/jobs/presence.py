"""The job that says for plates whose store went away that it is gone."""

import dagster as dg

from bioimage_assets.checks.stores import check_presence
from bioimage_assets.resources.project import ProjectResource

STORE_IS_PRESENT = dg.AssetCheckKey(dg.AssetKey("image_stores"), "store_is_present")


class PresenceConfig(dg.Config):
    """Plates to look for."""

    plates: list[str]


@dg.op
def check_stores(context: dg.OpExecutionContext, config: PresenceConfig, project: ProjectResource) -> None:
    """Evaluate ``store_is_present`` for plates; the run succeeds, the check fails."""
    sources = project.plate_sources(config.plates)
    for plate_key in config.plates:
        verdict = check_presence(project, sources.get(plate_key))
        # Typed for materialisations and observations only; evaluations are logged alike (tested).
        context.log_event(verdict.build_evaluation(STORE_IS_PRESENT, plate_key))  # type: ignore[arg-type]


@dg.job(
    description="Whether the stores of plates are there. Requested by the sensor for plates that are gone: jobs of "
    "assets cannot run a check of a partition whose asset is not theirs, and outside a run it can be evaluated only once."
)
def presence_check() -> None:
    """One step for all plates that went away."""
    check_stores()


def build_presence_config(plate_keys: list[str]) -> dict[str, object]:
    """Run configuration that names the plates."""
    return {"ops": {"check_stores": {"config": {"plates": plate_keys}}}}
