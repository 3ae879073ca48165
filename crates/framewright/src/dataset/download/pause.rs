//! Waiting that a stop ends at once, and how long to wait between tries.

use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use sha2::{Digest as _, Sha256};

use crate::dataset::trouble::Setback;

/// Says whether the run is stopping. Shared, because connections ask it while they wait for the other side.
pub type Stopped = Arc<dyn Fn() -> bool + Send + Sync>;

/// How often somebody who waits looks whether the run is stopping.
pub const LOOK_EVERY: Duration = Duration::from_millis(50);

/// Most that waits between tries grow to, in multiples of the first.
const MOST_BACKOFFS: u32 = 30;

/// Sleeps this long.
///
/// # Errors
/// [`Setback::Stopped`], soon after the run began to stop.
pub fn sleep(time: Duration, stopped: &Stopped) -> Result<(), Setback> {
    let begin = Instant::now();
    loop {
        if stopped() {
            return Err(Setback::Stopped);
        }
        let left = time.saturating_sub(begin.elapsed());
        if left.is_zero() {
            return Ok(());
        }
        thread::sleep(left.min(LOOK_EVERY));
    }
}

/// Wait after the `failed`-th failed try (from 1): doubles, and is spread by up to a half, so that many videos of one
/// host do not come back together. The spread follows from `key`.
pub fn backoff(first: Duration, failed: u32, key: &str) -> Duration {
    let times = 2_u32
        .saturating_pow(failed.saturating_sub(1))
        .min(MOST_BACKOFFS);
    let digest = Sha256::digest(format!("{key} {failed}"));
    let spread = f64::from(digest[0]) / 255.0;
    (first * times).mul_f64(0.5 + 0.5 * spread)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_and_end_at_a_most() {
        let first = Duration::from_secs(1);
        for (failed, most) in [(1, 1), (2, 2), (3, 4), (6, 30), (40, 30)] {
            let wait = backoff(first, failed, "a");
            let most = Duration::from_secs(most);
            assert!((most / 2..=most).contains(&wait), "{failed}: {wait:?}");
        }
        assert_ne!(backoff(first, 1, "a"), backoff(first, 1, "b"));
    }

    #[test]
    fn a_stop_ends_a_sleep() {
        let begin = Instant::now();
        let stopped: Stopped = Arc::new(|| true);
        let slept = sleep(Duration::from_mins(5), &stopped);
        assert!(matches!(slept, Err(Setback::Stopped)));
        assert!(begin.elapsed() < Duration::from_secs(5));
    }
}
