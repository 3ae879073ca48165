//! Parse, run, exit code.

use std::process::ExitCode;

use framewright::cli::{self, Action, ProgressMode};
use framewright::exit::Exit;
use framewright::report;
use framewright::screen::Screen;
use framewright::{setup, upscale};

fn main() -> ExitCode {
    let action = match cli::parse(std::env::args_os()) {
        Ok(action) => action,
        Err(usage) => {
            // A closed terminal is no reason for another error.
            let _ = usage.print();
            return ExitCode::from(u8::try_from(usage.exit_code()).unwrap_or(Exit::Usage.code()));
        }
    };
    let (screen, result) = match &action {
        Action::Setup => {
            let screen = Screen::new(ProgressMode::None, false);
            let result = setup::run(&screen).and_then(|done| report::print(&done.summary()));
            (screen, result.map(|()| Exit::Ok))
        }
        Action::Upscale(options) => {
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
