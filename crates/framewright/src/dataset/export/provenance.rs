//! `frames.parquet`: a row for every frame that was looked at, kept or not, and why.
//!
//! It is what a picture can be traced back by, and what a later dataset compares its pictures with
//! ([`read_provenance`]). Columns that may be unknown are optional.

use std::collections::BTreeMap;
use std::fs::File;
use std::path::Path;

use anyhow::Context as _;
use framewright_hash::Hash256;
use parquet::column::reader::get_typed_column_reader;
use parquet::data_type::{
    BoolType, ByteArray, ByteArrayType, DataType, DoubleType, FloatType, Int32Type, Int64Type,
};
use parquet::file::reader::{FileReader as _, SerializedFileReader};

use super::columns::{Group, Table, properties};
use super::folder::NewFolder;
use super::view::{self, BoundingBox, View};
use super::{Stopped, check, config_hash};
use crate::dataset::readback::open_plain;
use crate::dataset::record::DatasetFrame;
use crate::exit::{Exit, OrExit as _};

/// The columns and what they mean, in the order of the file; the card and Croissant list them from here.
pub(super) const COLUMNS: [(&str, &str); 30] = [
    ("image_id", "name of the picture, without extension"),
    ("source", "what the video was given by"),
    ("url", "address of the video"),
    ("video_id", "our name of the video"),
    ("video_sha256", "SHA-256 of the video file"),
    ("extractor", "what fetched it: a site's name, http or file"),
    ("title", "title that the source gives"),
    ("licence", "licence that the source states"),
    ("pts_secs", "seconds from the first frame of the video"),
    ("frame_index", "number of the frame in the video, from 0"),
    ("keyframe", "whether it is a key frame of the video"),
    ("width", "pixels"),
    ("height", "pixels"),
    ("kept", "whether it is in the dataset"),
    ("drop_reason", "why it is not"),
    ("duplicate_of", "image_id of the frame that stands for it"),
    (
        "distance",
        "distance to that frame: bits of 256, or 1 - cosine",
    ),
    ("duplicate_kind", "what found the duplicate"),
    ("split", "train, val or test"),
    ("split_group", "video_id of the group that no split cuts"),
    (
        "file_name",
        "part and name of the picture: <split>/<image_id>.<extension>",
    ),
    ("sha256", "SHA-256 of the picture file"),
    ("sharpness", "variance of the Laplacian of the luma"),
    ("brightness", "mean luma, 0 to 255"),
    ("contrast", "standard deviation of the luma of a thumbnail"),
    ("border", "share of black border, 0 to 1"),
    ("text_score", "cosine similarity with the wanted text"),
    ("dct", "hash of the low frequencies, 64 hexadecimal digits"),
    ("dhash", "hash of the gradients, 64 hexadecimal digits"),
    (
        "objects",
        "what the detector found: class, label, score, x, y, w, h in pixels",
    ),
];

const SCHEMA: &str = "message frames {
    required binary image_id (UTF8);
    required binary source (UTF8);
    optional binary url (UTF8);
    required binary video_id (UTF8);
    required binary video_sha256 (UTF8);
    required binary extractor (UTF8);
    optional binary title (UTF8);
    optional binary licence (UTF8);
    required double pts_secs;
    required int64 frame_index;
    required boolean keyframe;
    required int32 width;
    required int32 height;
    required boolean kept;
    optional binary drop_reason (UTF8);
    optional binary duplicate_of (UTF8);
    optional double distance;
    optional binary duplicate_kind (UTF8);
    optional binary split (UTF8);
    required binary split_group (UTF8);
    optional binary file_name (UTF8);
    optional binary sha256 (UTF8);
    required float sharpness;
    required float brightness;
    required float contrast;
    required float border;
    optional float text_score;
    required binary dct (UTF8);
    required binary dhash (UTF8);
    optional group objects (LIST) { repeated group list { required group element {
        required int32 class;
        required binary label (UTF8);
        required float score;
        required float x;
        required float y;
        required float w;
        required float h;
    } } }
}";

/// Bounds what is in memory while writing and reading.
const ROWS_PER_GROUP: usize = 20_000;

/// Larger groups of rows are not read: no file of ours has them.
const MOST_ROWS_PER_GROUP: usize = 1 << 24;

/// A frame and what is written of its objects.
struct Row<'a> {
    frame: &'a DatasetFrame,
    boxes: Option<Vec<BoundingBox>>,
}

