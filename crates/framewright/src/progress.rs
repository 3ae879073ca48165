//! The progress display: a thread that samples a run and draws.
//!
//! Invariant: the run does not know it is watched. The display only reads a snapshot, five
//! times a second; nothing waits for it, and it draws on [`Screen`], where it is the only
//! writer while it lives.

use std::{
    collections::VecDeque,
    fmt::Write as _,
    sync::mpsc::{RecvTimeoutError, SyncSender, sync_channel},
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use serde_json::json;

use crate::screen::{Display, Screen, event, is_read, write_lines};

/// Time from one sample to the next.
const TICK: Duration = Duration::from_millis(200);
/// Time from one line in a log to the next.
const LINE_EVERY: Duration = Duration::from_secs(10);

/// A run at one moment.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Snapshot {
    /// Frames finished, or videos.
    pub done: u64,
    /// Frames or videos in all, as far as known.
    pub total: Option<u64>,
    /// Whether the total is an estimate (from the duration, not from an index).
    pub total_is_estimate: bool,
    /// Frames among `done` that repeated an earlier one.
    pub repeats: u64,
    /// The stage that the others wait for.
    pub bottleneck: Option<String>,
    /// What videos are made of, for runs that count videos.
    pub videos: Option<VideoCounts>,
}

/// What has been done to many videos.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct VideoCounts {
    /// Videos that have trouble.
    pub failed: u64,
    /// Bytes fetched.
    pub bytes: u64,
    /// Frames looked at.
    pub frames: u64,
    /// Pictures shown to models.
    pub shown: u64,
}

/// The pace of every count of a run.
#[derive(Default)]
struct Paces {
    done: Pace,
    bytes: Pace,
    frames: Pace,
    shown: Pace,
}

impl Paces {
    fn push(&mut self, now_secs: f64, now: &Snapshot) {
        self.done.push(now_secs, now.done);
        if let Some(counts) = &now.videos {
            self.bytes.push(now_secs, counts.bytes);
            self.frames.push(now_secs, counts.frames);
            self.shown.push(now_secs, counts.shown);
        }
    }
}

/// A running display. Ends when dropped, after a last drawing; every message said on the
/// screen until then has been shown.
pub struct Progress {
    screen: Screen,
    running: Option<(SyncSender<()>, JoinHandle<()>)>,
}

impl Progress {
    /// Starts to watch. A system that gives no thread gets no display; a run is not worth
    /// failing for that.
    #[expect(
        clippy::disallowed_methods,
        reason = "the display is no part of a pipeline and outlives its end; it joins in drop"
    )]
    pub fn start(screen: &Screen, sample: impl Fn() -> Snapshot + Send + 'static) -> Self {
        let (sender, ended) = sync_channel(0);
        let drawing = screen.clone();
        let watch = move || {
            let mut view = View::new(drawing, sample);
            view.begin();
            while ended.recv_timeout(TICK) == Err(RecvTimeoutError::Timeout) {
                view.tick();
            }
            view.end();
        };
        screen.put_aside();
        let spawned = thread::Builder::new().name("progress".into()).spawn(watch);
        if spawned.is_err() {
            screen.stop_putting_aside();
        }
        Self {
            screen: screen.clone(),
            running: spawned.ok().map(|thread| (sender, thread)),
        }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        let Some((sender, thread)) = self.running.take() else {
            return;
        };
        drop(sender);
        // A panic in the display has been printed by the panic hook; it is not the run's.
        let _ = thread.join();
        self.screen.stop_putting_aside();
    }
}

/// What the display's thread owns.
struct View<F> {
    screen: Screen,
    sample: F,
    bar: ProgressBar,
    bar_has_total: Option<bool>,
    pace: Paces,
    started: Instant,
    last_line: Instant,
}

