//! A transaction at one EVSE, from the accepted identification to the end of the session.

use std::time::Duration;

use gridlatch_vocab::{EvseId, TransactionId};
use tokio::sync::mpsc;

use crate::backend::{
    ChargingState, Identification, MeterReading, StopReason, ToPlatform, TransactionUpdate,
};

/// Messages that may wait for the platform link. Samples beyond half of it are dropped, since the
/// registers in the next one say it all; beginnings and ends wait.
pub(crate) const QUEUE: usize = 1024;

/// To the platform, without waiting.
#[derive(Debug, Clone)]
pub(crate) struct Outbox {
    queue: mpsc::UnboundedSender<ToPlatform>,
    waiting: std::sync::Arc<std::sync::atomic::AtomicUsize>,
}

impl Outbox {
    /// An outbox, and the task that empties it into `to`.
    pub(crate) fn new(to: mpsc::Sender<ToPlatform>) -> (Self, impl Future<Output = ()>) {
        let (queue, mut waiting_messages) = mpsc::unbounded_channel();
        let waiting = std::sync::Arc::new(std::sync::atomic::AtomicUsize::new(0));
        let count = std::sync::Arc::clone(&waiting);
        let forward = async move {
            while let Some(message) = waiting_messages.recv().await {
                count.fetch_sub(1, std::sync::atomic::Ordering::AcqRel);
                if to.send(message).await.is_err() {
                    return;
                }
            }
        };
        (Self { queue, waiting }, forward)
    }

    pub(crate) fn send(&self, message: ToPlatform) {
        let sample = matches!(
            message,
            ToPlatform::Transaction {
                update: TransactionUpdate::Sample { .. },
                ..
            }
        );
        let waiting = self.waiting.load(std::sync::atomic::Ordering::Acquire);
        if (sample && waiting >= QUEUE / 2) || waiting >= QUEUE {
            return;
        }
        self.waiting.fetch_add(1, std::sync::atomic::Ordering::AcqRel);
        // A closed link means the station is shutting down.
        let _ = self.queue.send(message);
    }
}

/// A running transaction.
#[derive(Debug)]
pub(crate) struct Transaction {
    pub(crate) id: TransactionId,
    evse: EvseId,
    outbox: Outbox,
    next_sample: Duration,
    interval: Duration,
    state: ChargingState,
}

impl Transaction {
    pub(crate) fn start(
        id: TransactionId,
        evse: EvseId,
        outbox: Outbox,
        identification: Identification,
        remote_start_id: Option<i32>,
        meter: MeterReading,
        (now, interval): (Duration, Duration),
    ) -> Self {
        let transaction = Self {
            id,
            evse,
            outbox,
            next_sample: now.saturating_add(interval),
            interval,
            state: ChargingState::EvConnected,
        };
        transaction.send(
            TransactionUpdate::Started {
                identification,
                remote_start_id,
            },
            meter,
        );
        transaction
    }

    fn send(&self, update: TransactionUpdate, meter: MeterReading) {
        self.outbox.send(ToPlatform::Transaction {
            evse: self.evse,
            transaction: self.id.clone(),
            update,
            meter,
            durable: None,
        });
    }

    /// When the next sample is due.
    pub(crate) const fn due(&self) -> Duration {
        self.next_sample
    }

    /// Samples if it is time, or at once when the state changed.
    pub(crate) fn sample(
        &mut self,
        now: Duration,
        state: ChargingState,
        meter: impl FnOnce() -> MeterReading,
    ) {
        if state == self.state && now < self.next_sample {
            return;
        }
        self.state = state;
        self.next_sample = now.saturating_add(self.interval);
        self.send(TransactionUpdate::Sample { state }, meter());
    }

    pub(crate) fn end(self, reason: StopReason, meter: MeterReading) {
        self.send(TransactionUpdate::Ended { reason }, meter);
    }
}
