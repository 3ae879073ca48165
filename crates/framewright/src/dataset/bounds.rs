//! The numbers of a configuration, and the ranges that the work is made for: one list for the TOML file, the flags and
//! what an earlier run has kept.
//!
//! Invariant: a configuration that passes holds no number that is infinite or none, and none that makes a time, a
//! thread count or an allocation overflow.

use super::config::{Config, Every};

/// Most videos or frames worked on at the same time, on any machine: each takes a thread or several.
pub const MOST_WORKERS: usize = 256;
/// Most bytes of a size: 1 EiB.
pub const MOST_BYTES: u64 = 1 << 60;
/// Least bytes of `run.max_disk`: below this nobody can have meant it.
pub const LEAST_DISK_BYTES: u64 = 1 << 20;

/// A number and the range it has to be in, both ends included.
struct Number {
    key: &'static str,
    /// None where it is left out.
    value: Option<f64>,
    range: (f64, f64),
    /// What it counts, with a blank before it.
    unit: &'static str,
}

impl Number {
    fn problem(&self, value: f64) -> Option<String> {
        let (low, high) = self.range;
        let fits = (low..=high).contains(&value);
        (!fits).then(|| {
            let [value, low, high] = [value, low, high].map(shown);
            let Self { key, unit, .. } = self;
            format!("{key} is {value}, but has to be from {low} to {high}{unit}")
        })
    }
}

/// Short, also where it has three hundred digits.
fn shown(value: f64) -> String {
    if value.fract() == 0.0 && value.abs() < 1e16 {
        format!("{value:.0}")
    } else {
        format!("{value:?}")
    }
}

/// All numbers of a configuration.
#[rustfmt::skip]
fn numbers(config: &Config) -> Vec<Number> {
    let whole = |value: Option<u64>| value.map(|value| value as f64);
    let count = |value: usize| Some(value as f64);
    let real = |value: f32| Some(f64::from(value));
    let Config { run, download, extract, filter, dedup, detect, split, export, .. } = config;
    let min_cosine = dedup.embedding.as_ref().map(|embedding| f64::from(embedding.min_cosine));
    let bytes = (1.0, MOST_BYTES as f64);
    let secs = (0.1, 1e6);
    let number = |key, value, range, unit| Number { key, value, range, unit };
    vec![
        number("run.workers", run.workers.map(|n| n as f64), (1.0, MOST_WORKERS as f64), ""),
        number("run.max_disk", whole(run.max_disk), (LEAST_DISK_BYTES as f64, MOST_BYTES as f64), " bytes"),
        number("download.max_file_size", whole(download.max_file_size), bytes, " bytes"),
        number("download.max_duration", download.max_duration, (0.1, 1e9), " seconds"),
        number("download.stall_timeout", Some(download.stall_timeout), secs, " seconds"),
        number("download.total_timeout", Some(download.total_timeout), (0.1, 1e8), " seconds"),
        number("download.per_host", count(download.per_host), (1.0, MOST_WORKERS as f64), ""),
        number("download.tries", Some(f64::from(download.tries)), (1.0, 100.0), ""),
        number("download.rate_limit", whole(download.rate_limit), bytes, " bytes per second"),
        number("download.min_speed", whole(download.min_speed), (0.0, MOST_BYTES as f64), " bytes per second"),
        number("download.height", Some(f64::from(download.height)), (16.0, 65_536.0), " pixels"),
        number("download.sleep", Some(download.sleep), (0.0, 86_400.0), " seconds"),
        number("download.max_entries", count(download.max_entries), (1.0, 1e7), ""),
        number("extract.quality", Some(f64::from(extract.quality)), (1.0, 100.0), ""),
        number("extract.max_frames", whole(extract.max_frames), (1.0, 1e12), ""),
        number("extract.stall_timeout", Some(extract.stall_timeout), secs, " seconds"),
        number("extract.every", step(extract.every), (Every::LEAST_SECS, Every::MOST), " seconds or frames"),
        number("filter.min_sharpness", real(filter.min_sharpness), (0.0, 1e9), ""),
        number("filter.min_brightness", real(filter.min_brightness), (0.0, 255.0), ""),
        number("filter.max_brightness", real(filter.max_brightness), (0.0, 255.0), ""),
        number("filter.min_contrast", real(filter.min_contrast), (0.0, 255.0), ""),
        number("filter.max_border", real(filter.max_border), (0.0, 1.0), ""),
        number("filter.min_text_score", real(filter.min_text_score), (-1.0, 1.0), ""),
        number("dedup.dct", dedup.dct.map(f64::from), (0.0, 128.0), " of 256 bits"),
        number("dedup.dhash", dedup.dhash.map(f64::from), (0.0, 128.0), " of 256 bits"),
        number("dedup.embedding.min_cosine", min_cosine, (0.0, 1.0), ""),
        number("detect.min_score", real(detect.min_score), (0.0, 1.0), ""),
        number("detect.iou", real(detect.iou), (0.0, 1.0), ""),
        number("split.train", Some(split.train), (0.0, 1e6), ""),
        number("split.val", Some(split.val), (0.0, 1e6), ""),
        number("split.test", Some(split.test), (0.0, 1e6), ""),
        number("export.shard_size", count(export.shard_size), (1.0, 1e7), " pictures"),
    ]
}

fn step(every: Every) -> Option<f64> {
    match every {
        Every::Frames(n) => Some(n as f64),
        Every::Seconds(secs) => Some(secs),
        Every::Keyframes | Every::Scenes => None,
    }
}

