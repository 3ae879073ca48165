//! Parquet files with the pictures inside, as Hugging Face's hub shows and loads them:
//! `data/<part>-00000-of-00001.parquet`.
//!
//! The key `huggingface` of the file tells the types of the columns: <https://huggingface.co/docs/datasets/about_dataset_features>.
//! Groups of rows are small, in number and in bytes, so that a viewer can fetch one.

use anyhow::Context as _;
use parquet::basic::Compression;
use parquet::data_type::{ByteArray, ByteArrayType, DoubleType, Int32Type, Int64Type};
use parquet::file::properties::{EnabledStatistics, WriterProperties};
use parquet::schema::types::ColumnPath;
use serde_json::{Value, json};

use super::columns::{Group, Table, at, properties};
use super::folder::NewFolder;
use super::objects;
use super::view::{self, Picture, View};
use super::{Stopped, check};
use crate::dataset::readback;
use crate::dataset::record::Split;

const ROWS_PER_GROUP: usize = 100;
const BYTES_PER_GROUP: usize = 64 << 20;

/// All may be null, though nothing is: the library believes the types of `huggingface` only where they are exactly those
/// that it would have written itself.
const SCHEMA: &str = "optional group image {
        optional binary bytes;
        optional binary path (UTF8);
    }
    optional binary image_id (UTF8);
    optional int32 width;
    optional int32 height;
    optional binary video_id (UTF8);
    optional int64 frame_index;
    optional double pts_secs;
    optional binary source (UTF8);";

/// A picture and the content of its file.
struct Row<'a> {
    picture: &'a Picture<'a>,
    bytes: ByteArray,
}

/// The word for a part in the names of the files: the hub's own.
pub(super) fn word(split: Split) -> &'static str {
    match split {
        Split::Train => "train",
        Split::Val => "validation",
        Split::Test => "test",
    }
}

/// Writes the format into an empty folder.
pub(super) fn write(view: &View<'_>, to: &NewFolder, stopped: Stopped<'_>) -> anyhow::Result<()> {
    to.make("data")?;
    for split in view.splits() {
        let pictures: Vec<_> = view.of(split).collect();
        let shards: Vec<_> = pictures
            .chunks(view.config.export.shard_size.max(1))
            .collect();
        for (number, shard) in shards.iter().enumerate() {
            let name = format!(
                "data/{}-{number:05}-of-{:05}.parquet",
                word(split),
                shards.len()
            );
            at(
                write_shard(view, to, &name, shard, stopped),
                &to.path(&name),
            )?;
        }
    }
    Ok(())
}

fn write_shard(
    view: &View<'_>,
    to: &NewFolder,
    name: &str,
    pictures: &[&Picture<'_>],
    stopped: Stopped<'_>,
) -> anyhow::Result<()> {
    let objects = if view.is_labelled() {
        objects::SCHEMA
    } else {
        ""
    };
    let schema = format!("message pictures {{ {SCHEMA} {objects} }}");
    let mut table = Table::create(to.file(name)?, &schema, how(view))?;
    let mut rows: Vec<Row<'_>> = Vec::new();
    let mut size = 0;
    for picture in pictures {
        check(stopped)?;
        let bytes = readback::bytes(picture.path, u64::MAX)
            .with_context(|| format!("cannot read {}", picture.path.display()))?;
        size += bytes.len();
        rows.push(Row {
            picture,
            bytes: bytes.into(),
        });
        if rows.len() == ROWS_PER_GROUP || size >= BYTES_PER_GROUP {
            table.group(&rows, |group| columns(view, group))?;
            rows.clear();
            size = 0;
        }
    }
    if !rows.is_empty() {
        table.group(&rows, |group| columns(view, group))?;
    }
    table.finish()
}

fn how(view: &View<'_>) -> WriterProperties {
    let about = json!({"info": {"features": features(view)}});
    // Pictures are compressed already, all different, and have no smallest one.
    let bytes = || ColumnPath::from(vec!["image".to_owned(), "bytes".to_owned()]);
    properties(&[("huggingface", about.to_string())])
        .set_column_compression(bytes(), Compression::UNCOMPRESSED)
        .set_column_dictionary_enabled(bytes(), false)
        .set_column_statistics_enabled(bytes(), EnabledStatistics::None)
        .build()
}

/// The types of the columns in the words of the library `datasets`.
fn features(view: &View<'_>) -> Value {
    let value = |kind: &str| json!({"dtype": kind, "_type": "Value"});
    let mut features = json!({
        "image": {"_type": "Image"},
        "image_id": value("string"),
        "width": value("int32"),
        "height": value("int32"),
        "video_id": value("string"),
        "frame_index": value("int64"),
        "pts_secs": value("float64"),
        "source": value("string"),
    });
    if view.is_labelled() {
        let list = |of: Value| json!({"feature": of, "_type": "Sequence"});
        let class = json!({"names": view.classes.names, "_type": "ClassLabel"});
        features["objects"] =
            json!({"bbox": list(list(value("float32"))), "categories": list(class)});
    }
    features
}

fn columns(view: &View<'_>, to: &mut Group<'_, '_, Row<'_>>) -> anyhow::Result<()> {
    let text = |text: &str| Some(text.to_owned());
    to.values::<ByteArrayType>(|row| Some(row.bytes.clone()))?;
    to.text(|row| text(&row.picture.file_name))?;
    to.text(|row| text(row.picture.image_id()))?;
    to.values::<Int32Type>(|row| Some(row.picture.video.size[0] as i32))?;
    to.values::<Int32Type>(|row| Some(row.picture.video.size[1] as i32))?;
    to.text(|row| text(&row.picture.video.video.video_id))?;
    to.values::<Int64Type>(|row| Some(row.picture.frame.frame.frame_index as i64))?;
    to.values::<DoubleType>(|row| Some(row.picture.frame.frame.pts_secs))?;
    to.text(|row| Some(view::source(row.picture.video)))?;
    if !view.is_labelled() {
        return Ok(());
    }
    objects::columns(to, |row| &row.picture.boxes)
}
