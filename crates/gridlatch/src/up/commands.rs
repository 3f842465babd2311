//! The console's orders, carried out by the platform: services do not know each other, the binary does.

use futures_util::future::BoxFuture;
use gridlatch_console::{Commands, Outcome, Refused};
use gridlatch_platform::{Command, PlatformState};
use gridlatch_vocab::{EvseId, Personal, StationId, TransactionId, Watts};

/// Who the platform's events name as the one who asked.
const ASKED_BY: &str = "console";

/// Orders for the stations of this platform.
#[derive(Debug)]
pub(crate) struct Orders(pub(crate) PlatformState);

impl Orders {
    fn order(&self, station: StationId, command: Command) -> BoxFuture<'_, Outcome> {
        Box::pin(async move {
            self.0
                .command(&station, command, ASKED_BY)
                .await
                .map(drop)
                .map_err(|error| Refused::new(error.code, error.message))
        })
    }
}

impl Commands for Orders {
    fn start(&self, station: StationId, evse: EvseId, token: Personal<String>) -> BoxFuture<'_, Outcome> {
        let token = Some((token, super::DEMO_TOKEN_KIND.to_owned()));
        self.order(station, Command::Start { evse, token })
    }

    fn stop(&self, station: StationId, transaction: TransactionId) -> BoxFuture<'_, Outcome> {
        self.order(station, Command::Stop { transaction })
    }

    fn setpoint(&self, station: StationId, evse: EvseId, power: Watts) -> BoxFuture<'_, Outcome> {
        self.order(
            station,
            Command::Setpoint {
                evse,
                power: Some(power),
            },
        )
    }

    fn clear_setpoint(&self, station: StationId, evse: EvseId) -> BoxFuture<'_, Outcome> {
        self.order(station, Command::Setpoint { evse, power: None })
    }

    fn reset(&self, station: StationId, immediate: bool) -> BoxFuture<'_, Outcome> {
        self.order(station, Command::Reset { immediate })
    }
}
