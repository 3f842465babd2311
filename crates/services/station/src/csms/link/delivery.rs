//! Transaction messages: one at a time, in order, repeated until the platform has answered.

use core::time::Duration;

use gridlatch_vocab::catalogue;
use tokio::time::Instant as Tick;

use super::{Link, Purpose};
use crate::csms::CsmsError;
use crate::csms::messages;
use crate::csms::transactions::Parcel;

/// Attempts at a transaction message that the platform answers with an error (OCPP: MessageAttempts).
pub(super) const MAX_ATTEMPTS: u32 = 5;
/// First pause after such an error; grows with each.
const ATTEMPT_PAUSE: Duration = Duration::from_millis(500);

impl Link<'_> {
    /// Sends the oldest waiting transaction message, one at a time and in order.
    pub(super) async fn deliver(&mut self) -> Result<(), CsmsError> {
        if self.delivering || Tick::now() < self.deliver_at {
            return Ok(());
        }
        let Some((number, parcel)) = self.client.transactions.next().await? else {
            // Woken by the next message of the charging side.
            self.deliver_at = Tick::now();
            return Ok(());
        };
        self.delivering = true;
        let (id, mut payload) = (parcel.id.clone(), parcel.payload.clone());
        messages::speak(&mut payload, self.rpc.version());
        let sent = self.call_as(
            &id,
            "TransactionEvent",
            payload,
            Purpose::Transaction { number, parcel },
        );
        if let Err(Purpose::Transaction { number, parcel }) = sent {
            self.refused(number, &parcel, MAX_ATTEMPTS, "it violates its schema")
                .await?;
        }
        Ok(())
    }

    pub(super) fn count_replayed(&mut self) {
        if self.replayed < self.backlog {
            self.replayed += 1;
            if self.replayed == self.backlog {
                let text = format!(
                    "{} transaction messages that had waited were delivered.",
                    self.backlog
                );
                self.client.report.event(catalogue::ocpp::OFFLINE_REPLAYED, text);
            }
        }
    }

    pub(super) async fn refused(
        &mut self,
        number: i64,
        parcel: &Parcel,
        attempts: u32,
        why: &str,
    ) -> Result<(), CsmsError> {
        self.delivering = false;
        if attempts >= MAX_ATTEMPTS {
            self.attempts = 0;
            self.client
                .transactions
                .give_up(number, parcel, gridlatch_host::now())
                .await?;
            let text = format!("A transaction message was refused for good: {why}");
            self.client
                .report
                .event(catalogue::ocpp::TRANSACTION_GIVEN_UP, text);
        } else {
            self.deliver_at = Tick::now() + ATTEMPT_PAUSE * (1 << attempts.min(6));
        }
        Ok(())
    }
}
