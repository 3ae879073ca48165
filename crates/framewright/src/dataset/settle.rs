//! From the command line and the TOML file to the configuration of a run, checked before anything starts.
//!
//! Flags go before the file, the file before the defaults. Paths in the file are relative to its folder, paths on the
//! command line to where we are.

use std::path::{Path, PathBuf};

use anyhow::Context as _;

use super::bounds;
use super::config::{Config, DedupConfig, Preset, Stage};
use crate::bounded;
use crate::cli::RunOptions;
use crate::exit::{Exit, OrExit as _, fail};
use crate::visible;

/// Most bytes of a TOML file: thousands of inputs fit; more belong in a list.
const MOST_BYTES: u64 = 4 << 20;
/// Most bytes of one input: more than any path or usual address has.
const MOST_INPUT_BYTES: usize = 16 << 10;

/// The configuration of a run.
///
/// # Errors
/// [`Exit::Config`] with everything that is wrong with it; [`Exit::Usage`] without a folder to write to.
pub fn settle(options: &RunOptions) -> anyhow::Result<Config> {
    let mut config = match &options.config {
        Some(path) => read(path)?,
        None => Config::default(),
    };
    take_flags(&mut config, options)?;
    refuse(&config, options.config.as_deref())?;
    if config.output.is_none() {
        let message =
            "there is no folder to write to; give one with -o, or `output` in the configuration";
        return Err(fail(Exit::Usage, message));
    }
    Ok(config)
}

/// Reads a TOML file and makes its paths absolute.
///
/// # Errors
/// [`Exit::Config`] names the place of what cannot be read.
pub fn read(path: &Path) -> anyhow::Result<Config> {
    let text = bounded::read_text(path, MOST_BYTES)
        .with_context(|| format!("cannot read the configuration {}", path.display()))
        .or_exit(Exit::Config)?;
    let wrong = |error: toml::de::Error| {
        let line = error
            .span()
            .map_or(1, |span| text[..span.start].matches('\n').count() + 1);
        let message = error.message().replace('\n', " ");
        let message = format!("{message}, in line {line} of {}", path.display());
        fail(Exit::Config, message)
    };
    let table: toml::Table = toml::from_str(&text).map_err(wrong)?;
    let numbers = bounds::problems_of_table(&table);
    if !numbers.is_empty() {
        let message = format!("{}, in {}", numbers.join("; "), path.display());
        return Err(fail(Exit::Config, message));
    }
    // Once more from the text, for the lines of what is wrong otherwise.
    let mut config: Config = toml::from_str(&text).map_err(wrong)?;
    let folder = match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    let folder = std::path::absolute(folder).context("there is no current folder")?;
    config.folder = Some(
        config
            .folder
            .take()
            .map_or(folder.clone(), |given| folder.join(given)),
    );
    for path in paths_of(&mut config) {
        *path = folder.join(&path);
    }
    Ok(config)
}

/// Every path in a configuration, but those of the inputs.
fn paths_of(config: &mut Config) -> Vec<&mut PathBuf> {
    let mut paths: Vec<&mut PathBuf> = config.lists.iter_mut().collect();
    paths.extend(config.dedup.against.iter_mut());
    paths.extend(config.output.as_mut());
    paths.extend(config.download.cookies.as_mut());
    paths.extend(config.detect.model.as_mut());
    paths.extend(config.detect.names.as_mut());
    if let Some(model) = &mut config.filter.text_model {
        paths.extend([&mut model.vision, &mut model.text, &mut model.tokenizer]);
    }
    paths.extend(
        config
            .dedup
            .embedding
            .as_mut()
            .map(|embedding| &mut embedding.model),
    );
    paths
}

