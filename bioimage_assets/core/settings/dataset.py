"""Settings of one dataset, as ``dataset.toml`` beside its data states them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

DATASET_FILE = "dataset.toml"

NormalizationMethod = Literal["standardize", "robustize", "mad_robustize", "inverse_normal", "spherize"]
NormalizationSamples = Literal["controls", "plate"]
SpherizeMethod = Literal["ZCA-cor", "ZCA"]
MeasurementEngine = Literal["duckdb", "cytotable"]
DuplicateRule = Literal["error", "first", "last", "keep"]
# What batches differ in is taken off by sphering each (pycytominer), by typical variation normalisation, by Harmony, or stays.
BatchMethod = Literal["none", "sphere", "tvn", "harmony"]
VirtualPlateFormat = Literal["json", "parquet", "icechunk"]
AveragePrecision = Literal["auto", "built_in", "copairs"]
FeatureTest = Literal["welch", "student", "mann_whitney"]
HitProfiles = Literal["selected", "sphered"]
# In this order everywhere: Python gives `Literal[...] | None` in the order in which any library wrote it first.
OmeZarrVersion = Literal["0.4", "0.5"]


@dataclass(frozen=True, slots=True)
class DatasetSettings:
    """Everything about a dataset that its files do not say themselves; the defaults fit a plain one.

    Parameters
    ----------
    aliases
        ``[microscopy.aliases]``: canonical key (dataset_id, image_id, plate_id, well_id, site_id) to the
        profile column names that stand for it, tried before the built-in ones.
    file_pattern
        Regular expression with named groups for one-channel TIFF names.
    profile_site_offset
        Site number in the profiles minus site number of the image: 1 where CellProfiler counts from one
        and the store from zero. None: not stated; 0 says that sites are right as they are.
    ignore_profile_plate
        The plate that the profiles name is not compared: they belong to the plate whose folder they lie in.
    path_rewrites
        (from, to) prefixes applied to the profiles' paths before they are compared with image URIs.
    platemap_dir
        Folder below the dataset with ``barcode_platemap.csv`` and the platemap files.
    platemap_well_column
        Column of the platemap that holds the well.
    control_column, control_values
        Platemap column (with ``Metadata_`` prefix) and values that mark negative controls.
    treatment_columns
        Columns whose combination is one treatment, for consensus profiles.
    qc_thresholds
        coSMicQC conditions, ``{condition: {feature: z-score}}``; None for the library's defaults.
    qc_max_fail_fraction
        Fraction of failed cells per plate above which the check warns.
    normalization_method
        pycytominer's name of the method. ``spherize`` whitens the medians of wells, the others scale cells.
    normalization_samples
        What zero and unit are of: the ``controls`` of the plate (all its cells where they are too few), or all cells of the
        ``plate``, as where most wells hold something inactive.
    mad_epsilon
        Added to the deviation that ``mad_robustize`` divides by. 0, where pycytominer has 1e-18: a feature whose deviation is
        zero is left without a value, instead of with one near 1e18.
    normal_quantiles
        Landmarks of ``inverse_normal``, as many as pycytominer and scikit-learn take (1000); no more than cells of the reference.
    spherize_method, spherize_epsilon
        pycytominer's own defaults: ``ZCA-cor`` keeps features as near to themselves as can be (Kessy et al. 2016,
        https://arxiv.org/abs/1512.00809), 1e-6 is added to singular values, which bounds what directions without spread weigh. Its
        ``PCA`` kinds are not offered: their columns are components, other ones on each plate, which no other plate has.
    min_controls
        With fewer control wells the whole plate is the reference, and that is said.
    min_cells_per_well
        Wells with fewer cells are flagged, not dropped.
    measurement_engine
        ``duckdb`` (built in) or ``cytotable`` (extra).
    compartments
        Object tables that make up one cell, the one-per-cell table first; empty for Cytoplasm, Cells, Nuclei.
    duplicate_cells
        What to do with a site that was analysed twice: ``error`` fails the plate and names the sites; ``first`` or
        ``last`` keeps the cells of one analysis; ``keep`` keeps all of them.
    missing_words
        Words that mean "no value" in platemaps and metadata, besides the empty cell; compared as they are written.
    feature_include, feature_exclude
        Shell patterns (``*``, ``?``) of columns that are features besides the recognised ones, and of columns that are none.
    feature_compartments
        Names before the first underscore of feature columns (``Soma`` for ``Soma_AreaShape_Area``) besides the usual ones.
    profile_group_by
        Columns that tell profiles of one well apart, such as a time point. None: found automatically where a time
        column varies; empty: pooled on purpose.
    center_controls
        Move the median control well to zero after pycytominer's own normalisation.
    mix_references
        Combine wells of plates normalised to controls and of plates normalised to themselves in one consensus profile.
    batch_method
        How ``sphered_profiles`` takes off what batches differ in. ``sphere``: pycytominer's ZCA-cor per batch, the default, since
        its features keep their names and a new batch moves none of the old profiles.
    position_regression
        Take off row, column and edge effects before, fitted on the controls of each batch. On: they are in every screen
        (https://doi.org/10.1038/nbt1186), and none is taken off where controls show none.
    position_min_controls
        Different wells with controls that a row or column needs over all plates of a batch to be estimated. 2: what one well
        differs by is its column's as well as its row's, on however many plates it is a control.
    position_coverage
        Share of the rows (columns) with wells that need so many controls; with less nothing is corrected along that axis.
        0.8: what lies between is told by the trend. With less, wells of lines without controls are moved by guesses: with 48
        controls in 9 of 12 columns of a generated screen all inactive treatments then seem active, without the columns none.
    batch_column
        Column of the well profiles that names the batch.
    plate_batches
        Patterns of plate names by batch; goes before the column. Platemaps are often shared by batches, and cannot name them.
    reference_batch
        Batch that chooses the features and the axes. None: the one of the stored table, else the first by name that has
        controls enough, so that a batch that comes later moves nothing.
    batch_epsilon
        Added to the deviation of every direction before it is scaled to one, in deviations of a feature among controls. 0.5, which
        typical variation normalisation adds to covariances (https://github.com/recursionpharma/EFAAR_benchmarking): without it
        directions in which few controls happen to vary little are blown up, and inactive treatments seem active
        (docs/batch-effects.md has numbers).
    control_folds
        Controls are corrected by fits that they are no part of, in so many parts; 1: by the same fit as all other wells. 5, as
        cross-validation is used (https://doi.org/10.1007/978-0-387-84858-7, 7.10): a control that shaped its own
        correction lies nearer to zero than any well that did nothing, which makes inactive treatments seem active. Not for
        ``tvn``, whose axes all controls shape: there their number is limited instead (``controls_per_axis``).
    batch_max_missing
        Share of the features that a batch may lack; with more it is left out, else they are zero there. 0.1: a feature that
        is zero in all wells of a batch separates this batch from the others.
    controls_per_axis
        Control wells of the reference batch that typical variation normalisation needs for each axis. 5: with fewer the axes are
        those of single wells, and inactive treatments seem active (docs/batch-effects.md has numbers).
    batch_components
        Principal components that Harmony moves. 50: what its authors' packages take by default.
    strict
        Findings of level error are failures: commands end with exit code 1, and the checks that report them block what
        is made of the plate. No step reads it, so that no table is built again for it.
    follow_symlinks
        Follow links that lead out of a store, and links to folders. None: as ``BIOIMAGE_FOLLOW_SYMLINKS`` says, which is off
        by default.
    write_normalized_cells
        Every plate also gets its single cells normalised, as large as the measured ones.
    write_virtual_plate
        Every plate also gets a virtual OME-Zarr plate: references into its original files.
    virtual_plate_format
        What it is written as: kerchunk references in ``json`` or ``parquet``, or an ``icechunk`` repository.
    virtual_plate_version
        Version of OME-Zarr, 0.5 or 0.4. None: 0.4 where the format is Parquet, which knows no other, else 0.5.
    measure_image_quality
        Read fields and measure how good they are. Without it only what CellProfiler measured of them (``ImageQuality_*``) is used.
    image_read_budget_mb
        Uncompressed megabytes (10^6 bytes) that are read of one plate for it. 1,000 are one field of each well of a plate of
        384 wells with five channels of 512 x 512 pixels; other fields are named as not read. 0 reads none.
    image_min_side_px
        The coarsest resolution level with at least so many pixels along the shorter side is read; full resolution where a
        store has no other. At 512 a cell of a field of 30 across is some 17 pixels wide, which the bands of detail (4 to
        16 pixels) are about.
    image_z_limit
        Robust z (median, 1.4826 median absolute deviations) that an outlier of its plate is beyond. 5: of a normal distribution
        one field in 3.5 million; the limit that scverse's mantispy has for image tables.
    image_blur_loss
        An outlier is blurred where it lost at least this share of the plate's usual detail ratio. 0.3: a Gaussian blur of
        about 1.5 pixels of the level takes that much.
    image_min_detail
        Detail ratio below which any field is blurred, outlier or not. 0, which none is below: how fine a stain is depends
        on magnification and stain. Known for an assay, it finds plates that are out of focus as a whole.
    image_blur_slope
        The same for fields of which only CellProfiler's measures are known: how much steeper than usual the
        ``PowerLogLogSlope`` of an outlier must be.
    image_saturated_percent
        Percent of pixels at the brightest value from which a field is saturated. 0.1: of a million pixels one or a few
        have the brightest value by chance, a single saturated nucleus of 36 pixels across is 1,000.
    image_blank_contrast
        Contrast up to which a field is blank; noise alone has 1.0, by the measure's definition, with a deviation of 0.02.
    image_blank_share
        A field is blank as well with less than this share of the plate's usual contrast: empty wells may have dust and structure
        of the plastic. 0.05: one cell in place of 400 has a twentieth of their deviation.
    image_debris_prominence
        How often as bright as the brightest places of other fields, times how often as bright as all else in its own field, the
        brightest place of a field with debris is. 4: twice in either way.
    image_debris_percent, image_debris_size
        Debris takes at least this percent of the field, and so many times the usual area of the brightest place: one bright
        cell is no debris.
    image_uneven_ratio
        The ratio of background between the brightest and the dimmest of 4 x 4 blocks of an uneven outlier is so many times the
        usual one: vignetting that all fields share is left to illumination correction.
    image_uneven_slope_share
        Share of the difference between the blocks that a slope to one side explains in any uneven field. 0.8: 16 blocks of
        which cells cover some by chance have 0.13 on average, and a fall of light to a half has more than 0.9.
    image_max_illumination
        Ratio of background from which any field is uneven: 5 is more than vignetting of an objective, and leaves a corner a
        fifth of the light.
    image_max_flagged
        Share of judged fields of a plate that may be flagged before the check warns.
    image_drift_limit
        A plate drifts where the median of its fields is more than so many spreads (robust deviations of fields of one plate) from
        the median of its batch's plates. 3: the usual limit of control charts (W. A. Shewhart).
    image_flags
        Cells of flagged fields (of any channel) fail quality control by the condition ``image_flags``. False: flags are
        only shown, and profiles are as they were.
    pictures
        Pages have pictures. None: as ``BIOIMAGE_PICTURES`` says, which is on by default.
    hits_profiles
        Wells that treatments are measured on: ``selected``, those of ``pycytominer_selected_features``, the default, since they need
        nothing but well profiles, or ``sphered``, those of ``sphered_profiles``, without the effects of position and batch.
    hits_significance
        Hits, active treatments and features are those with a q value (Benjamini and Hochberg 1995) below it: 0.05, the
        field's convention.
    hits_null_size
        Random rankings and sets of held-out controls behind each p value. 10,000: p values go down to 1e-4.
    hits_average_precision
        What ranks replicates among controls: ``copairs``, the field's library (extra), ``built_in``, the same in bounded memory,
        or ``auto``: copairs where it is installed.
    hits_explained_variance
        Share of the variance that the components hold on which distances are measured: 0.95, as Nyffeler et al. 2021
        (https://doi.org/10.1177/2472555220950245).
    hits_min_doses
        Curves are fitted to compounds with so many doses: 4, as many as a curve has parameters.
    hits_min_effect
        A curve that rises by less is flat, in robust deviations of control wells: 3, the cutoff of the ToxCast pipeline
        (Filer et al. 2017, https://doi.org/10.1093/bioinformatics/btw680).
    hits_test
        Test of single features: ``welch`` (t test of unequal variances: with three replicates ranks cannot be significant),
        ``student`` (of equal variances: fewer false calls with few replicates) or ``mann_whitney``.
    match_md5
        Compare MD5 digests of image files; reads every file once.
    """

    aliases: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    file_pattern: str | None = None
    profile_site_offset: int | None = None
    path_rewrites: tuple[tuple[str, str], ...] = ()
    platemap_dir: str = "platemaps"
    platemap_well_column: str = "well_position"
    control_column: str = "Metadata_control_type"
    control_values: tuple[str, ...] = ("negcon",)
    treatment_columns: tuple[str, ...] = ("Metadata_compound", "Metadata_concentration_um")
    qc_thresholds: Mapping[str, Mapping[str, float]] | None = None
    qc_max_fail_fraction: float = 0.2
    normalization_method: NormalizationMethod = "standardize"
    normalization_samples: NormalizationSamples = "controls"
    mad_epsilon: float = 0.0
    normal_quantiles: int = 1000
    spherize_method: SpherizeMethod = "ZCA-cor"
    spherize_epsilon: float = 1e-6
    min_controls: int = 4
    min_cells_per_well: int = 1
    measurement_engine: MeasurementEngine = "duckdb"
    compartments: tuple[str, ...] = ()
    match_md5: bool = False
    ignore_profile_plate: bool = False
    duplicate_cells: DuplicateRule = "error"
    missing_words: tuple[str, ...] = ()
    feature_include: tuple[str, ...] = ()
    feature_exclude: tuple[str, ...] = ()
    feature_compartments: tuple[str, ...] = ()
    profile_group_by: tuple[str, ...] | None = None
    center_controls: bool = False
    mix_references: bool = False
    batch_method: BatchMethod = "sphere"
    position_regression: bool = True
    position_min_controls: int = 2
    position_coverage: float = 0.8
    batch_column: str = "Metadata_Batch"
    plate_batches: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    reference_batch: str | None = None
    batch_epsilon: float = 0.5
    control_folds: int = 5
    batch_max_missing: float = 0.1
    controls_per_axis: int = 5
    batch_components: int = 50
    strict: bool = False
    follow_symlinks: bool | None = None
    pictures: bool | None = None
    write_normalized_cells: bool = False
    write_virtual_plate: bool = False
    virtual_plate_format: VirtualPlateFormat = "json"
    virtual_plate_version: OmeZarrVersion | None = None
    hits_profiles: HitProfiles = "selected"
    hits_significance: float = 0.05
    hits_null_size: int = 10_000
    hits_average_precision: AveragePrecision = "auto"
    hits_explained_variance: float = 0.95
    hits_min_doses: int = 4
    hits_min_effect: float = 3.0
    hits_test: FeatureTest = "welch"
    measure_image_quality: bool = True
    image_read_budget_mb: int = 1000
    image_min_side_px: int = 512
    image_z_limit: float = 5.0
    image_blur_loss: float = 0.3
    image_min_detail: float = 0.0
    image_blur_slope: float = 0.5
    image_saturated_percent: float = 0.1
    image_blank_contrast: float = 1.2
    image_blank_share: float = 0.05
    image_debris_prominence: float = 4.0
    image_debris_percent: float = 0.5
    image_debris_size: float = 1.2
    image_uneven_ratio: float = 1.5
    image_uneven_slope_share: float = 0.8
    image_max_illumination: float = 5.0
    image_max_flagged: float = 0.1
    image_drift_limit: float = 3.0
    image_flags: bool = False
