//! A token bucket: how fast one station may send.

use std::time::{Duration, Instant};

/// Messages a station may send per second in the long run.
pub(crate) const PER_SECOND: f64 = 20.0;
/// Messages it may send at once.
pub(crate) const BURST: f64 = 100.0;

/// The bucket of one connection.
#[derive(Debug)]
pub(crate) struct Bucket {
    tokens: f64,
    filled: Instant,
}

impl Bucket {
    pub(crate) const fn full(now: Instant) -> Self {
        Self {
            tokens: BURST,
            filled: now,
        }
    }

    /// Takes one token; how long to wait before acting on it. The bucket may go into debt by one message,
    /// which the caller pays by waiting: nothing is dropped, the peer is only read more slowly.
    pub(crate) fn take(&mut self, now: Instant) -> Duration {
        let elapsed = now.saturating_duration_since(self.filled).as_secs_f64();
        self.tokens = (self.tokens + elapsed * PER_SECOND).min(BURST);
        self.filled = now;
        self.tokens -= 1.0;
        if self.tokens >= 0.0 {
            Duration::ZERO
        } else {
            Duration::from_secs_f64(-self.tokens / PER_SECOND)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_burst_passes_and_a_flood_is_slowed_to_the_rate() {
        let start = Instant::now();
        let mut bucket = Bucket::full(start);
        for _ in 0..100 {
            assert_eq!(bucket.take(start), Duration::ZERO);
        }
        assert_eq!(bucket.take(start), Duration::from_millis(50));
        assert_eq!(bucket.take(start + Duration::from_millis(100)), Duration::ZERO);
        assert_eq!(bucket.take(start + Duration::from_secs(3600)), Duration::ZERO);
        assert!(
            bucket.tokens <= BURST,
            "an idle hour does not buy more than a burst"
        );
    }
}
