//! The interlock of each outlet and what it drives, watched by a thread of its own.
//!
//! The task that runs the session renews the permit; a plain thread, independent of the async runtime,
//! opens the contactor of any outlet whose permit is not renewed in time.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::{Duration, Instant};

use gridlatch_interlock::{Conditions, Interlock, Line, OpenReason};

use crate::model::Model;

/// How often the watch looks.
const WATCH: Duration = Duration::from_millis(20);

/// What the watch or a renewal changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Change {
    Closed,
    Opened(OpenReason),
}

#[derive(Debug)]
pub(crate) struct Unit {
    pub(crate) model: Model,
    interlock: Interlock,
    changes: Vec<Change>,
}

impl Unit {
    fn apply(&mut self, now: Duration, line: Line) {
        let closed = line == Line::Closed;
        if closed == self.model.is_closed() {
            return;
        }
        self.model.advance(now);
        self.model.set_contactor(closed);
        self.changes.push(match line {
            Line::Closed => Change::Closed,
            Line::Open(reason) => Change::Opened(reason),
        });
    }

    /// Reports the conditions of this moment.
    pub(crate) fn renew(&mut self, now: Duration, conditions: Conditions) {
        let line = self.interlock.renew(now, conditions);
        self.apply(now, line);
    }

    /// Asks for power.
    pub(crate) fn request(&mut self, now: Duration) {
        let line = self.interlock.request(now);
        self.apply(now, line);
    }

    /// Gives power back.
    pub(crate) fn release(&mut self, now: Duration) {
        let line = self.interlock.release();
        self.apply(now, line);
    }

    /// What changed since the last call; at most a few entries, one per movement of the contactor.
    pub(crate) fn changes(&mut self) -> Vec<Change> {
        std::mem::take(&mut self.changes)
    }
}

/// One outlet's power, shared between its session task and the watch.
#[derive(Debug, Clone)]
pub(crate) struct Power {
    unit: Arc<Mutex<Unit>>,
    origin: Instant,
}

impl Power {
    pub(crate) fn new(model: Model, origin: Instant, permit_life: Duration) -> Self {
        Self {
            unit: Arc::new(Mutex::new(Unit {
                model,
                interlock: Interlock::new().with_life(permit_life),
                changes: Vec::new(),
            })),
            origin,
        }
    }

    /// Time since the station started; the clock of everything below.
    pub(crate) fn now(&self) -> Duration {
        self.origin.elapsed()
    }

    pub(crate) fn lock(&self) -> MutexGuard<'_, Unit> {
        // A panic while holding the lock leaves plain values behind; the interlock lapses by itself.
        self.unit.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Starts the watch over these outlets; it ends when all of them are gone.
pub(crate) fn watch(outlets: &[Power]) -> std::io::Result<()> {
    let outlets: Vec<(Weak<Mutex<Unit>>, Instant)> = outlets
        .iter()
        .map(|power| (Arc::downgrade(&power.unit), power.origin))
        .collect();
    std::thread::Builder::new()
        .name("interlock".to_owned())
        .spawn(move || {
            loop {
                std::thread::sleep(WATCH);
                let mut alive = false;
                for (unit, origin) in &outlets {
                    let Some(unit) = unit.upgrade() else { continue };
                    alive = true;
                    let mut unit = unit.lock().unwrap_or_else(PoisonError::into_inner);
                    let now = origin.elapsed();
                    let line = unit.interlock.evaluate(now);
                    unit.apply(now, line);
                }
                if !alive {
                    return;
                }
            }
        })?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use gridlatch_vocab::{EvseId, MilliWattHours};

    use super::*;
    use crate::config::{CableMode, EvseConfig};

    #[test]
    fn a_task_that_hangs_loses_power() {
        let config = EvseConfig::ac(EvseId(1), "DE*GLA*E1", CableMode::Virtual);
        let registers = (MilliWattHours(0), MilliWattHours(0));
        let model = Model::new(config.kind, config.limits, registers, Duration::ZERO);
        let power = Power::new(model, Instant::now(), gridlatch_interlock::RENEWAL);
        watch(std::slice::from_ref(&power)).expect("a thread can be started");
        {
            let now = power.now();
            let mut unit = power.lock();
            unit.renew(now, Conditions::all());
            unit.request(now);
            assert!(unit.model.is_closed());
        }
        // Nobody renews: the watch must open within the renewal time and one look, with slack for a
        // loaded machine.
        let start = Instant::now();
        while power.lock().model.is_closed() {
            assert!(
                start.elapsed() < Duration::from_secs(5),
                "the watch did not open the contactor"
            );
            std::thread::sleep(Duration::from_millis(5));
        }
        assert_eq!(
            power.lock().changes(),
            [Change::Closed, Change::Opened(OpenReason::Silence)]
        );
    }
}
