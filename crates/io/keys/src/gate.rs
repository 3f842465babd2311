//! How many signatures a device works on at once, and how many may wait.

use std::sync::{Condvar, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Threads that may wait for one device.
const MAX_WAITING: usize = 64;
/// How long a thread waits for its turn.
const MAX_WAIT: Duration = Duration::from_secs(5);

/// Lets a bounded number of threads through; a bounded number waits, for a bounded time.
#[derive(Debug)]
pub(crate) struct Gate {
    places: usize,
    state: Mutex<State>,
    freed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    inside: usize,
    waiting: usize,
}

/// A place inside; dropping it lets the next one in.
#[derive(Debug)]
pub(crate) struct Place<'a>(&'a Gate);

impl Gate {
    pub(crate) const fn new(places: usize) -> Self {
        Self {
            places,
            state: Mutex::new(State {
                inside: 0,
                waiting: 0,
            }),
            freed: Condvar::new(),
        }
    }

    /// A place, after waiting for it if need be; otherwise why not.
    pub(crate) fn enter(&self) -> Result<Place<'_>, String> {
        self.enter_within(MAX_WAIT)
    }

    fn enter_within(&self, limit: Duration) -> Result<Place<'_>, String> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if state.inside >= self.places && state.waiting >= MAX_WAITING {
            return Err(format!("{MAX_WAITING} signatures are waiting for it already"));
        }
        let until = Instant::now() + limit;
        state.waiting += 1;
        while state.inside >= self.places {
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                state.waiting -= 1;
                return Err(format!("it was not free within {} s", limit.as_secs_f32()));
            }
            state = self
                .freed
                .wait_timeout(state, left)
                .unwrap_or_else(PoisonError::into_inner)
                .0;
        }
        state.waiting -= 1;
        state.inside += 1;
        Ok(Place(self))
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner).inside -= 1;
        self.0.freed.notify_one();
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};

    use super::*;

    #[test]
    fn no_more_than_its_places_are_inside_and_all_get_their_turn() {
        let gate = Gate::new(2);
        let (inside, most, done) = (AtomicUsize::new(0), AtomicUsize::new(0), AtomicUsize::new(0));
        std::thread::scope(|scope| {
            for _ in 0..20 {
                scope.spawn(|| {
                    let _place = gate.enter().unwrap();
                    most.fetch_max(inside.fetch_add(1, SeqCst) + 1, SeqCst);
                    std::thread::sleep(Duration::from_millis(2));
                    inside.fetch_sub(1, SeqCst);
                    done.fetch_add(1, SeqCst);
                });
            }
        });
        assert_eq!((most.load(SeqCst), done.load(SeqCst)), (2, 20));
    }

    #[test]
    fn the_queue_is_bounded_in_length_and_time() {
        let gate = Gate::new(1);
        let place = gate.enter().unwrap();
        let late = gate.enter_within(Duration::from_millis(20)).unwrap_err();
        assert!(late.contains("not free"), "{late}");
        std::thread::scope(|scope| {
            let waiting: Vec<_> = (0..MAX_WAITING)
                .map(|_| scope.spawn(|| gate.enter().map(drop)))
                .collect();
            while gate.state.lock().unwrap().waiting < MAX_WAITING {
                std::thread::yield_now();
            }
            assert!(gate.enter().unwrap_err().contains("waiting"));
            drop(place);
            for thread in waiting {
                thread.join().unwrap().unwrap();
            }
        });
        gate.enter().unwrap();
    }
}
