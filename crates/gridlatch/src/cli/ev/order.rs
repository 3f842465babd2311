//! Has the platform order the power while the car gives energy back.
//!
//! In dynamic control the station decides, and it follows the platform's set-point. Whoever runs this command
//! on the machine of `gridlatch up` holds its operator token, so the command gives that order itself.

use gridlatch_evcc::Progress;
use gridlatch_host::Shutdown;
use gridlatch_vocab::StationId;
use serde_json::{Value, json};
use tokio::sync::watch;

use super::args::Format;
use super::{http, show};
use crate::run_file::RunFile;

/// What is ordered: enough to see on every plot, below what any car of ours can give.
const WATTS: i64 = -30_000;

/// The set-point of one EVSE.
pub(super) struct Order {
    run: RunFile,
    station: StationId,
    evse: u16,
    format: Format,
}

impl Order {
    pub(super) const fn new(run: RunFile, station: StationId, evse: u16, format: Format) -> Self {
        Self {
            run,
            station,
            evse,
            format,
        }
    }

    /// Orders energy back once the car wants to give it, and lifts the order when the car has gone. Where the
    /// platform refuses, the session is stopped; the answer is whether it did as it was told.
    pub(super) async fn carry_out(self, mut figures: watch::Receiver<Progress>, stop: Shutdown) -> bool {
        if figures.wait_for(|figures| figures.giving).await.is_err() {
            return true; // the session ended before it came to that
        }
        if !self.set(Some(WATTS)).await {
            stop.cancel();
            return false;
        }
        while figures.changed().await.is_ok() {}
        self.set(None).await
    }

    async fn set(&self, watts: Option<i64>) -> bool {
        let place = format!("{} EVSE {}", self.station, self.evse);
        match self.post(watts).await {
            Ok(()) => {
                match watts {
                    Some(watts) => show::talk(&format!(
                        "  The station decides (dynamic control): the platform was asked to order {:.1} kW at {place}.",
                        watts as f64 / 1000.0
                    )),
                    None => show::talk(&format!("  The order for {place} is lifted.")),
                }
                if self.format == Format::Json {
                    show::line(&json!({
                        "type": "order", "station": self.station, "evse": self.evse, "watts": watts,
                    }));
                }
                true
            }
            Err(error) => {
                let what = if watts.is_some() { "give" } else { "lift" };
                show::talk(&format!(
                    "gridlatch: cannot {what} the order for {place}: {error:#}"
                ));
                false
            }
        }
    }

    async fn post(&self, watts: Option<i64>) -> anyhow::Result<()> {
        let token = self.run.token()?;
        let path = format!("/stations/{}/commands/setpoint", self.station);
        let body: Value = json!({ "evse": self.evse, "watts": watts });
        http::post(&self.run.rest, &path, &token, &body).await.map(drop)
    }
}
