"""When tables rebuild themselves: as soon as something they are made of has other data than before."""

import dagster as dg


def follow_changes() -> dg.AutomationCondition[dg.AssetKey]:
    """Rebuild a plate's table when an upstream table's data version changed, not when it was merely rerun.

    Changes of the stores themselves are left to the sensor, whose run rebuilds the whole plate at once; so is
    a plate that is new: a table that was never built is not missing here, it is on its way.
    What counts as handled stays any run of the table: a run that a sensor or a person had queued already, and that
    left the same data, is not asked for again. Labels are replaced by name: leaf conditions compare equal, so
    replacing by object would change all.
    """
    stores = dg.AssetSelection.assets("image_stores")
    updated = dg.AutomationCondition.any_deps_updated().ignore(stores)
    changed = updated.replace("newly_updated", dg.AutomationCondition.data_version_changed())
    eager = dg.AutomationCondition.eager().ignore(stores).replace("any_deps_updated", changed)
    return (eager & ~dg.AutomationCondition.missing()).with_label("follow_changes")
