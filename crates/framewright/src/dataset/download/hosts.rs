//! How much may be asked of a host: places for downloads at the same time, and pauses it has earned.
//!
//! ```text
//! enter(host) ─▶ paused? ── short: wait ─▶ a place free? ── wait ─▶ Slot ─▶ done: the pause is forgotten
//!                   └────── long: trouble at once, nothing is asked            └▶ pause: for all videos of the host
//! ```
//! Invariant: while a host is paused nothing is asked of it; after a pause one download tries alone.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::pause::{LOOK_EVERY, Stopped, sleep};
use crate::dataset::trouble::{Class, Setback, Trouble};

/// Most downloads at the same time from `YouTube`, which bans early.
const MOST_FROM_YOUTUBE: usize = 2;

/// How long things wait; tests shorten it.
#[derive(Debug, Clone)]
pub struct Pace {
    /// Wait before the second try; doubled for every further one, up to 30 times this.
    pub backoff: Duration,
    /// Pauses up to this are waited for; a longer one is trouble at once.
    pub short_wait: Duration,
    /// First pause of a site that says "too many requests" without saying for how long; doubled every time.
    pub first_pause: Duration,
    /// The same for a server of plain files, which seldom means more than the moment.
    pub first_file_pause: Duration,
    /// Longest pause of our own choice.
    pub longest_pause: Duration,
}

impl Default for Pace {
    fn default() -> Self {
        Self {
            backoff: Duration::from_secs(1),
            short_wait: Duration::from_secs(30),
            first_pause: Duration::from_mins(5),
            first_file_pause: Duration::from_secs(5),
            longest_pause: Duration::from_hours(1),
        }
    }
}

/// All hosts that were talked to.
pub struct Hosts {
    per_host: usize,
    pace: Pace,
    by_name: Mutex<HashMap<String, Host>>,
}

#[derive(Default)]
struct Host {
    running: usize,
    pause: Option<Pause>,
    /// How often it was paused since it last gave a video.
    pauses: u32,
}

#[derive(Clone, Copy)]
struct Pause {
    class: Class,
    until: Instant,
}

/// A place at a host; given back when dropped.
pub struct Slot<'a> {
    hosts: &'a Hosts,
    name: &'a str,
}

impl Hosts {
    /// No host is known yet.
    pub fn new(per_host: usize, pace: Pace) -> Self {
        Self {
            per_host: per_host.max(1),
            pace,
            by_name: Mutex::default(),
        }
    }

    /// Waits for a place at a host.
    ///
    /// # Errors
    /// It is paused for longer than is worth waiting, or the run stops.
    pub fn enter<'a>(&'a self, name: &'a str, stopped: &Stopped) -> Result<Slot<'a>, Setback> {
        loop {
            let wait = {
                let mut hosts = self.lock();
                let host = hosts.entry(name.to_owned()).or_default();
                let left = host
                    .pause
                    .map(|pause| (pause.class, left_until(pause.until)));
                match left {
                    Some((class, left)) if left > self.pace.short_wait => {
                        return Err(paused(name, class, left).into());
                    }
                    Some((_, left)) if !left.is_zero() => left.min(LOOK_EVERY),
                    _ if host.running < self.places(name, host.pauses) => {
                        host.running += 1;
                        return Ok(Slot { hosts: self, name });
                    }
                    _ => LOOK_EVERY,
                }
            };
            sleep(wait, stopped)?;
        }
    }

    /// A host says "later" or asks who we are: nothing more is asked of it for as long as it says, or as we choose. Gives
    /// how long that is.
    pub fn pause(
        &self,
        name: &str,
        class: Class,
        is_page: bool,
        asked: Option<Duration>,
    ) -> Duration {
        let first = if is_page {
            self.pace.first_pause
        } else {
            self.pace.first_file_pause
        };
        let mut hosts = self.lock();
        let host = hosts.entry(name.to_owned()).or_default();
        let left = host
            .pause
            .map_or(Duration::ZERO, |pause| left_until(pause.until));
        // Answers to what was asked before the pause do not make it longer by themselves.
        let chosen = if left.is_zero() {
            let doubled = 2_u32.saturating_pow(host.pauses);
            host.pauses += 1;
            (first.saturating_mul(doubled)).min(self.pace.longest_pause)
        } else {
            left
        };
        let pause = asked.map_or(chosen, |asked| asked.max(left));
        host.pause = Some(Pause {
            class,
            until: Instant::now() + pause,
        });
        pause
    }

    /// A host gave a video: what it did before is forgotten.
    pub fn done(&self, name: &str) {
        let mut hosts = self.lock();
        if let Some(host) = hosts.get_mut(name)
            && host
                .pause
                .is_none_or(|pause| left_until(pause.until).is_zero())
        {
            host.pause = None;
            host.pauses = 0;
        }
    }

    /// How long things wait.
    pub fn pace(&self) -> &Pace {
        &self.pace
    }

    fn places(&self, name: &str, pauses: u32) -> usize {
        match name {
            _ if pauses > 0 => 1,
            YOUTUBE => self.per_host.min(MOST_FROM_YOUTUBE),
            _ => self.per_host,
        }
    }

