"""The report of a finished join: images nobody measured, linked file columns, and findings."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import chain

from bioimage_assets.core.findings import Finding, Severity
from bioimage_assets.core.joins.corrections import Correction
from bioimage_assets.core.joins.decision import AS_WRITTEN, LinkDecision
from bioimage_assets.core.joins.find_correction import compare_sites
from bioimage_assets.core.joins.image_index import ImageIndex
from bioimage_assets.core.joins.join_rules import JoinRule, RowKey
from bioimage_assets.core.joins.keys import KeyColumn
from bioimage_assets.core.joins.matcher import CountedKey, Matcher
from bioimage_assets.core.joins.report import (
    NO_IMAGES_TEXT,
    SAMPLE_SIZE,
    JoinOutcome,
    JoinReport,
    build_row_outcomes,
)
from bioimage_assets.core.joins.suggest import suggest_for_ambiguous, suggest_for_unlinked

_PLATE_HINT = (
    "Plate names are compared letter by letter. Where this is another name of the very plate, say so."
)
_IGNORE_PLATE = "[join] ignore_profile_plate = true"
# With more rows than these a part of the plate is missing, not a field or two.
MAX_UNLINKED_FRACTION = 0.05
_FILE_RULES: dict[str, JoinRule] = {"file_name": "file_name", "md5": "md5"}


def build_join_report(
    matcher: Matcher,
    *,
    plate_key: str,
    dataset_id: str,
    keep_unmatched: bool,
    findings: Sequence[Finding] = (),
    is_imageless: bool = False,
    decision: LinkDecision = AS_WRITTEN,
) -> JoinReport:
    """Count what a matcher saw; call after its last batch.

    ``decision``: how the positions were read, and what the pixels say about the links.

    ``is_imageless``: the plate has no images by design, which is said once and is not a fault of any row.
    """
    counted = list(matcher.counted.values())
    profile_rows = sum(item.row_count for item in counted)
    is_imageless = is_imageless and not matcher.index.images
    outcomes = build_row_outcomes(counted, is_imageless=is_imageless)
    if is_imageless:
        join_findings: Iterator[Finding] = iter([Finding("no-images", "info", "", NO_IMAGES_TEXT)])
    else:
        outcomes += _images_without_profiles(matcher.index, counted)
        outcomes += _column_links(matcher, counted)
        outcomes += _describe_correction(decision, outcomes)
        join_findings = _findings(matcher, counted, outcomes, decision)
    matched = sum(o.row_count for o in outcomes if o.outcome == "matched")
    if profile_rows and not matched and not is_imageless:
        text = f"0 of {profile_rows} row(s) are linked to an image."
        join_findings = chain(join_findings, [Finding("nothing-linked", "error", "", text)])  # reasons first
    if not keep_unmatched:
        outcomes.append(
            JoinOutcome("dropped", None, profile_rows - matched, (), "Rows dropped by how='inner'.")
        )
    return JoinReport(
        plate_key=plate_key,
        dataset_id=dataset_id,
        profile_rows=profile_rows,
        joined_rows=profile_rows if keep_unmatched else matched,
        image_count=len(matcher.index.images),
        outcomes=tuple(outcomes),
        findings=(*findings, *join_findings),
    )


def _images_without_profiles(index: ImageIndex, counted: Sequence[CountedKey]) -> list[JoinOutcome]:
    used = {item.match.image_row for item in counted if item.row_count}
    unused = [image.image_id for row, image in index.images.items() if row not in used]
    if not unused:
        return []
    text = "Images that no profile row was measured on."
    return [JoinOutcome("image-without-profiles", None, len(unused), tuple(unused[:SAMPLE_SIZE]), text)]


def _column_links(matcher: Matcher, counted: Sequence[CountedKey]) -> list[JoinOutcome]:
    """Per file column: rows whose value names a known image file, and rows whose value does not."""
    outcomes: list[JoinOutcome] = []
    for slot, column in enumerate(matcher.plan.columns):
        rule = _FILE_RULES.get(column.kind)
        if rule is None:
            continue
        linked: Counter[str] = Counter()
        unlinked: Counter[str] = Counter()
        for item in counted:
            value = matcher.values(column)[item.codes[slot]]
            if value is not None:
                known = _is_known(matcher.index, column, value, item.key)
                (linked if known else unlinked)[value] += item.row_count
        outcomes += _link_lines(column, rule, linked, unlinked)
    return outcomes


def _is_known(index: ImageIndex, column: KeyColumn, value: str, key: RowKey) -> bool:
    if column.kind == "md5":
        return value in index.by_md5
    scopes = index.scopes_of_plate(key.plate_id, key.dataset_id, key.plate_key)
    return any(index.find_file_name(scope, value) for scope in scopes)


def _link_lines(
    column: KeyColumn, rule: JoinRule, linked: Counter[str], unlinked: Counter[str]
) -> Iterator[JoinOutcome]:
    total = len(linked) + len(unlinked)
    if linked:
        text = f"{column.name}: {len(linked)} of {total} distinct values are image files."
        yield JoinOutcome(
            "linked-column", rule, linked.total(), (column.name, *list(linked)[:SAMPLE_SIZE]), text
        )
    if unlinked:
        text = f"{column.name}: {len(unlinked)} of {total} distinct values are no image file of the plate."
        yield JoinOutcome(
            "unlinked-column", rule, unlinked.total(), (column.name, *list(unlinked)[:SAMPLE_SIZE]), text
        )


def _findings(
    matcher: Matcher,
    counted: Sequence[CountedKey],
    outcomes: Sequence[JoinOutcome],
    decision: LinkDecision,
) -> Iterator[Finding]:
    for rival in matcher.rivals:
        if rival.row_count:
            text = (
                f"{rival.row_count} row(s): {rival.chosen} and {rival.rival} stand for the same key and differ "
                f"({rival.sample}); {rival.chosen} was used. Declare the right one in [microscopy.aliases] of dataset.toml."
            )
            yield Finding("alias-conflict", "warning", rival.rival, text)
    for outcome in outcomes:
        if outcome.outcome == "conflicting-rules":
            text = (
                f"{outcome.row_count} row(s): rule {outcome.join_rule} names another image than the rule that "
                f"linked them, e.g. {outcome.sample_keys[0]}."
            )
            yield Finding("conflicting-rules", "error", str(outcome.join_rule), text)
        if outcome.outcome == "ambiguous":
            text = f"{outcome.row_count} row(s) name several images each, e.g. {outcome.sample_keys[0]}."
            item = next(i for i in counted if i.row_count and i.match.ambiguous_rule == outcome.join_rule)
            text += f" {suggest_for_ambiguous(matcher.index, item)}"
            yield Finding("ambiguous-key", "warning", str(outcome.join_rule), text)
    index = matcher.index
    yield from _unknown_names(
        "dataset", counted, sorted(index.datasets), "Pass the images' dataset as profile_dataset_id."
    )
    named = {item.key.plate_id for item in counted if item.row_count}
    if others := sorted(matcher.options.other_plates.intersection(named) - index.scopes_by_plate.keys()):
        hint = (
            f"Plate {others[0]!r} is in this dataset, too: these are its measurements. Put them where its measurements belong, and "
            "those of this plate in their place."
        )
        yield from _unknown_names("plate", counted, list(index.scopes_by_plate), hint)
    elif decision.refused is None or decision.refused.plate_name is None:
        yield from _unknown_names(
            "plate", counted, list(index.scopes_by_plate), _PLATE_HINT, setting=_IGNORE_PLATE
        )
    if index.has_plate_keys:
        hint = "A row's own plate_key must be that of the images."
        yield from _unknown_names("plate", counted, index.scopes, hint, attribute="plate_key")
    yield from _rows_without_key(counted)
    yield from suggest_for_unlinked(index, counted, matcher.options.path_rewrites)
    yield from _unknown_wells(matcher, counted)
    yield from _positions(index, counted, decision)
    yield from decision.findings


def _rows_without_key(counted: Sequence[CountedKey]) -> Iterator[Finding]:
    """Rows of which nothing says on which image they were measured."""
    rows = 0
    for item in counted:
        key = item.key
        if not (key.image_id or key.well_id or key.md5s or key.paths or key.file_names):
            rows += item.row_count
    if rows:
        text = (
            f"{rows} row(s) have no image id, no readable well and no image file name, so no rule can link them. Name "
            "the columns that hold them in [microscopy.aliases] of dataset.toml."
        )
        yield Finding("rows-without-key", "warning", "", text)


def _unknown_wells(matcher: Matcher, counted: Sequence[CountedKey]) -> Iterator[Finding]:
    """Wells that cannot be read, and wells without any image that rows without image name."""
    for column in matcher.plan.columns:
        odd = matcher.unreadable(column) if column.kind == "well_id" else ()
        if odd:
            names = ", ".join(repr(name) for name in odd[:SAMPLE_SIZE])
            text = f"{len(odd)} value(s) of {column.name} name no well: {names}. Write wells like A01."
            yield Finding("unreadable-well", "warning", column.name, text)
    known = {well for _, well in matcher.index.by_well}
    rows: Counter[str] = Counter()
    for item in counted:
        well = item.key.well_id
        if item.match.rule is None and well is not None and well not in known:
            rows[well] += item.row_count
    if rows and known:
        names = ", ".join(list(rows)[:SAMPLE_SIZE])
        text = f"{rows.total()} row(s) are of {len(rows)} well(s) that have no image: {names}. Was it imaged?"
        total = sum(item.row_count for item in counted)
        severity: Severity = "error" if rows.total() > MAX_UNLINKED_FRACTION * total else "warning"
        yield Finding("unknown-well", severity, next(iter(rows)), text)


def _unknown_names(
    what: str,
    counted: Sequence[CountedKey],
    known: Sequence[str],
    hint: str,
    attribute: str | None = None,
    setting: str = "",
) -> Iterator[Finding]:
    """Rows that name a plate or dataset which no image belongs to."""
    rows: Counter[str] = Counter()
    for item in counted:
        name = getattr(item.key, attribute or f"{what}_id")
        if name is not None and name not in known and item.row_count:
            rows[name] += item.row_count
    if rows and known:
        names = ", ".join(repr(name) for name in list(rows)[:SAMPLE_SIZE])
        there = ", ".join(repr(name) for name in known[:SAMPLE_SIZE])
        text = f"{rows.total()} row(s) name {what}(s) {names}; the images are of {there}. {hint}"
        linked = sum(item.row_count for item in counted if item.match.rule is not None)
        severity: Severity = "warning" if linked else "error"
        yield Finding(f"unknown-{what}", severity, next(iter(rows)), text, setting=setting)


def _describe_correction(decision: LinkDecision, outcomes: Sequence[JoinOutcome]) -> Iterator[JoinOutcome]:
    """Rows whose position is read otherwise than it is written."""
    if decision.correction is not None:
        rows = sum(
            o.row_count for o in outcomes if o.outcome == "matched" and o.join_rule == "proven_position"
        )
        text = f"Proven and applied: {decision.correction.describe()}. Proof: {decision.reason}."
        yield JoinOutcome(
            "corrected-position", "proven_position", rows, decision.correction.list_settings(), text
        )


def _positions(index: ImageIndex, counted: Sequence[CountedKey], decision: LinkDecision) -> Iterator[Finding]:
    """What was found about the positions: corrected, refused, or sites without image."""
    proven, refused = decision.correction, decision.refused
    rows = sum(item.row_count for item in counted)
    if proven is not None:
        linked = sum(item.row_count for item in counted if item.match.rule == "proven_position")
        text = (
            f"{linked} of {rows} row(s) are linked otherwise than they are written, since {proven.describe()}; proven by {decision.reason}. "
            "Once it is declared it needs no proof."
        )
        code = "site-offset-proven" if proven.site_offset else "plate-name-proven"
        yield Finding(code, "warning", "", text, setting=proven.setting)
    if refused is not None and refused.plate_name is not None:
        yield _refused_plate(refused, rows, decision.reason)
    compared = compare_sites(index, counted)
    if compared is None:
        return
    scope, well = compared.wrong[0]
    text = (
        f"{len(compared.wrong)} well(s) have profile sites without image, e.g. {well}: profiles "
        f"{_listed(compared.profile_sites[compared.wrong[0]])}, images {_listed(compared.image_sites[compared.wrong[0]])}."
    )
    if refused is None:
        yield Finding("site-mismatch", "warning", f"{scope}/{well}", text)
        return
    text += (
        f" It looks as if {refused.describe()}, and {decision.reason}: rows that name a site are not linked by it. Where "
        "the sites are right as they are, 0 says so."
    )
    yield Finding("site-offset", "error", f"{scope}/{well}", text, setting=refused.setting)


def _refused_plate(refused: Correction, rows: int, reason: str) -> Finding:
    text = (
        f"{rows} row(s) name plate {refused.plate_name!r}, which no image has, and are not linked. Their wells and sites "
        f"are exactly those of the images, so this may be another name of the plate; {reason}. Where it is the plate's, say so."
    )
    return Finding("unknown-plate", "error", refused.plate_name or "", text, setting=refused.setting)


def _listed(sites: set[str] | set[str | None]) -> str:
    ordered = sorted((s for s in sites if s is not None), key=lambda s: (not s.isdigit(), s.zfill(12)))
    return ", ".join(ordered[:8]) + (" …" if len(ordered) > 8 else "")