impl<F: Fn() -> Snapshot> View<F> {
    fn new(screen: Screen, sample: F) -> Self {
        let bar = match screen.display() {
            Display::Bar => ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr()),
            _ => ProgressBar::hidden(),
        };
        let started = Instant::now();
        Self {
            screen,
            sample,
            bar,
            bar_has_total: None,
            pace: Paces::default(),
            started,
            last_line: started,
        }
    }

    fn begin(&mut self) {
        if self.screen.display() == Display::Json {
            let now = self.sample();
            let total = json!({"total": now.total, "total_is_estimate": now.total_is_estimate});
            write_lines(&[event("start", &total)]);
        }
        self.tick();
    }

    fn tick(&mut self) {
        let messages = self.screen.take_aside();
        if !messages.is_empty() {
            if is_read() {
                self.bar.suspend(|| write_lines(&messages));
            } else {
                write_lines(&messages);
            }
        }
        match self.screen.display() {
            // A terminal that was halted (Ctrl-S) would halt the display, and with it the end of the run.
            Display::Bar if is_read() => self.draw(),
            Display::Lines if self.last_line.elapsed() >= LINE_EVERY => {
                self.last_line = Instant::now();
                let now = self.sample();
                write_lines(&[describe(&now, &self.pace, " frames")]);
            }
            // Sampled all the same: the pace of the next line is that of its last seconds.
            Display::Lines => drop(self.sample()),
            Display::Json => {
                let now = self.sample();
                write_lines(&[progress_event(&now, &self.pace, self.elapsed_secs())]);
            }
            Display::Bar | Display::Off => {}
        }
    }

    fn end(&mut self) {
        if is_read() {
            self.bar.finish_and_clear();
        }
        if self.screen.display() == Display::Json {
            let now = self.sample();
            let elapsed_secs = rounded(self.elapsed_secs());
            let fields = json!({
                "done": now.done, "repeats": now.repeats, "elapsed_secs": elapsed_secs,
            });
            let mut lines = self.screen.take_aside();
            lines.push(event("end", &fields));
            write_lines(&lines);
        }
    }

    fn draw(&mut self) {
        let now = self.sample();
        let total = known_total(&now);
        if self.bar_has_total != Some(total.is_some()) {
            self.bar_has_total = Some(total.is_some());
            self.bar.set_style(style(total.is_some()));
        }
        self.bar.set_length(total.unwrap_or(0));
        self.bar.set_position(now.done);
        self.bar.set_message(describe(&now, &self.pace, ""));
    }

    fn sample(&mut self) -> Snapshot {
        let now = (self.sample)();
        self.pace.push(self.elapsed_secs(), &now);
        now
    }

    fn elapsed_secs(&self) -> f64 {
        self.started.elapsed().as_secs_f64()
    }
}

fn style(has_total: bool) -> ProgressStyle {
    let template = if has_total {
        "[{bar:10}] {wide_msg}"
    } else {
        "{spinner} {wide_msg}"
    };
    let style = ProgressStyle::with_template(template).expect("both templates are valid");
    style.progress_chars("=> ").tick_chars("|/-\\ ")
}

/// The total, unless the run has gone past it: then it was a wrong estimate.
fn known_total(now: &Snapshot) -> Option<u64> {
    now.total.filter(|&total| total >= now.done)
}

/// `123/~240 frames, 12.3 fps, eta ~0:09, 16 % repeats, slowest: upscale`.
/// The unit is left out in a bar, where room is short.
fn describe(now: &Snapshot, paces: &Paces, unit: &str) -> String {
    match &now.videos {
        Some(counts) => describe_videos(now, counts, paces),
        None => describe_frames(now, &paces.done, unit),
    }
}

/// `12/200 videos, eta 3:10, 3 failed, 4.1 MB/s, 812 frames, 96 frames/s, 30 pictures/s by models, slowest: extract`
fn describe_videos(now: &Snapshot, counts: &VideoCounts, paces: &Paces) -> String {
    let mut text = match known_total(now) {
        Some(total) => format!("{}/{total} videos", now.done),
        None => format!("{} videos", now.done),
    };
    if let Some(eta_secs) = eta_secs(now, paces.done.fps()) {
        let _ = write!(text, ", eta {}", clock(eta_secs));
    }
    if counts.failed > 0 {
        let _ = write!(text, ", {} failed", counts.failed);
    }
    if paces.bytes.fps() > 0.0 {
        let _ = write!(text, ", {:.1} MB/s", paces.bytes.fps() / 1e6);
    }
    if counts.frames > 0 {
        let (frames, rate) = (counts.frames, paces.frames.fps());
        let _ = write!(text, ", {frames} frames, {rate:.0} frames/s");
    }
    if counts.shown > 0 {
        let _ = write!(text, ", {:.1} pictures/s by models", paces.shown.fps());
    }
    if let Some(stage) = &now.bottleneck {
        let _ = write!(text, ", slowest: {stage}");
    }
    text
}