fn take_flags(config: &mut Config, options: &RunOptions) -> anyhow::Result<()> {
    fn take<T: Clone>(to: &mut T, flag: Option<&T>) {
        if let Some(value) = flag {
            to.clone_from(value);
        }
    }
    fn take_some<T: Clone>(to: &mut Option<T>, flag: Option<&T>) {
        if flag.is_some() {
            *to = flag.cloned();
        }
    }
    fn take_list<T: Clone>(to: &mut Vec<T>, flag: &[T]) {
        if !flag.is_empty() {
            *to = flag.to_vec();
        }
    }
    // Absolute, since the configuration is kept and used again from other places.
    let absolute = |path: &PathBuf| std::path::absolute(path).context("there is no current folder");
    if let Some(list) = &options.inputs {
        config.inputs.clear();
        config.lists = vec![absolute(list)?];
    }
    take_some(
        &mut config.output,
        options.output.as_ref().map(absolute).transpose()?.as_ref(),
    );
    take(&mut config.extract.every, options.every.as_ref());
    config.extract.keep_damaged |= options.keep_damaged;
    take_some(
        &mut config.detect.model,
        options
            .detector
            .as_ref()
            .map(absolute)
            .transpose()?
            .as_ref(),
    );
    take_some(
        &mut config.detect.names,
        options.names.as_ref().map(absolute).transpose()?.as_ref(),
    );
    take_some(&mut config.detect.format, options.detector_format.as_ref());
    take_some(&mut config.detect.norm, options.detector_norm.as_ref());
    take_list(&mut config.filter.classes, &options.classes);
    take_list(&mut config.detect.classes, &options.classes);
    config.filter.score_only |= options.score_only;
    take_list(&mut config.export.formats, &options.formats);
    take_list(&mut config.run.stages, &options.stages);
    take(&mut config.run.mode, options.mode.as_ref());
    take_some(&mut config.run.workers, options.workers.as_ref());
    take_some(&mut config.run.max_disk, options.max_disk.as_ref());
    config.run.keep |= options.keep;
    take_some(&mut config.run.shard, options.shard.as_ref());
    take_some(
        &mut config.download.max_file_size,
        options.max_file_size.as_ref(),
    );
    take(
        &mut config.download.stall_timeout,
        options.stall_timeout.as_ref(),
    );
    take(
        &mut config.extract.stall_timeout,
        options.stall_timeout.as_ref(),
    );
    take_list(&mut config.download.allow_hosts, &options.allow_hosts);
    Ok(())
}

/// # Errors
/// [`Exit::Config`] with every problem, one per line.
pub fn refuse(config: &Config, path: Option<&Path>) -> anyhow::Result<()> {
    let problems = problems(config);
    if problems.is_empty() {
        return Ok(());
    }
    let place = path.map_or_else(String::new, |path| format!(" in {}", path.display()));
    Err(fail(
        Exit::Config,
        format!("{}{place}", problems.join("; ")),
    ))
}

/// Everything that is wrong with a configuration, as far as that can be told without starting anything.
pub fn problems(config: &Config) -> Vec<String> {
    let mut problems = out_of_bounds(config);
    let mut copy = config.clone();
    let places = [copy.output.take(), copy.folder.take()];
    for path in paths_of(&mut copy) {
        if !path.exists() {
            problems.push(format!("{} does not exist", path.display()));
        } else if !path.is_file() && !config.dedup.against.contains(path) {
            problems.push(format!("{} is not a plain file", path.display()));
        }
    }
    let places = places.iter().flatten();
    let others = paths_of(&mut copy).into_iter().map(|path| &*path);
    // The configuration is kept as JSON, which is UTF-8.
    for path in places.chain(others).filter(|path| path.to_str().is_none()) {
        problems.push(format!(
            "the name is not UTF-8, rename it: {}",
            visible::path(path)
        ));
    }
    problems
}

/// What is wrong with a configuration wherever it is used, be its files here or not.
pub fn out_of_bounds(config: &Config) -> Vec<String> {
    let mut problems = Vec::new();
    let mut must = |holds: bool, problem: &str| {
        if !holds {
            problems.push(problem.to_owned());
        }
    };
    must(
        !config.inputs.is_empty() || !config.lists.is_empty(),
        "there are no inputs; give `inputs` or `lists`, or --inputs FILE",
    );
    let filter = &config.filter;
    must(
        config
            .inputs
            .iter()
            .all(|input| input.len() <= MOST_INPUT_BYTES),
        "an input is longer than 16384 bytes",
    );
    must(
        filter.classes.is_empty() || config.detect.model.is_some(),
        "wanted classes need a detector; give `detect.model`, or --detector ONNX",
    );
    must(
        filter.text.is_empty() || filter.text_model.is_some(),
        "filter.text needs filter.text_model with vision, text and tokenizer",
    );
    must_dedup(&config.dedup, &mut must);
    problems.extend(bounds::problems(config));
    problems
}

