//! What signals do to a run: the first finishes it, the second stops it within a second. SIGTERM and SIGHUP need no second
//! one ([`signals`]).
//!
//! Invariant: a run that is watched ends, whatever it is at: one that does not stop by itself has its files removed and its
//! process ended. Invariant: a film is never removed while it is given its name, nor named after "nothing is left" was said.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use framewright_media::Interrupt;
use framewright_pipeline::Control;
use signal_hook::low_level;

use crate::exit::Exit;
use crate::screen::{Line, Screen};
use crate::signals::{self, Watch};

/// How long a stopped run may take to end by itself. An encoder that is deep in a large frame takes longer, and nothing
/// of what it does is wanted any more.
const PATIENCE: Duration = Duration::from_secs(1);

/// Watches for signals for as long as it lives, and knows what to clean up if the process has to end at once.
pub struct Interruption {
    watch: Watch,
    shared: Arc<Shared>,
}

/// Removes a file or folder of the run.
pub type CleanUp = Box<dyn FnOnce() + Send>;

#[derive(Default)]
struct Shared {
    ended: AtomicBool,
    files: Mutex<Files>,
}

/// What there is of the run's files.
#[derive(Default)]
struct Files {
    clean_ups: Vec<CleanUp>,
    are_named: bool,
}

/// For as long as it lives, no signal removes files.
pub struct Keeping<'a>(MutexGuard<'a, Files>);

impl Keeping<'_> {
    /// All files have their names: there is nothing to remove any more.
    pub fn all(mut self) {
        self.0.clean_ups.clear();
        self.0.are_named = true;
    }
}

impl Interruption {
    /// Starts to watch.
    ///
    /// # Errors
    /// The system refuses a handler or a thread.
    pub fn watch(
        control: &Control,
        interrupt: &Interrupt,
        screen: &Screen,
    ) -> anyhow::Result<Self> {
        let shared = Arc::new(Shared::default());
        let watch = {
            let (finish, stop, interrupt) = (control.clone(), control.clone(), interrupt.clone());
            let (screen, last_words) = (screen.clone(), screen.clone());
            let shared = Arc::clone(&shared);
            signals::watch(
                move |exit| {
                    finish.finish();
                    screen.say(&Line::Info(match exit {
                        Exit::Interrupted => {
                            "interrupted: completing the frames in flight; once more stops at once"
                                .into()
                        }
                        _ => format!(
                            "terminated: completing the frames in flight, for {} s at most",
                            signals::GRACE.as_secs()
                        ),
                    }));
                },
                move |exit| {
                    interrupt.set();
                    stop.stop();
                    shared.end_soon(exit, &last_words);
                },
            )?
        };
        Ok(Self { watch, shared })
    }

    /// Watches for a run of which a part is worth nothing: already the first signal stops it.
    ///
    /// # Errors
    /// As [`watch`](Self::watch).
    pub fn watch_to_stop(
        control: &Control,
        interrupt: &Interrupt,
        screen: &Screen,
    ) -> anyhow::Result<Self> {
        let shared = Arc::new(Shared::default());
        let watch = {
            let (control, interrupt, screen) = (control.clone(), interrupt.clone(), screen.clone());
            let shared = Arc::clone(&shared);
            let stop = move |exit| {
                interrupt.set();
                control.stop();
                shared.end_soon(exit, &screen);
            };
            signals::watch(stop, |_| ())?
        };
        Ok(Self { watch, shared })
    }

    /// What to do with the run's files if the process has to end at once.
    pub fn removes(&self, clean_ups: Vec<CleanUp>) {
        self.shared.files().clean_ups = clean_ups;
    }

    /// Before files are given their names: a signal that ends the process waits until that is done.
    pub fn keeping_files(&self) -> Keeping<'_> {
        Keeping(self.shared.files())
    }

    /// What the process is to end with if a signal has come.
    pub fn caught(&self) -> Option<Exit> {
        self.watch.caught()
    }
}

impl Drop for Interruption {
    fn drop(&mut self) {
        // The watcher must not wait for a run that has ended.
        self.shared.ended.store(true, Ordering::SeqCst);
    }
}

impl Shared {
    fn files(&self) -> MutexGuard<'_, Files> {
        self.files
            .lock()
            .expect("no code panics while it holds the files")
    }

    /// Ends the process unless the run ends by itself in time.
    fn end_soon(&self, exit: Exit, screen: &Screen) {
        let asked = Instant::now();
        while !self.ended.load(Ordering::SeqCst) {
            if asked.elapsed() > PATIENCE {
                // Held to the end of the process: a run that ends just now must not publish its file any more.
                let mut files = self.files();
                if self.ended.load(Ordering::SeqCst) {
                    return;
                }
                files.clean_ups.drain(..).for_each(|remove| remove());
                screen.stop_putting_aside();
                let last_words = if files.are_named {
                    "stopped: the output has its name, what was to come after it is missing"
                } else {
                    STOPPED
                };
                screen.say(&Line::Info(last_words.into()));
                low_level::exit(i32::from(exit.code()));
            }
            std::thread::sleep(Duration::from_millis(10));
        }
    }
}

/// What is said at the end of a stopped run.
pub const STOPPED: &str = "stopped: nothing is left of this run";
