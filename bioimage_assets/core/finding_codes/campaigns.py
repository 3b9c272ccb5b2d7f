"""Codes about campaigns: their file, their datasets, and what could not be made of them."""

from __future__ import annotations

from bioimage_assets.core.finding_codes.record import ERROR, WARNING, CodeFamily, FindingCode

CAMPAIGNS = CodeFamily(
    "campaigns",
    "Campaigns",
    seen_in=(
        "status",
        "materialize",
        "partitions",
        "campaign_report",
    ),
    page="campaigns.md",
    codes=(
        FindingCode(
            "campaign-file-refused",
            ERROR,
            means="A `campaign.toml` cannot be used as a whole, so none of its campaigns exists.",
            cause="The file is no valid TOML, has a key other than `campaigns`, or cannot be read. The message gives the line.",
            remedy="Correct `<root>/campaign.toml`. A campaign is a table `[campaigns.<name>]` with the key `datasets`.",
            page="campaigns.md#mistakes-in-the-file",
        ),
        FindingCode(
            "campaign-refused",
            ERROR,
            means="One campaign of `campaign.toml` cannot be used; the others are.",
            cause="An unknown key, a value of another kind, a dataset named twice, or no datasets.",
            remedy="Correct the table `[campaigns.<name>]` that the message names.",
            page="campaigns.md#mistakes-in-the-file",
        ),
        FindingCode(
            "campaign-defined-twice",
            ERROR,
            means="Two roots define a campaign of the same name; the first is taken.",
            cause="`campaign.toml` was copied into a second watched root.",
            remedy="Rename one of the campaigns, or name all datasets in one of them.",
            page="campaigns.md#mistakes-in-the-file",
        ),
        FindingCode(
            "campaign-dataset-missing",
            ERROR,
            means="A campaign names a dataset of which no plate is in the watched roots; it is made without it.",
            cause="The name is misspelt, or the dataset was moved or is not mounted.",
            remedy="Correct the name under `datasets` in `campaign.toml` (the message proposes one), or bring the plates there.",
            page="campaigns.md#when-it-is-built",
        ),
        FindingCode(
            "campaign-settings-differ",
            WARNING,
            means="Settings of a campaign and of its datasets, or of its datasets among each other, do not agree.",
            cause="`campaign.toml` leaves a key open and the `dataset.toml` files differ in it (that of the first dataset is used), they name other control "
            "wells than the campaign, or the well profiles were made with different settings.",
            remedy="Write the key below `[campaigns.<name>]` in `campaign.toml`, or the same value into every `dataset.toml`. Where well profiles were made "
            "differently, build the plates again after that.",
            page="campaigns.md#keys",
        ),
        FindingCode(
            "campaign-cells-lack-features",
            WARNING,
            means="Features that the campaign selected are no column of `joined_profiles` and are left out of `campaign_cell_profiles`.",
            cause="The features were made after the join (for example by another step), or plates were measured again with another pipeline.",
            remedy="Build the plates and the campaign again (`bioimage-assets materialize --campaigns NAME`).",
            page="campaigns.md#tables",
        ),
        FindingCode(
            "campaign-replicates-not-measured",
            WARNING,
            means="Replicates of a campaign were not measured, since memory or the scratch folder did not suffice. The consensus is stored.",
            cause="The campaign has very many wells or features, or the disk of the scratch folder is full.",
            remedy="Give the run more memory or its scratch folder (TMPDIR) more room, and build the campaign again.",
            page="capacity.md",
        ),
        FindingCode(
            "campaign-hits-not-measured",
            WARNING,
            means="Treatments of a campaign were not measured; all its other tables are stored.",
            cause="Memory or the scratch folder did not suffice, or there are no control wells to compare with.",
            remedy="Read the reason in the message. Give the run more memory, or name the control wells (`[campaigns.<name>.controls]`), and build "
            "`campaign_hits` again.",
            page="capacity.md",
        ),
    ),
)