fn must_dedup(dedup: &DedupConfig, must: &mut impl FnMut(bool, &str)) {
    let has_bits = dedup.dct.is_some() || dedup.dhash.is_some();
    must(
        dedup.preset != Preset::Off || (!has_bits && dedup.embedding.is_none()),
        "dedup.preset is off, but thresholds or an embedding are given",
    );
}

impl Config {
    /// Whether a stage is to run.
    pub fn runs(&self, stage: Stage) -> bool {
        self.run.stages.is_empty() || self.run.stages.contains(&stage)
    }

    /// Whether a frame is judged by what a model says of it before duplicates are looked for.
    pub fn filters_by_model(&self) -> bool {
        !self.filter.classes.is_empty()
            || !self.filter.text.is_empty()
            || self.dedup.embedding.is_some()
    }

    /// Whether a stage has something to write for each video.
    pub fn writes(&self, stage: Stage) -> bool {
        match stage {
            Stage::Download | Stage::Extract => true,
            Stage::Filter => self.filters_by_model(),
            Stage::Detect => self.detect.model.is_some(),
            Stage::Dedup | Stage::Export => false,
        }
    }

    /// Whether any model runs.
    pub fn has_models(&self) -> bool {
        self.filters_by_model() || self.detect.model.is_some()
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn problems_of(text: &str) -> Vec<String> {
        problems(&toml::from_str(text).unwrap())
    }

    #[test]
    fn a_small_configuration_is_enough() {
        assert_eq!(
            problems_of("inputs = ['https://example.com/a.mp4']"),
            Vec::<String>::new()
        );
    }

    #[test]
    fn every_problem_is_named_at_once() {
        let problems = problems_of(
            "[extract]\nquality = 0\n[filter]\nclasses = ['cat']\n[detect]\nmin_score = 2.0",
        );
        assert_eq!(problems.len(), 4, "{problems:?}");
    }

    #[test]
    fn unknown_words_are_errors_with_their_line() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.toml");
        fs::write(&path, "inputs = ['a']\n[extract]\nevry = '1s'\n").unwrap();
        let error = read(&path).unwrap_err();
        assert_eq!(Exit::of(&error), Exit::Config);
        let said = error.to_string();
        assert!(said.contains("line 3") && said.contains("evry"), "{said}");
    }

    #[test]
    fn a_file_that_is_nested_without_an_end_or_too_large_is_an_error_and_no_crash() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.toml");
        let deep = 500_000;
        for text in [
            format!("x = {}", "[".repeat(deep)),
            format!("x = {}", "{a=".repeat(deep)),
            format!("{}a = 1", "a.".repeat(deep)),
            format!("[{}a]", "a.".repeat(deep)),
            format!("inputs = ['{}']", "a".repeat(MOST_INPUT_BYTES + 1)),
            format!("# {}", "a".repeat(MOST_BYTES as usize)),
        ] {
            fs::write(&path, text).unwrap();
            let refused = read(&path).and_then(|config| refuse(&config, Some(&path)));
            let error = refused.unwrap_err();
            assert_eq!(Exit::of(&error), Exit::Config);
            assert!(error.to_string().len() < 500, "{error}");
        }
    }

    #[test]
    fn paths_are_those_of_the_files_folder() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.toml");
        fs::write(
            &path,
            "inputs = ['films', 'https://example.com/a.mp4']\noutput = 'out'\n",
        )
        .unwrap();
        let config = read(&path).unwrap();
        assert_eq!(config.output, Some(folder.path().join("out")));
        assert_eq!(config.folder.as_deref(), Some(folder.path()));
        // As the user gave it: it stands in the table like this.
        assert_eq!(config.inputs[0], "films");
    }

    #[test]
    fn a_configuration_survives_being_kept() {
        let mut config: Config =
            toml::from_str("inputs = ['a']\n[extract]\nevery = 'scenes'").unwrap();
        config.run.max_disk = Some(5);
        let kept = serde_json::to_string(&config).unwrap();
        assert_eq!(serde_json::from_str::<Config>(&kept).unwrap(), config);
    }
}
