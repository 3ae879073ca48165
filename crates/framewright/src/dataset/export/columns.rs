//! Parquet files column by column, without Arrow.
//!
//! Invariant: the bytes depend on the rows alone: the writer's name is constant, and no time is stored.

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::Path;
use std::sync::Arc;

use anyhow::Context as _;
use parquet::basic::Compression;
use parquet::data_type::{ByteArrayType, DataType};
use parquet::file::metadata::KeyValue;
use parquet::file::properties::{WriterProperties, WriterPropertiesBuilder};
use parquet::file::writer::{SerializedFileWriter, SerializedRowGroupWriter};
use parquet::schema::parser::parse_message_type;

/// A file that is being written.
pub(super) struct Table {
    writer: SerializedFileWriter<BufWriter<File>>,
}

/// What all our files have in common.
pub(super) fn properties(about: &[(&str, String)]) -> WriterPropertiesBuilder {
    let about = about
        .iter()
        .map(|(key, value)| KeyValue::new((*key).to_owned(), value.clone()));
    WriterProperties::builder()
        .set_created_by("framewright".into())
        .set_compression(Compression::SNAPPY)
        .set_key_value_metadata(Some(about.collect()))
}

impl Table {
    pub(super) fn create(
        file: BufWriter<File>,
        schema: &str,
        properties: WriterProperties,
    ) -> anyhow::Result<Self> {
        let schema = Arc::new(parse_message_type(schema)?);
        let writer = SerializedFileWriter::new(file, schema, Arc::new(properties))?;
        Ok(Self { writer })
    }

    /// Adds a group of rows; `columns` gives the leaf columns in the order of the schema.
    pub(super) fn group<R>(
        &mut self,
        rows: &[R],
        columns: impl FnOnce(&mut Group<'_, '_, R>) -> anyhow::Result<()>,
    ) -> anyhow::Result<()> {
        let mut group = Group {
            writer: self.writer.next_row_group()?,
            rows,
        };
        columns(&mut group)?;
        group.writer.close()?;
        Ok(())
    }

    pub(super) fn finish(self) -> anyhow::Result<()> {
        let mut file = self.writer.into_inner()?;
        file.flush()?;
        Ok(())
    }
}

/// A group of rows that is being written.
pub(super) struct Group<'t, 'r, R> {
    writer: SerializedRowGroupWriter<'t, BufWriter<File>>,
    rows: &'r [R],
}

impl<'r, R> Group<'_, 'r, R> {
    pub(super) fn rows(&self) -> &'r [R] {
        self.rows
    }

    /// The next column, of numbers or flags; none is null.
    pub(super) fn values<T: DataType>(
        &mut self,
        value: impl Fn(&R) -> Option<T::T>,
    ) -> anyhow::Result<()> {
        let mut values = Vec::with_capacity(self.rows.len());
        let mut present = Vec::with_capacity(self.rows.len());
        for row in self.rows {
            let value = value(row);
            present.push(i16::from(value.is_some()));
            values.extend(value);
        }
        self.levels::<T>(&values, &present, None)
    }

    /// The next column, of text; none is null.
    pub(super) fn text(&mut self, value: impl Fn(&R) -> Option<String>) -> anyhow::Result<()> {
        self.values::<ByteArrayType>(|row| value(row).map(|text| text.into_bytes().into()))
    }

    /// The next column, a leaf of an optional list of records: none is null.
    pub(super) fn list<T: DataType>(
        &mut self,
        items: impl Fn(&R) -> Option<Vec<T::T>>,
    ) -> anyhow::Result<()> {
        let (mut values, mut defined, mut repeated) = (Vec::new(), Vec::new(), Vec::new());
        for row in self.rows {
            let items = items(row);
            let n = items.as_ref().map_or(0, Vec::len);
            // An absent list and an empty one take a place without a value.
            match n {
                0 => {
                    defined.push(i16::from(items.is_some()));
                    repeated.push(0);
                }
                n => {
                    defined.extend(std::iter::repeat_n(2, n));
                    repeated.push(0);
                    repeated.extend(std::iter::repeat_n(1, n - 1));
                }
            }
            values.extend(items.into_iter().flatten());
        }
        self.levels::<T>(&values, &defined, Some(&repeated))
    }

    /// The next column with its definition and repetition levels; without the latter, the former are 1 or 0: there or not.
    pub(super) fn levels<T: DataType>(
        &mut self,
        values: &[T::T],
        defined: &[i16],
        repeated: Option<&[i16]>,
    ) -> anyhow::Result<()> {
        let mut column = self
            .writer
            .next_column()?
            .context("the schema has fewer columns")?;
        let typed = column.typed::<T>();
        let deepest = typed.get_descriptor().max_def_level();
        let scaled: Vec<i16> = match repeated {
            Some(_) => defined.to_vec(),
            None => defined.iter().map(|there| there * deepest).collect(),
        };
        typed.write_batch(values, (deepest > 0).then_some(&*scaled), repeated)?;
        column.close()?;
        Ok(())
    }
}

/// Marks an error with the file it belongs to.
pub(super) fn at<T>(result: anyhow::Result<T>, path: &Path) -> anyhow::Result<T> {
    result.with_context(|| format!("cannot write {}", path.display()))
}
