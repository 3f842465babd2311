//! What an operator can order from the console. The binary adapts the platform's handle to this, so that
//! the console and the REST interface go through the same door.

use futures_util::future::BoxFuture;
use gridlatch_vocab::{Code, EvseId, Personal, StationId, TransactionId, Watts};

/// Why an order was not carried out.
#[derive(Debug, Clone)]
pub struct Refused {
    /// The catalogue's code, where the platform gave one; the page links to its explanation.
    pub code: Option<Code>,
    /// One sentence for the operator.
    pub message: String,
}

impl Refused {
    /// A refusal with a code.
    #[must_use]
    pub fn new(code: Code, message: impl Into<String>) -> Self {
        Self {
            code: Some(code),
            message: message.into(),
        }
    }
}

/// What came of an order: `Ok` once the station accepted it.
pub type Outcome = Result<(), Refused>;

/// The orders. Each resolves when the station answered or the platform gave up waiting for it.
pub trait Commands: Send + Sync {
    /// Starts a transaction at an EVSE on behalf of a token.
    fn start(&self, station: StationId, evse: EvseId, token: Personal<String>) -> BoxFuture<'_, Outcome>;
    /// Stops a running transaction in order.
    fn stop(&self, station: StationId, transaction: TransactionId) -> BoxFuture<'_, Outcome>;
    /// Sets the power an EVSE follows; negative discharges the vehicle.
    fn setpoint(&self, station: StationId, evse: EvseId, power: Watts) -> BoxFuture<'_, Outcome>;
    /// Lifts the set-point of an EVSE.
    fn clear_setpoint(&self, station: StationId, evse: EvseId) -> BoxFuture<'_, Outcome>;
    /// Restarts a station; `immediate` ends its sessions in order, otherwise it waits until none runs.
    fn reset(&self, station: StationId, immediate: bool) -> BoxFuture<'_, Outcome>;
}