/// Writes the table.
pub(super) fn write(
    view: &View<'_>,
    to: &NewFolder,
    name: &str,
    stopped: Stopped<'_>,
) -> anyhow::Result<()> {
    let about = [
        ("framewright_version", env!("CARGO_PKG_VERSION").to_owned()),
        ("config_hash", config_hash(view.config)?),
        ("classes", serde_json::to_string(&view.classes.names)?),
    ];
    let mut table = Table::create(to.file(name)?, SCHEMA, properties(&about).build())?;
    for frames in view.dataset.frames.chunks(ROWS_PER_GROUP) {
        check(stopped)?;
        let rows: Vec<Row<'_>> = frames.iter().map(|frame| row(view, frame)).collect();
        table.group(&rows, |group| columns(view, group))?;
    }
    table.finish()
}

fn row<'a>(view: &View<'_>, frame: &'a DatasetFrame) -> Row<'a> {
    let size = view.dataset.videos[frame.video].size;
    let was_shown = frame.labels.objects.is_some();
    Row {
        frame,
        boxes: was_shown.then(|| view.classes.boxes(frame, size)),
    }
}

fn columns(view: &View<'_>, to: &mut Group<'_, '_, Row<'_>>) -> anyhow::Result<()> {
    let video = |row: &Row<'_>| &view.dataset.videos[row.frame.video];
    let size = |row: &Row<'_>| video(row).size.map(|side| side as i32);
    let text = |text: &str| Some(text.to_owned());
    to.text(|row| text(&row.frame.frame.image_id))?;
    to.text(|row| Some(view::source(video(row))))?;
    to.text(|row| view::address(video(row)))?;
    to.text(|row| text(&video(row).video.video_id))?;
    to.text(|row| text(&video(row).downloaded.sha256))?;
    to.text(|row| text(&video(row).downloaded.extractor))?;
    to.text(|row| video(row).downloaded.title.clone())?;
    to.text(|row| video(row).downloaded.licence.clone())?;
    to.values::<DoubleType>(|row| Some(row.frame.frame.pts_secs))?;
    to.values::<Int64Type>(|row| Some(row.frame.frame.frame_index as i64))?;
    to.values::<BoolType>(|row| Some(row.frame.frame.keyframe))?;
    to.values::<Int32Type>(|row| Some(size(row)[0]))?;
    to.values::<Int32Type>(|row| Some(size(row)[1]))?;
    to.values::<BoolType>(|row| Some(row.frame.is_kept()))?;
    let dropped = |row: &Row<'_>| row.frame.dropped.clone();
    to.text(|row| text(dropped(row)?.reason.word()))?;
    to.text(|row| dropped(row)?.duplicate_of)?;
    to.values::<DoubleType>(|row| dropped(row)?.distance.map(f64::from))?;
    to.text(|row| text(dropped(row)?.kind?))?;
    to.text(|row| text(row.frame.split?.word()))?;
    to.text(|row| text(&row.frame.group))?;
    to.text(|row| {
        let name = view::file_name(row.frame)?;
        Some(format!("{}/{name}", row.frame.split?.word()))
    })?;
    to.text(|row| row.frame.frame.sha256.clone())?;
    let scores = |row: &Row<'_>| row.frame.frame.scores;
    to.values::<FloatType>(|row| Some(scores(row).sharpness))?;
    to.values::<FloatType>(|row| Some(scores(row).brightness))?;
    to.values::<FloatType>(|row| Some(scores(row).contrast))?;
    to.values::<FloatType>(|row| Some(scores(row).border))?;
    to.values::<FloatType>(|row| row.frame.labels.text_score)?;
    to.text(|row| Some(row.frame.frame.dct.to_string()))?;
    to.text(|row| Some(row.frame.frame.dhash.to_string()))?;
    objects(view, to)
}

fn objects(view: &View<'_>, to: &mut Group<'_, '_, Row<'_>>) -> anyhow::Result<()> {
    fn of<T>(row: &Row<'_>, value: impl Fn(&BoundingBox) -> T) -> Option<Vec<T>> {
        row.boxes
            .as_ref()
            .map(|boxes| boxes.iter().map(value).collect())
    }
    to.list::<Int32Type>(|row| of(row, |found| found.class as i32))?;
    to.list::<ByteArrayType>(|row| of(row, |found| view.classes.name(found.class).into()))?;
    to.list::<FloatType>(|row| of(row, |found| found.score as f32))?;
    for side in 0..4 {
        to.list::<FloatType>(|row| of(row, |found| found.xywh[side] as f32))?;
    }
    Ok(())
}

