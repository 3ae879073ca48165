//! What signals do to a run: the first finishes it, the second stops it within a second.

use std::fs;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
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

#[derive(Default)]
struct Shared {
    ended: AtomicBool,
    hidden: Mutex<Vec<PathBuf>>,
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
                move |_| {
                    let text =
                        "interrupted: completing the frames in flight; once more stops at once";
                    screen.say(&Line::Info(text.into()));
                    finish.finish();
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

    /// The files and folders to remove if the process has to end at once.
    pub fn removes(&self, hidden: Vec<PathBuf>) {
        *self.shared.hidden() = hidden;
    }

    /// From now on only the exit code depends on signals; the run has ended.
    pub fn run_has_ended(&self) {
        let mut hidden = self.shared.hidden();
        self.shared.ended.store(true, Ordering::SeqCst);
        hidden.clear();
    }

    /// What the process is to end with if a signal has come.
    pub fn caught(&self) -> Option<Exit> {
        self.watch.caught()
    }
}

impl Drop for Interruption {
    fn drop(&mut self) {
        // Also when the run has failed: the watcher must not wait for it.
        self.run_has_ended();
    }
}

impl Shared {
    fn hidden(&self) -> std::sync::MutexGuard<'_, Vec<PathBuf>> {
        self.hidden
            .lock()
            .expect("no code panics while it holds the path")
    }

    /// Ends the process unless the run ends by itself in time.
    fn end_soon(&self, exit: Exit, screen: &Screen) {
        let asked = Instant::now();
        while !self.ended.load(Ordering::SeqCst) {
            if asked.elapsed() > PATIENCE {
                // Held to the end of the process: a run that ends just now must not publish its file any more.
                let hidden = self.hidden();
                if self.ended.load(Ordering::SeqCst) {
                    return;
                }
                for hidden in &*hidden {
                    // A file that cannot be removed is taken over by the next run.
                    let _ = if hidden.is_dir() {
                        fs::remove_dir_all(hidden)
                    } else {
                        fs::remove_file(hidden)
                    };
                }
                screen.stop_putting_aside();
                screen.say(&Line::Info(STOPPED.into()));
                low_level::exit(i32::from(exit.code()));
            }
            std::thread::sleep(Duration::from_millis(10));
        }
    }
}

/// What is said at the end of a stopped run.
pub const STOPPED: &str = "stopped: nothing is left of this run";
