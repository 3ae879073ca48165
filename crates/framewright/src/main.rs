//! Parse, run, exit code.

use std::io::{ErrorKind, Write as _};
use std::process::ExitCode;
use std::sync::Arc;

use framewright::cli::{self, Action, ProgressMode};
use framewright::exit::Exit;
use framewright::report;
use framewright::screen::{Screen, never_wait_for_stderr};
use framewright::visible::visible_lines;
use framewright::{bench, dataset, models, setup, upscale};
use signal_hook::consts::SIGXFSZ;
use signal_hook::flag;

/// SVT-AV1 prints its configuration to standard error by itself, unless this variable says: errors only.
#[expect(unsafe_code, reason = "environment variables are process-wide")]
fn silence_svt_av1() {
    if std::env::var_os("SVT_LOG").is_none() {
        // SAFETY: called by main before it starts any thread, so nobody reads the environment meanwhile.
        unsafe { std::env::set_var("SVT_LOG", "1") }
    }
}

/// Help as clap shows it. What is wrong with a command line repeats its words, which may be names of files: nothing in
/// them acts on the terminal.
fn show_usage(usage: &clap::Error) -> std::io::Result<()> {
    if usage.use_stderr() {
        write!(std::io::stderr(), "{}", visible_lines(&usage.to_string()))
    } else {
        usage.print()
    }
}

fn main() -> ExitCode {
    never_wait_for_stderr();
    // A file that may grow no further is then an error of its writer, and not the end without a word.
    let _ = flag::register(SIGXFSZ, Arc::default());
    let action = match cli::parse(std::env::args_os()) {
        Ok(action) => action,
        Err(usage) => {
            let printed = show_usage(&usage);
            // A closed terminal is no reason for another error; help that could not be written is one.
            let is_gone = |error: std::io::Error| error.kind() == ErrorKind::BrokenPipe;
            if !usage.use_stderr() && !printed.map_or_else(is_gone, |()| true) {
                return Exit::Io.into();
            }
            return ExitCode::from(u8::try_from(usage.exit_code()).unwrap_or(Exit::Usage.code()));
        }
    };
    let (screen, result) = match &action {
        Action::Setup { yt_dlp } => {
            let screen = Screen::new(ProgressMode::None, false);
            let run = if *yt_dlp {
                setup::run_yt_dlp
            } else {
                setup::run
            };
            let result = run(&screen).and_then(|done| report::print(&done.summary()));
            (screen, result.map(|()| Exit::Ok))
        }
        Action::DatasetWorker(args) => {
            let screen = Screen::new(ProgressMode::None, false);
            (screen, dataset::extract::work(args))
        }
        Action::ListModels { json } => {
            let screen = Screen::new(ProgressMode::None, false);
            (screen, models::list(*json).map(|()| Exit::Ok))
        }
        Action::Dataset(action) => {
            silence_svt_av1();
            let screen = dataset::screen_for(action);
            let result = dataset::dataset(action, &screen);
            (screen, result)
        }
        Action::Bench(options) => {
            silence_svt_av1();
            let screen = Screen::new(options.upscale.progress, options.upscale.quiet);
            let result = bench::bench(options, &screen);
            (screen, result)
        }
        Action::Upscale(options) => {
            if !options.verbose {
                silence_svt_av1();
            }
            let screen = Screen::new(options.progress, options.quiet);
            let result = upscale::upscale(options, &screen);
            (screen, result)
        }
    };
    match result {
        Ok(exit) => exit.into(),
        Err(error) => {
            screen.error(&error);
            Exit::of(&error).into()
        }
    }
}