/// The numbers of a configuration that are out of their ranges, one sentence for each.
pub fn problems(config: &Config) -> Vec<String> {
    let numbers = numbers(config);
    let wrong = numbers
        .iter()
        .filter_map(|number| number.problem(number.value?));
    let mut problems: Vec<String> = wrong.collect();
    let shares = [config.split.train, config.split.val, config.split.test];
    if shares.iter().sum::<f64>() < LEAST_SHARES {
        problems.push(format!(
            "split.train, split.val and split.test are {} in all, but have to be at least {LEAST_SHARES}",
            shown(shares.iter().sum())
        ));
    }
    problems
}

/// Least sum of the shares of a division.
const LEAST_SHARES: f64 = 1e-6;

/// The same of a TOML file before it is taken for a configuration: what does not even fit into its type is named with
/// its key and its range as well.
pub fn problems_of_table(table: &toml::Table) -> Vec<String> {
    let value = |key: &str| {
        let mut names = key.split('.');
        let first = table.get(names.next()?)?;
        match names.try_fold(first, |value, name| value.as_table()?.get(name))? {
            toml::Value::Integer(number) => Some(*number as f64),
            toml::Value::Float(number) => Some(*number),
            _ => None,
        }
    };
    let numbers = numbers(&Config::default());
    let wrong = numbers
        .iter()
        .filter_map(|number| number.problem(value(number.key)?));
    wrong.collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const EXTREMES: [f64; 12] = [
        f64::NAN,
        f64::INFINITY,
        f64::NEG_INFINITY,
        1e308,
        -1e308,
        1e-300,
        -0.0,
        -1.0,
        0.0,
        1e9,
        5e-324,
        1.8e19,
    ];

    fn table(key: &str, value: impl Into<toml::Value>) -> toml::Table {
        let mut value = value.into();
        for name in key.rsplit('.') {
            value = toml::Value::Table(toml::Table::from_iter([(name.to_owned(), value)]));
        }
        value.try_into().unwrap()
    }

    #[test]
    fn the_defaults_are_within_their_ranges() {
        assert_eq!(problems(&Config::default()), Vec::<String>::new());
    }

    #[test]
    fn a_number_out_of_range_is_named_with_its_key_its_value_and_its_range() {
        let said = problems_of_table(&table("run.workers", 1_000_000_000_i64));
        assert_eq!(
            said,
            ["run.workers is 1000000000, but has to be from 1 to 256"]
        );
        let said = problems_of_table(&table("extract.stall_timeout", f64::INFINITY));
        assert_eq!(
            said,
            ["extract.stall_timeout is inf, but has to be from 0.1 to 1000000 seconds"]
        );
    }

    #[test]
    fn every_number_is_refused_when_it_is_none_or_has_no_end() {
        for number in numbers(&Config::default()) {
            for value in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY, 1e308, -1e308] {
                assert!(number.problem(value).is_some(), "{}", number.key);
            }
        }
    }

    #[test]
    fn every_number_of_the_configuration_is_in_the_list() {
        // What the defaults leave out is given here, so that all numbers show.
        let mut config = Config::default();
        config.run.workers = Some(1);
        config.run.max_disk = Some(LEAST_DISK_BYTES);
        config.download.max_file_size = Some(1);
        config.download.max_duration = Some(1.0);
        config.download.rate_limit = Some(1);
        config.extract.max_frames = Some(1);
        (config.dedup.dct, config.dedup.dhash) = (Some(1), Some(1));
        config.dedup.embedding = Some(crate::dataset::config::EmbeddingConfig {
            model: "model.onnx".into(),
            min_cosine: 0.5,
        });
        let mut found = Vec::new();
        let json = serde_json::to_value(&config).unwrap();
        let mut open: Vec<(String, &serde_json::Value)> = vec![(String::new(), &json)];
        while let Some((key, value)) = open.pop() {
            match value {
                serde_json::Value::Object(fields) => {
                    for (name, value) in fields {
                        open.push((format!("{key}.{name}"), value));
                    }
                }
                serde_json::Value::Number(_) => found.push(key[1..].to_owned()),
                _ => {}
            }
        }
        let listed: Vec<&str> = numbers(&config).iter().map(|number| number.key).collect();
        // Any whole number is a seed; it is hashed.
        found.retain(|key| key != "split.seed" && !listed.contains(&key.as_str()));
        assert_eq!(found, Vec::<String>::new());
    }

    proptest! {
        /// The file, its numbers and what is planned from them: an error at most.
        #[test]
        fn no_number_makes_a_configuration_panic(
            key in 0..numbers(&Config::default()).len(),
            extreme in prop::sample::select(&EXTREMES[..]),
            whole in any::<i64>(),
            is_whole in any::<bool>(),
        ) {
            let key = numbers(&Config::default())[key].key;
            let table = if is_whole { table(key, whole) } else { table(key, extreme) };
            let _ = problems_of_table(&table);
            if let Ok(config) = table.try_into::<Config>()
                && problems(&config).is_empty()
            {
                use_it(&config);
            }
        }
    }

    /// What turns numbers into times, counts and shares.
    fn use_it(config: &Config) {
        use crate::dataset::{download::Downloader, record::Dataset, split};
        use std::sync::Arc;
        drop(Downloader::new(&config.download, Arc::new(|| true)));
        let mut dataset = Dataset::default();
        split::divide(
            &mut dataset,
            &config.split,
            &std::collections::BTreeMap::new(),
        );
        crate::dataset::export::config_hash(config).unwrap();
    }
}
