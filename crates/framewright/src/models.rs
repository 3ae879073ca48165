//! `framewright models list`: the models that need no file.

use framewright_infer::{BUILTINS, Builtin, DEFAULT_MODEL};
use serde::Serialize;

use crate::report;

/// Digits of a SHA-256 in the table; JSON has them all.
const SHORT: usize = 12;

/// One model. Serialised as an object of `framewright models list --json`.
#[derive(Debug, Serialize)]
struct Entry {
    name: &'static str,
    /// Whether it is taken when none is named.
    default: bool,
    /// Enlargement in each direction by one pass.
    scale: u32,
    /// Channels between the layers; none without a network.
    channels: Option<usize>,
    /// Convolutions between the first and the last; none without a network.
    layers: Option<usize>,
    /// Size of the file that is part of the program.
    file_bytes: Option<usize>,
    /// SPDX expression.
    licence: &'static str,
    /// Of that file, in hexadecimal.
    sha256: Option<String>,
    /// What it is, in a few words.
    about: &'static str,
}

impl Entry {
    fn new(builtin: &Builtin) -> Self {
        let shape = builtin.shape();
        Self {
            name: builtin.name,
            default: builtin.name == DEFAULT_MODEL,
            scale: builtin.scale,
            channels: shape.map(|shape| shape.channels),
            layers: shape.map(|shape| shape.layers),
            file_bytes: builtin.file_bytes(),
            licence: builtin.licence,
            sha256: builtin.sha256(),
            about: builtin.about,
        }
    }

    /// The cells of its line.
    fn cells(&self) -> [String; 7] {
        let or_dash = |text: Option<String>| text.unwrap_or_else(|| "-".to_owned());
        let default = if self.default { " (default)" } else { "" };
        let network = self.channels.zip(self.layers);
        [
            format!("{}{default}", self.name),
            format!("x{}", self.scale),
            or_dash(
                network.map(|(channels, layers)| format!("{channels} channels x {layers} layers")),
            ),
            or_dash(
                self.file_bytes
                    .map(|bytes| format!("{} kB", bytes.div_ceil(1000))),
            ),
            self.licence.to_owned(),
            or_dash(
                self.sha256
                    .as_ref()
                    .map(|sha256| sha256[..SHORT].to_owned()),
            ),
            self.about.to_owned(),
        ]
    }
}

/// Prints the built-in models on standard output, as a table or as a JSON array.
///
/// # Errors
/// Standard output refuses it.
pub fn list(json: bool) -> anyhow::Result<()> {
    let entries: Vec<Entry> = BUILTINS.iter().map(Entry::new).collect();
    if json {
        return report::print_json(&entries);
    }
    let heads = [
        "NAME",
        "SCALE",
        "NETWORK",
        "FILE",
        "LICENCE",
        "SHA256",
        "WHAT IT IS",
    ];
    let mut rows = vec![heads.map(str::to_owned)];
    rows.extend(entries.iter().map(Entry::cells));
    report::print(&table(&rows))
}

/// Rows with their columns one below the other, two blanks apart.
fn table<const N: usize>(rows: &[[String; N]]) -> String {
    let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max();
    let widths: [usize; N] = std::array::from_fn(|column| width(column).unwrap_or(0));
    let line = |row: &[String; N]| {
        let cells = row.iter().zip(widths);
        let cells: Vec<String> = cells
            .map(|(cell, width)| format!("{cell:width$}"))
            .collect();
        cells.join("  ").trim_end().to_owned()
    };
    rows.iter().map(line).collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_of_a_table_stand_one_below_the_other() {
        let rows = [["a", "bc", "d"], ["ef", "×", "-"]].map(|row| row.map(str::to_owned));
        assert_eq!(table(&rows), "a   bc  d\nef  ×   -");
    }

    #[test]
    fn exactly_one_model_is_the_default() {
        let entries = BUILTINS.iter().map(Entry::new);
        let defaults: Vec<_> = entries.filter(|entry| entry.default).collect();
        assert_eq!(defaults.len(), 1);
        let cells = defaults[0].cells();
        assert_eq!(cells[0], "lite-x2 (default)");
        assert_eq!(cells[5].len(), SHORT);
    }
}
