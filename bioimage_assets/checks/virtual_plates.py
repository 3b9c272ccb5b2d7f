"""Whether the virtual plate of a plate opens, and has the pixels of its original files."""

from bioimage_assets.checks.inputs import CheckInputs
from bioimage_assets.checks.verdict import ERROR, Verdict
from bioimage_assets.core.errors import BioimageError, MissingTableError
from bioimage_assets.core.phrases import count_words
from bioimage_assets.core.storage.plate_files import find_files
from bioimage_assets.core.storage_options import with_follow_symlinks
from bioimage_assets.core.virtual.compare import compare_with_originals


def check_virtual_plate(inputs: CheckInputs) -> Verdict:
    """Planes of three fields at most, a part of each that costs a few megabytes."""
    project, settings = inputs.project.settings, inputs.settings
    if not settings.write_virtual_plate:
        return Verdict(True, "no virtual plate is asked for")
    images = inputs.find("image_assets")
    if images is None or not images.num_rows:
        return Verdict(True, "the plate has no images, and so no virtual plate")
    options = with_follow_symlinks(project.storage_options, settings.follow_symlinks)
    try:
        uri = find_files(project.virtual_plates_uri, inputs.plate_key, project.storage_options)
        fields = compare_with_originals(uri, images, options)
    except MissingTableError as error:
        return Verdict.not_checked(str(error))
    except BioimageError as error:
        return Verdict(False, str(error), {}, ERROR)
    wrong = [
        f"{field.image_id} ({field.path}, {field.plane}): {field.problem}"
        for field in fields
        if field.problem
    ]
    compared = [f"{field.image_id}: {field.path}, {field.plane}" for field in fields]
    if not fields:
        return Verdict.not_checked("the virtual plate has no field")
    text = f"planes of {len(fields) - len(wrong)} of {count_words(len(fields), 'field')} have the pixels of the original files"
    return Verdict(not wrong, text, {"path": uri, "compared": compared, "fields_that_differ": wrong}, ERROR)