fn describe_frames(now: &Snapshot, pace: &Pace, unit: &str) -> String {
    let about = if now.total_is_estimate { "~" } else { "" };
    let total = known_total(now);
    let mut text = match total {
        Some(total) => format!("{}/{about}{total}{unit}", now.done),
        None => format!("{}{unit}", now.done),
    };
    let fps = pace.fps();
    if fps > 0.0 {
        let digits = if fps < 10.0 { 2 } else { 1 };
        let _ = write!(text, ", {fps:.digits$} fps");
    }
    if let Some(eta_secs) = eta_secs(now, fps) {
        let _ = write!(text, ", eta {about}{}", clock(eta_secs));
    }
    if now.repeats > 0 {
        let share = now.repeats as f64 / now.done.max(1) as f64 * 100.0;
        let _ = write!(text, ", {share:.0} % repeats");
    }
    if let Some(stage) = &now.bottleneck {
        let _ = write!(text, ", slowest: {stage}");
    }
    text
}

fn progress_event(now: &Snapshot, paces: &Paces, elapsed_secs: f64) -> String {
    let fps = paces.done.fps();
    if let Some(counts) = &now.videos {
        let fields = json!({
            "done": now.done, "total": known_total(now), "failed": counts.failed,
            "eta_secs": eta_secs(now, fps).map(rounded), "elapsed_secs": rounded(elapsed_secs),
            "bytes": counts.bytes, "bytes_per_sec": rounded(paces.bytes.fps()),
            "frames": counts.frames, "frames_per_sec": rounded(paces.frames.fps()),
            "shown": counts.shown, "shown_per_sec": rounded(paces.shown.fps()),
            "bottleneck": now.bottleneck,
        });
        return event("progress", &fields);
    }
    let fields = json!({
        "done": now.done, "total": known_total(now), "total_is_estimate": now.total_is_estimate,
        "fps": rounded(fps), "eta_secs": eta_secs(now, fps).map(rounded),
        "elapsed_secs": rounded(elapsed_secs),
        "repeats": now.repeats, "bottleneck": now.bottleneck,
    });
    event("progress", &fields)
}

/// To thousandths: more digits would be noise.
fn rounded(x: f64) -> f64 {
    (x * 1000.0).round() / 1000.0
}

/// Time left at this pace, in seconds.
fn eta_secs(now: &Snapshot, fps: f64) -> Option<f64> {
    let left = known_total(now)? - now.done;
    (fps > 0.0).then(|| left as f64 / fps)
}

/// `m:ss`, from an hour on `h:mm:ss`.
fn clock(secs: f64) -> String {
    let secs = secs.ceil() as u64;
    let (hours, minutes, secs) = (secs / 3600, secs / 60 % 60, secs % 60);
    match hours {
        0 => format!("{minutes}:{secs:02}"),
        _ => format!("{hours}:{minutes:02}:{secs:02}"),
    }
}

/// Frames per second over the last while: long enough for a slow network, short enough
/// to follow a scene of repeats.
#[derive(Default)]
struct Pace {
    /// (seconds, frames) where the count changed, oldest first.
    steps: VecDeque<(f64, u64)>,
    now_secs: f64,
}

impl Pace {
    const WINDOW_SECS: f64 = 20.0;
    /// Kept however old they are, so that a frame a minute still has a pace.
    const MIN_STEPS: usize = 6;

    fn push(&mut self, now_secs: f64, done: u64) {
        self.now_secs = now_secs;
        if self.steps.back().is_none_or(|&(_, last)| last != done) {
            self.steps.push_back((now_secs, done));
        }
        let old = now_secs - Self::WINDOW_SECS;
        while self.steps.len() > Self::MIN_STEPS && self.steps[0].0 < old {
            self.steps.pop_front();
        }
    }

