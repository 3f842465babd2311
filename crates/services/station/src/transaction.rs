//! A transaction at one EVSE, from the accepted identification to the end of the session.

use std::time::Duration;

use gridlatch_vocab::{EvseId, TransactionId};
use tokio::sync::mpsc;

use crate::backend::{
    ChargingState, Identification, MeterReading, StopReason, ToPlatform, TransactionUpdate,
};

/// Messages that may wait for the platform link. Samples beyond half of it are dropped, since the
/// registers in the next one say it all. Beginnings and ends of transactions are never dropped, since a
/// bill hangs on each: they are bounded because beyond this no question for an authorisation is passed
/// on, so no transaction begins; what comes on top is one end for each one that runs.
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
        let most = match &message {
            ToPlatform::Transaction {
                update: TransactionUpdate::Sample { .. },
                ..
            } => QUEUE / 2,
            ToPlatform::Transaction { .. } => usize::MAX,
            ToPlatform::Authorize { .. } | ToPlatform::Provision { .. } | ToPlatform::Status { .. } => QUEUE,
        };
        let waiting = self.waiting.load(std::sync::atomic::Ordering::Acquire);
        if waiting >= most {
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

#[cfg(test)]
mod tests {
    use gridlatch_vocab::{Amps, ConnectorId, MilliWattHours, Timestamp, Volts, Watts};
    use tokio::sync::oneshot;

    use super::*;
    use crate::backend::{Authorization, ConnectorStatus};

    fn transaction(update: TransactionUpdate) -> ToPlatform {
        ToPlatform::Transaction {
            evse: EvseId(1),
            transaction: "t".parse().expect("an id"),
            update,
            meter: MeterReading {
                at: Timestamp::from_unix_millis(0),
                imported: MilliWattHours(0),
                exported: MilliWattHours(0),
                power: Watts(0.0),
                voltage: Volts(0.0),
                current: Amps(0.0),
                soc: None,
                setpoint: None,
            },
            durable: None,
        }
    }

    #[tokio::test]
    async fn a_link_that_reads_nothing_loses_samples_and_status_but_no_end_of_a_transaction() {
        let (to, mut link) = mpsc::channel(1);
        let (outbox, forward) = Outbox::new(to);
        for _ in 0..4 * QUEUE {
            outbox.send(transaction(TransactionUpdate::Sample {
                state: ChargingState::Charging,
            }));
        }
        for _ in 0..2 * QUEUE {
            outbox.send(ToPlatform::Status {
                at: Timestamp::from_unix_millis(0),
                evse: EvseId(1),
                connector: ConnectorId(1),
                status: ConnectorStatus::Available,
            });
        }
        // A question that cannot be passed on is answered at once: unreachable, so nothing begins.
        let (verdict, answer) = oneshot::channel::<Authorization>();
        outbox.send(ToPlatform::Authorize {
            evse: EvseId(1),
            identification: Identification::Token {
                token: gridlatch_vocab::Personal::new("T".to_owned()),
                kind: "Central".to_owned(),
            },
            verdict,
        });
        assert!(answer.await.is_err(), "a dropped question is an answer");
        for _ in 0..5 {
            outbox.send(transaction(TransactionUpdate::Ended {
                reason: StopReason::Other,
            }));
        }
        drop(outbox);
        let forwarding = tokio::spawn(forward);
        let (mut all, mut ends) = (0, 0);
        while let Some(message) = link.recv().await {
            all += 1;
            ends += usize::from(matches!(
                message,
                ToPlatform::Transaction {
                    update: TransactionUpdate::Ended { .. },
                    ..
                }
            ));
        }
        forwarding.await.expect("the forwarder ends");
        assert_eq!((all, ends), (QUEUE + 5, 5));
    }
}
