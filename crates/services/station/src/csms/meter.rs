//! The meter's signature over the readings of a transaction.
//!
//! The record is made once, when the transaction ends, from the registers at its beginning and at its end; both are
//! durable before anybody relies on them, so that a station that lost power signs what it last knew.

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use gridlatch_keys::Signer;
use gridlatch_ocpp::v201::SignedMeterValue;
use gridlatch_receipt::ocmf::{Assignment, ENCODING, Ending, METHOD, SessionReadings};
use gridlatch_store::{Store, StoreError};
use gridlatch_vocab::{EvseId, MilliWattHours, StationId, Timestamp, TransactionId, catalogue};
use rust_decimal::Decimal;
use rust_decimal::prelude::ToPrimitive as _;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::report::Reporter;
use crate::backend::{Identification, MeterReading, StopReason};

/// Both registers at one moment.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub(super) struct Moment {
    at: Timestamp,
    imported: MilliWattHours,
    exported: MilliWattHours,
}

impl From<&MeterReading> for Moment {
    fn from(meter: &MeterReading) -> Self {
        Self {
            at: meter.at,
            imported: meter.imported,
            exported: meter.exported,
        }
    }
}

impl Moment {
    /// The registers as a transaction message of ours reports them.
    pub(super) fn reported(payload: &Value) -> Option<Self> {
        let value = &payload["meterValue"][0];
        let register = |measurand: &str| -> Option<MilliWattHours> {
            let sample = value["sampledValue"]
                .as_array()?
                .iter()
                .find(|sample| sample["measurand"] == measurand)?;
            let watt_hours: Decimal = sample["value"].to_string().parse().ok()?;
            let whole = watt_hours.checked_mul(Decimal::ONE_THOUSAND)?.to_u64()?;
            Some(MilliWattHours(whole))
        };
        Some(Self {
            at: serde_json::from_value(value["timestamp"].clone()).ok()?,
            imported: register("Energy.Active.Import.Register")?,
            exported: register("Energy.Active.Export.Register")?,
        })
    }

    const fn registers(self) -> (Timestamp, MilliWattHours, MilliWattHours) {
        (self.at, self.imported, self.exported)
    }
}

/// What the meter will sign.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub(super) struct Readings {
    begin: Moment,
    pub(super) end: Moment,
    /// The kind of identification; who it was is not kept.
    assignment: Assignment,
}

impl Readings {
    /// Of the message that began a transaction.
    pub(super) fn of(started: &Value, begin: Moment) -> Self {
        let kind = started["idToken"]["type"].as_str().unwrap_or_default();
        Self {
            begin,
            end: begin,
            assignment: Assignment::of_token(kind),
        }
    }

    pub(super) fn begin(identification: &Identification, meter: &MeterReading) -> Self {
        let assignment = match identification {
            Identification::Contract { .. } => Assignment::Contract,
            Identification::Token { kind, .. } => Assignment::of_token(kind),
        };
        Self {
            begin: meter.into(),
            end: meter.into(),
            assignment,
        }
    }
}

pub(super) const fn ending(reason: StopReason) -> Ending {
    match reason {
        StopReason::EvDisconnected | StopReason::StoppedByEv => Ending::Local,
        StopReason::Remote | StopReason::DeAuthorized => Ending::Remote,
        StopReason::EmergencyStop | StopReason::Other => Ending::Abort,
        StopReason::ImmediateReset => Ending::End,
    }
}

/// The signing part of a meter.
pub(super) struct MeterSigner {
    key: Arc<dyn Signer>,
    station: StationId,
    report: Reporter,
    setting: String,
}

impl MeterSigner {
    pub(super) fn new(key: Arc<dyn Signer>, station: StationId, report: Reporter) -> Self {
        let setting = format!("station.{station}.meter.page");
        Self {
            key,
            station,
            report,
            setting,
        }
    }

    /// The signed record of a transaction; `None` where the meter cannot sign, which is an event and no reason to lose
    /// the end of the transaction.
    pub(super) async fn record(
        &self,
        store: &Store,
        evse: EvseId,
        transaction: &TransactionId,
        readings: Readings,
        ending: Ending,
    ) -> Result<Option<SignedMeterValue>, StoreError> {
        let page = self.next_page(store).await?;
        let payload = SessionReadings {
            station: &self.station,
            evse,
            transaction,
            page,
            assignment: readings.assignment,
            begin: readings.begin.registers(),
            end: readings.end.registers(),
            ending,
        }
        .payload();
        let (key, message) = (Arc::clone(&self.key), payload.clone());
        // A key in hardware may take its time.
        let signature = tokio::task::spawn_blocking(move || key.sign(message.as_bytes())).await;
        let signature = match signature {
            Ok(Ok(signature)) => signature,
            Ok(Err(error)) => {
                self.failed(&error.to_string());
                return Ok(None);
            }
            Err(error) => {
                self.failed(&error.to_string());
                return Ok(None);
            }
        };
        let record = SessionReadings::record(&payload, &signature);
        // The Open Charge Alliance's form of a key: base64 of what is printed on a meter.
        let public_key = format!("oca:base16:asn1:{}", hex::encode(self.key.public_key_der()));
        Ok(Some(SignedMeterValue::new(
            ENCODING.to_owned(),
            STANDARD.encode(public_key),
            STANDARD.encode(record),
            METHOD.to_owned(),
        )))
    }

    /// The next page number, never given out before: it is durable first, so a crash may skip one.
    async fn next_page(&self, store: &Store) -> Result<u64, StoreError> {
        let last = store.setting_find(&self.setting).await?;
        let page = last.and_then(|text| text.parse::<u64>().ok()).unwrap_or(0) + 1;
        store.setting_put(&self.setting, &page.to_string()).await?;
        Ok(page)
    }

    fn failed(&self, why: &str) {
        self.report.event(
            catalogue::bill::METER_UNSIGNED,
            format!("The meter could not sign its readings: {why}"),
        );
    }
}