    /// 0 until two counts have been seen. Measured up to now, so that it sinks when
    /// nothing comes.
    fn fps(&self) -> f64 {
        match (self.steps.front(), self.steps.back()) {
            (Some(&(from, first)), Some(&(to, last))) if to > from => {
                last.saturating_sub(first) as f64 / (self.now_secs - from)
            }
            _ => 0.0,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{cli::ProgressMode, screen::Line};
    use std::sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    };

    fn at(done: u64, total: Option<u64>) -> Snapshot {
        Snapshot {
            done,
            total,
            ..Snapshot::default()
        }
    }

    fn paces(done: Pace) -> Paces {
        Paces {
            done,
            ..Paces::default()
        }
    }

    /// A pace of `fps` after `secs` seconds, five samples a second.
    fn steady(fps: f64, secs: f64) -> Pace {
        let mut pace = Pace::default();
        for tick in 0..=(secs * 5.0) as u64 {
            let now_secs = tick as f64 / 5.0;
            pace.push(now_secs, (now_secs * fps) as u64);
        }
        pace
    }

    #[test]
    fn the_pace_is_that_of_the_last_seconds() {
        let mut pace = steady(5.0, 60.0);
        assert!((pace.fps() - 5.0).abs() < 0.1, "{}", pace.fps());
        for tick in 1..=150 {
            pace.push(60.0 + f64::from(tick) / 5.0, 300 + tick as u64 * 10);
        }
        assert!((pace.fps() - 50.0).abs() < 1.0, "{}", pace.fps());
        assert!(pace.steps.len() < 150);
    }

    #[test]
    fn a_frame_a_minute_has_a_pace_and_a_stall_sinks_it() {
        let mut pace = steady(1.0 / 60.0, 600.0);
        assert!((pace.fps() - 1.0 / 60.0).abs() < 0.002, "{}", pace.fps());
        pace.push(6000.0, 10);
        assert!(pace.fps() < 0.002, "{}", pace.fps());
    }

    #[test]
    fn the_text_has_what_is_known_and_marks_what_is_estimated() {
        let mut now = at(120, Some(240));
        assert_eq!(describe(&now, &Paces::default(), ""), "120/240");
        let pace = paces(steady(12.0, 10.0));
        assert_eq!(
            describe(&now, &pace, " frames"),
            "120/240 frames, 12.0 fps, eta 0:10"
        );
        now.total_is_estimate = true;
        now.repeats = 30;
        now.bottleneck = Some("upscale".into());
        assert_eq!(
            describe(&now, &pace, " frames"),
            "120/~240 frames, 12.0 fps, eta ~0:10, 25 % repeats, slowest: upscale"
        );
    }

    #[test]
    fn videos_are_told_with_what_they_are_made_of() {
        let mut now = at(12, Some(200));
        now.videos = Some(VideoCounts {
            failed: 3,
            bytes: 5_000_000,
            frames: 812,
            shown: 0,
        });
        now.bottleneck = Some("extract".into());
        let mut paces = paces(steady(1.2, 10.0));
        paces.frames = steady(81.2, 10.0);
        assert_eq!(
            describe(&now, &paces, ""),
            "12/200 videos, eta 2:37, 3 failed, 812 frames, 81 frames/s, slowest: extract"
        );
    }

    #[test]
    fn a_total_that_was_passed_is_not_shown() {
        let mut now = at(241, Some(240));
        now.total_is_estimate = true;
        assert_eq!(
            describe(&now, &paces(steady(2.0, 10.0)), " frames"),
            "241 frames, 2.00 fps"
        );
    }

    #[test]
    fn long_waits_are_told_in_hours() {
        assert_eq!(clock(0.0), "0:00");
        assert_eq!(clock(59.2), "1:00");
        assert_eq!(clock(3600.0 * 26.0 + 61.0), "26:01:01");
    }

    #[test]
    fn events_are_versioned_objects_on_one_line() {
        let text = progress_event(&at(120, Some(240)), &paces(steady(12.0, 10.0)), 10.0);
        let event: serde_json::Value = serde_json::from_str(&text).unwrap();
        assert_eq!(event["v"], 1);
        assert_eq!(event["event"], "progress");
        assert_eq!(event["done"], 120);
        assert_eq!(event["total"], 240);
        assert_eq!(event["eta_secs"], 10.0);
        assert!(event["bottleneck"].is_null());
        assert!(text.starts_with(r#"{"v":1,"event":"progress","#), "{text}");
        assert!(!text.contains('\n'));
    }

    #[test]
    fn a_display_samples_while_it_lives_and_not_after() {
        let screen = Screen::new(ProgressMode::Bar, false);
        let samples = Arc::new(AtomicU64::new(0));
        let counter = Arc::clone(&samples);
        let progress = Progress::start(&screen, move || {
            counter.fetch_add(1, Ordering::Relaxed);
            at(1, None)
        });
        while samples.load(Ordering::Relaxed) < 3 {
            thread::sleep(Duration::from_millis(5));
        }
        drop(progress);
        let seen = samples.load(Ordering::Relaxed);
        thread::sleep(TICK * 2);
        assert_eq!(samples.load(Ordering::Relaxed), seen);
    }

    #[test]
    fn messages_are_not_lost_when_the_display_panics() {
        let screen = Screen::new(ProgressMode::Bar, false);
        let progress = Progress::start(&screen, || panic!("a sample that fails, on purpose"));
        screen.say(&Line::Warning("shown all the same".into()));
        drop(progress);
        assert!(screen.take_aside().is_empty(), "nothing waits any more");
    }
}