/// A frame of an earlier dataset, as far as later ones are compared with it.
#[derive(Debug, Clone, PartialEq)]
pub struct EarlierFrame {
    /// Its name there.
    pub image_id: String,
    /// Whether it is in that dataset.
    pub kept: bool,
    /// Hash of the low frequencies.
    pub dct: Hash256,
    /// Hash of the gradients.
    pub dhash: Hash256,
    /// As [`Scores::contrast`](crate::dataset::record::Scores::contrast).
    pub contrast: f32,
    /// As [`Scores::brightness`](crate::dataset::record::Scores::brightness).
    pub brightness: f32,
}

/// Reads the frames of an earlier dataset from its `frames.parquet`, kept or not, in the order of the file.
///
/// # Errors
/// The file cannot be read, or is no such table.
pub fn read_provenance(path: &Path) -> anyhow::Result<Vec<EarlierFrame>> {
    let read = || {
        let file = SerializedFileReader::new(open_plain(path)?)?;
        let mut frames = Vec::new();
        for group in 0..file.num_row_groups() {
            read_group(&file, group, &mut frames)?;
        }
        Ok(frames)
    };
    let read: anyhow::Result<_> = read();
    read.with_context(|| format!("cannot read the frames of a dataset in {}", path.display()))
        .or_exit(Exit::BadInput)
}

/// Reads how many pictures each video of a dataset has, by `video_id`.
///
/// # Errors
/// The file cannot be read, or is no such table.
pub(super) fn read_kept(path: &Path) -> anyhow::Result<BTreeMap<String, u64>> {
    let file = SerializedFileReader::new(open_plain(path)?)?;
    let mut kept = BTreeMap::new();
    for group in 0..file.num_row_groups() {
        let ids = read_column::<ByteArrayType>(&file, group, "video_id")?;
        let is_kept = read_column::<BoolType>(&file, group, "kept")?;
        for (id, _) in ids.iter().zip(is_kept).filter(|(_, is_kept)| *is_kept) {
            *kept.entry(id.as_utf8()?.to_owned()).or_default() += 1;
        }
    }
    Ok(kept)
}

fn read_group(
    file: &SerializedFileReader<File>,
    group: usize,
    frames: &mut Vec<EarlierFrame>,
) -> anyhow::Result<()> {
    let text = |name: &str| -> anyhow::Result<Vec<String>> {
        let values = read_column::<ByteArrayType>(file, group, name)?;
        let text = |value: &ByteArray| Ok(value.as_utf8()?.to_owned());
        values.iter().map(text).collect()
    };
    let hashes = |name: &str| -> anyhow::Result<Vec<Hash256>> {
        let hash = |text: String| text.parse::<Hash256>();
        let hashes = text(name)?.into_iter().map(hash).collect::<Result<_, ()>>();
        hashes.map_err(|()| anyhow::anyhow!("{name} is no hash of 64 hexadecimal digits"))
    };
    let (image_ids, dct, dhash) = (text("image_id")?, hashes("dct")?, hashes("dhash")?);
    let kept = read_column::<BoolType>(file, group, "kept")?;
    let contrast = read_column::<FloatType>(file, group, "contrast")?;
    let brightness = read_column::<FloatType>(file, group, "brightness")?;
    for (row, image_id) in image_ids.into_iter().enumerate() {
        anyhow::ensure!(
            view::is_plain(&image_id) && contrast[row].is_finite() && brightness[row].is_finite(),
            "a frame of it has no name or measure that can be"
        );
        frames.push(EarlierFrame {
            image_id,
            kept: kept[row],
            dct: dct[row],
            dhash: dhash[row],
            contrast: contrast[row],
            brightness: brightness[row],
        });
    }
    Ok(())
}

/// All values of a column that is never null.
fn read_column<T: DataType>(
    file: &SerializedFileReader<File>,
    group: usize,
    name: &str,
) -> anyhow::Result<Vec<T::T>> {
    let schema = file.metadata().file_metadata().schema_descr();
    let mut columns = schema.columns().iter();
    let number = columns
        .position(|column| column.path().string() == name)
        .with_context(|| format!("it has no column {name}"))?;
    let column = schema.column(number);
    anyhow::ensure!(
        column.physical_type() == T::get_physical_type() && column.max_def_level() == 0,
        "its column {name} is of another type"
    );
    let rows = usize::try_from(file.metadata().row_group(group).num_rows())?;
    anyhow::ensure!(
        rows <= MOST_ROWS_PER_GROUP,
        "a group of its rows is too large"
    );
    let reader = file.get_row_group(group)?.get_column_reader(number)?;
    let mut values = Vec::new();
    let (_, n, _) =
        get_typed_column_reader::<T>(reader).read_records(rows, None, None, &mut values)?;
    anyhow::ensure!(n == rows, "its column {name} ends early");
    Ok(values)
}