    /// A panic elsewhere leaves nothing half done here.
    fn lock(&self) -> MutexGuard<'_, HashMap<String, Host>> {
        self.by_name.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Slot<'_> {
    fn drop(&mut self) {
        if let Some(host) = self.hosts.lock().get_mut(self.name) {
            host.running -= 1;
        }
    }
}

fn left_until(until: Instant) -> Duration {
    until.saturating_duration_since(Instant::now())
}

fn paused(name: &str, class: Class, left: Duration) -> Trouble {
    let why = match class {
        Class::Auth => "wants a login or cookies",
        _ => "said that there were too many requests",
    };
    let mut trouble = Trouble::new(
        class,
        format!(
            "{name} {why}; nothing is asked of it for {} s",
            left.as_secs() + 1
        ),
    );
    trouble.retry_after_secs = Some(left.as_secs_f64());
    trouble
}

const YOUTUBE: &str = "youtube.com";

/// The name under which an address counts: its host, with the port where that is not the usual one. `YouTube` is one host.
pub fn name_of(url: &url::Url) -> String {
    let host = url.host_str().unwrap_or_default();
    let is_of = |domain: &str| {
        host.strip_suffix(domain)
            .is_some_and(|rest| rest.is_empty() || rest.ends_with('.'))
    };
    if is_of(YOUTUBE) || is_of("youtu.be") || is_of("youtube-nocookie.com") {
        return YOUTUBE.to_owned();
    }
    match url.port() {
        Some(port) => format!("{host}:{port}"),
        None => host.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;

    fn hosts() -> Hosts {
        let pace = Pace {
            short_wait: Duration::from_millis(200),
            ..Pace::default()
        };
        Hosts::new(4, pace)
    }

    fn never() -> Stopped {
        Arc::new(|| false)
    }

    /// A run that stops after some looks: whoever waits then has waited.
    fn soon() -> Stopped {
        let end = Instant::now() + Duration::from_millis(100);
        Arc::new(move || Instant::now() > end)
    }

    fn is_full(hosts: &Hosts, name: &str) -> bool {
        matches!(hosts.enter(name, &soon()), Err(Setback::Stopped))
    }

    #[test]
    fn a_host_has_so_many_places_and_youtube_two() {
        let hosts = hosts();
        let mut slots: Vec<_> = (0..4)
            .map(|_| hosts.enter("a", &never()).unwrap())
            .collect();
        assert!(is_full(&hosts, "a"));
        slots.pop();
        assert!(hosts.enter("a", &never()).is_ok());
        let _two = [0, 1].map(|_| hosts.enter("youtube.com", &never()).unwrap());
        assert!(is_full(&hosts, "youtube.com"));
    }

    #[test]
    fn a_long_pause_is_trouble_at_once_and_says_when() {
        let hosts = hosts();
        hosts.pause("a", Class::Rate, true, Some(Duration::from_mins(2)));
        let Err(Setback::Video(trouble)) = hosts.enter("a", &never()) else {
            panic!("it is paused");
        };
        assert_eq!(trouble.class, Class::Rate);
        assert!((119.0..=120.0).contains(&trouble.retry_after_secs.unwrap()));
        assert!(hosts.enter("b", &never()).is_ok());
    }

    #[test]
    fn a_short_pause_is_waited_for_and_one_tries_alone() {
        let hosts = hosts();
        let begin = Instant::now();
        hosts.pause("a", Class::Rate, true, Some(Duration::from_millis(100)));
        let slot = hosts.enter("a", &never()).unwrap();
        assert!(begin.elapsed() >= Duration::from_millis(100));
        assert!(is_full(&hosts, "a"));
        hosts.done("a");
        assert!(hosts.enter("a", &never()).is_ok());
        drop(slot);
    }

    #[test]
    fn pauses_double_up_to_the_longest() {
        let hosts = hosts();
        let mut pauses = Vec::new();
        for _ in 0..6 {
            pauses.push(hosts.pause("a", Class::Rate, true, None).as_secs() / 60);
            // Answers that were under way when the pause began.
            hosts.pause("a", Class::Rate, true, None);
            hosts.lock().get_mut("a").unwrap().pause = None;
        }
        assert_eq!(pauses, [5, 10, 20, 40, 60, 60]);
        hosts.done("a");
        assert_eq!(hosts.pause("a", Class::Rate, true, None).as_secs() / 60, 5);
    }

    #[test]
    fn youtube_is_one_host_under_all_its_names() {
        let name = |url: &str| name_of(&url::Url::parse(url).unwrap());
        assert_eq!(name("https://www.youtube.com/watch?v=x"), "youtube.com");
        assert_eq!(name("https://youtu.be/x"), "youtube.com");
        assert_eq!(name("https://notyoutube.com/x"), "notyoutube.com");
        assert_eq!(name("http://a.b:8080/x"), "a.b:8080");
        assert_eq!(name("https://a.b:443/x"), "a.b");
    }
}
