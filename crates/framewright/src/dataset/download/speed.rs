//! The least speed of a download: a server that sends a byte now and then is no better than one that sends none.

use std::time::{Duration, Instant};

use crate::dataset::trouble::{Class, Trouble};

/// Judges each window of time by the bytes that came in it.
#[derive(Debug)]
pub struct SpeedFloor {
    bytes_per_sec: f64,
    window: Duration,
    begun: Instant,
    /// There when the window began.
    bytes: u64,
}

impl SpeedFloor {
    /// At least so many bytes per second on average over each `window`, from now on. A download that is slowed down by
    /// ourselves, to `rate_limit`, has to keep half of that.
    pub fn new(min_speed: u64, rate_limit: Option<u64>, window: Duration) -> Self {
        let slowed = rate_limit.map_or(u64::MAX, |rate| rate / 2);
        Self {
            bytes_per_sec: min_speed.min(slowed) as f64,
            window,
            begun: Instant::now(),
            bytes: 0,
        }
    }

    /// Begins anew, with so many bytes there.
    pub fn restart(&mut self, bytes: u64) {
        self.begun = Instant::now();
        self.bytes = bytes;
    }

    /// Looks at how many bytes there are.
    ///
    /// # Errors
    /// A window has passed in which too few came.
    pub fn check(&mut self, bytes: u64) -> Result<(), Trouble> {
        let passed = self.begun.elapsed();
        if passed < self.window {
            return Ok(());
        }
        let came = bytes.saturating_sub(self.bytes);
        if (came as f64) < self.bytes_per_sec * passed.as_secs_f64() {
            let message = format!(
                "only {came} bytes came in {:.0} s, which is below min_speed, {} bytes per second",
                passed.as_secs_f64().max(1.0),
                self.bytes_per_sec,
            );
            return Err(Trouble::new(Class::Network, message));
        }
        self.restart(bytes);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn passed(floor: &mut SpeedFloor, secs: u64) {
        floor.begun = Instant::now()
            .checked_sub(Duration::from_secs(secs))
            .unwrap();
    }

    #[test]
    fn a_window_with_too_few_bytes_ends_a_download() {
        let window = Duration::from_secs(10);
        let mut floor = SpeedFloor::new(100, None, window);
        assert!(floor.check(0).is_ok());
        passed(&mut floor, 10);
        assert!(floor.check(1100).is_ok());
        passed(&mut floor, 10);
        let trouble = floor.check(1200).unwrap_err();
        assert_eq!(trouble.class, Class::Network);
        assert!(
            trouble.message.starts_with("only 100 bytes came in 10 s"),
            "{trouble}"
        );
        let mut off = SpeedFloor::new(0, None, window);
        passed(&mut off, 10);
        assert!(off.check(0).is_ok());
    }

    #[test]
    fn a_rate_that_the_user_chose_is_fast_enough() {
        let mut floor = SpeedFloor::new(4096, Some(100), Duration::from_secs(10));
        passed(&mut floor, 10);
        assert!(floor.check(900).is_ok());
    }
}
