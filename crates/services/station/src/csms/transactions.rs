//! Numbers transaction messages and keeps them until the platform has answered.

use std::collections::BTreeMap;

use gridlatch_ocpp::{Payload as _, decode, v201};
use gridlatch_receipt::ocmf::Ending;
use gridlatch_store::{OutboxItem, Store, StoreError};
use gridlatch_vocab::{EvseId, StationId, Timestamp, TransactionId};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::messages;
use super::meter::{MeterSigner, Moment, Readings, ending};
use crate::backend::{ChargingState, MeterReading, TransactionUpdate};

/// A message in the outbox.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Parcel {
    /// Its OCPP message id; the same at every attempt, so the platform can tell a repetition.
    pub(super) id: String,
    pub(super) payload: Value,
}

/// A running transaction, as far as the link must know it after a crash.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Running {
    next: i64,
    evse: u16,
    /// The latest meter value: what an Ended after a crash reports.
    meter: Value,
    /// The registers at the beginning and now, and how somebody identified: what the meter signs at the end.
    #[serde(default)]
    readings: Option<Readings>,
    #[serde(skip)]
    state: Option<ChargingState>,
    #[serde(skip)]
    sampled: Option<Timestamp>,
}

/// The transactions of this station.
pub(super) struct Transactions {
    store: Store,
    meter: Option<MeterSigner>,
    queue: String,
    refused: String,
    setting: String,
    running: BTreeMap<String, Running>,
    /// Nothing waits: spares a query per message.
    empty: bool,
}

/// How many transactions may run or wait to be closed; stations have a handful of outlets.
const MAX_RUNNING: usize = 64;

impl Transactions {
    /// Reads what was running when the station last stopped, and ends it: a transaction does not survive its
    /// station (E06, `PowerLoss`).
    pub(super) async fn open(
        store: Store,
        station: &StationId,
        meter: Option<MeterSigner>,
        now: Timestamp,
    ) -> Result<Self, StoreError> {
        let setting = format!("station.{station}.transactions");
        let kept = store.setting_find(&setting).await?;
        let running: BTreeMap<String, Running> = kept
            .and_then(|text| serde_json::from_str(&text).ok())
            .unwrap_or_default();
        let mut this = Self {
            store,
            meter,
            queue: format!("station.{station}"),
            refused: format!("station.{station}.refused"),
            setting,
            running: running.clone(),
            empty: false,
        };
        let parcels = this.store.outbox_peek(&this.queue, 10_000).await?;
        let waiting: Vec<Parcel> = parcels.iter().filter_map(parcel).collect();
        for (id, last) in interrupted(running, &waiting) {
            let mut transaction = v201::Transaction::new(id.clone());
            transaction.stopped_reason = Some(v201::ReasonEnum::PowerLoss);
            let mut request = v201::TransactionEventRequest::new(
                v201::TransactionEventEnum::Ended,
                last.next,
                now,
                transaction,
                v201::TriggerReasonEnum::AbnormalCondition,
            );
            request.offline = Some(true);
            request.evse = Some(v201::EVSE::new(last.evse.into()));
            request.meter_value = decode::<v201::MeterValue>(last.meter)
                .ok()
                .map(|tolerated| vec![tolerated.payload]);
            this.running.remove(&id);
            let mut payload = Value::Object(request.write());
            if let Some(readings) = last.readings {
                let place = (EvseId(last.evse), id.as_str());
                this.sign(&mut payload, place, readings, Ending::PowerFailure)
                    .await?;
            }
            this.push(payload, now).await?;
        }
        // What ended but was still noted as running has its end in the outbox.
        this.running.clear();
        this.keep().await?;
        Ok(this)
    }

    /// Numbers an update and makes it durable. `Ok(false)`: nothing needed to be kept, because the latest
    /// sample is younger than `interval` seconds and nothing changed.
    pub(super) async fn update(
        &mut self,
        (evse, transaction, interval): (EvseId, &TransactionId, i64),
        update: &TransactionUpdate,
        meter: &MeterReading,
        offline: bool,
    ) -> Result<bool, StoreError> {
        use v201::{ReadingContextEnum as C, TransactionEventEnum as E, TriggerReasonEnum as T};
        let id = transaction.as_str();
        let mut info = v201::Transaction::new(id.to_owned());
        let known = self.running.get(id);
        let number = known.map_or(0, |running| running.next);
        let (mut state, mut sampled) = known.map_or((None, None), |running| (running.state, running.sampled));
        let mut readings = known.and_then(|running| running.readings);
        if let Some(readings) = &mut readings {
            readings.end = meter.into();
        }
        let mut token = None;
        let (event, trigger, context) = match update {
            TransactionUpdate::Started {
                identification,
                remote_start_id,
            } => {
                info.remote_start_id = remote_start_id.map(i64::from);
                info.charging_state = Some(v201::ChargingStateEnum::EVConnected);
                token = Some(messages::id_token(identification));
                readings = Some(Readings::begin(identification, meter));
                let trigger = if remote_start_id.is_some() {
                    T::RemoteStart
                } else {
                    T::Authorized
                };
                (E::Started, trigger, C::TransactionBegin)
            }
            TransactionUpdate::Sample { state: now } => {
                let changed = state != Some(*now);
                let due =
                    sampled.is_none_or(|at| meter.at.unix_millis() - at.unix_millis() >= interval * 1000);
                if !changed && !due {
                    return Ok(false);
                }
                info.charging_state = Some(messages::charging_state(*now));
                (state, sampled) = (Some(*now), Some(meter.at));
                let trigger = if changed {
                    T::ChargingStateChanged
                } else {
                    T::MeterValuePeriodic
                };
                (E::Updated, trigger, C::SamplePeriodic)
            }
            TransactionUpdate::Ended { reason } => {
                let (reason, trigger) = messages::stop_reason(*reason);
                info.stopped_reason = Some(reason);
                (E::Ended, trigger, C::TransactionEnd)
            }
        };
        let meter_value = messages::meter_value(meter, context);
        let kept = Running {
            next: number + 1,
            evse: evse.0,
            meter: Value::Object(meter_value.write()),
            readings,
            state,
            sampled,
        };
        let mut request = v201::TransactionEventRequest::new(event, number, meter.at, info, trigger);
        request.id_token = token;
        request.meter_value = Some(vec![meter_value]);
        request.offline = offline.then_some(true);
        let mut place = v201::EVSE::new(evse.0.into());
        place.connector_id = (event == E::Started).then_some(1);
        request.evse = Some(place);
        let mut payload = Value::Object(request.write());
        if let Some(setpoint) = meter.setpoint {
            messages::add_setpoint(&mut payload, setpoint);
        }
        if let (TransactionUpdate::Ended { reason }, Some(readings)) = (update, readings) {
            self.sign(&mut payload, (evse, id), readings, ending(*reason))
                .await?;
        }
        self.push(payload, meter.at).await?;
        if event == E::Ended || self.running.len() >= MAX_RUNNING {
            self.running.remove(id);
        }
        if event != E::Ended {
            self.running.insert(id.to_owned(), kept);
        }
        self.keep().await?;
        Ok(true)
    }

    /// Puts the meter's signed record into an Ended, where the meter signs.
    async fn sign(
        &self,
        payload: &mut Value,
        (evse, id): (EvseId, &str),
        readings: Readings,
        ending: Ending,
    ) -> Result<(), StoreError> {
        if let (Some(meter), Ok(transaction)) = (&self.meter, id.parse::<TransactionId>())
            && let Some(signed) = meter
                .record(&self.store, evse, &transaction, readings, ending)
                .await?
        {
            messages::add_signed(payload, &signed);
        }
        Ok(())
    }

    /// The oldest message that waits.
    pub(super) async fn next(&mut self) -> Result<Option<(i64, Parcel)>, StoreError> {
        if self.empty {
            return Ok(None);
        }
        loop {
            let items = self.store.outbox_peek(&self.queue, 1).await?;
            let Some(item) = items.into_iter().next() else {
                self.empty = true;
                return Ok(None);
            };
            match parcel(&item) {
                Some(parcel) => return Ok(Some((item.number, parcel))),
                // Not ours to interpret and not ours to lose.
                None => self.set_aside(item.number, &item.payload, item.at).await?,
            }
        }
    }

    /// The platform has it.
    pub(super) async fn done(&self, number: i64) -> Result<(), StoreError> {
        self.store.outbox_ack(&self.queue, number).await
    }

    /// The platform refuses it for good: out of the way, but kept.
    pub(super) async fn give_up(
        &self,
        number: i64,
        parcel: &Parcel,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let text = serde_json::to_string(parcel).unwrap_or_default();
        self.set_aside(number, &text, now).await
    }

    /// How many messages wait.
    pub(super) async fn waiting(&self) -> Result<i64, StoreError> {
        self.store.outbox_count(&self.queue).await
    }

    /// Where the messages wait.
    pub(super) fn queue(&self) -> (Store, String) {
        (self.store.clone(), self.queue.clone())
    }

    /// Whether such a transaction runs.
    pub(super) fn is_running(&self, id: &str) -> bool {
        self.running.contains_key(id)
    }

    async fn set_aside(&self, number: i64, text: &str, now: Timestamp) -> Result<(), StoreError> {
        self.store.outbox_push(&self.refused, text, now).await?;
        self.store.outbox_ack(&self.queue, number).await
    }

    async fn push(&mut self, payload: Value, now: Timestamp) -> Result<(), StoreError> {
        let parcel = Parcel {
            id: super::client::new_id(),
            payload,
        };
        let text = serde_json::to_string(&parcel).unwrap_or_default();
        self.empty = false;
        self.store.outbox_push(&self.queue, &text, now).await.map(drop)
    }

    async fn keep(&self) -> Result<(), StoreError> {
        let text = serde_json::to_string(&self.running).unwrap_or_default();
        self.store.setting_put(&self.setting, &text).await
    }
}

/// Transactions that were cut off, as they stood. The outbox is written first, so it may know one message more than
/// what was kept beside it: a later sample, a transaction that had just begun, or one that had ended.
fn interrupted(kept: BTreeMap<String, Running>, waiting: &[Parcel]) -> BTreeMap<String, Running> {
    let mut cut_off = kept;
    for Parcel { payload, .. } in waiting {
        let Some(id) = payload["transactionInfo"]["transactionId"].as_str() else {
            continue;
        };
        match payload["eventType"].as_str() {
            Some("Ended") => {
                cut_off.remove(id);
                continue;
            }
            Some("Started") if !cut_off.contains_key(id) => {
                let started = Running {
                    next: 0,
                    evse: payload["evse"]["id"]
                        .as_u64()
                        .and_then(|evse| evse.try_into().ok())
                        .unwrap_or(1),
                    meter: Value::Null,
                    readings: Moment::reported(payload).map(|begin| Readings::of(payload, begin)),
                    state: None,
                    sampled: None,
                };
                cut_off.insert(id.to_owned(), started);
            }
            _ => {}
        }
        let (Some(running), Some(number)) = (cut_off.get_mut(id), payload["seqNo"].as_i64()) else {
            continue;
        };
        if number >= running.next {
            running.next = number + 1;
            running.meter = payload["meterValue"][0].clone();
            if let (Some(readings), Some(moment)) = (&mut running.readings, Moment::reported(payload)) {
                readings.end = moment;
            }
        }
    }
    cut_off
}

fn parcel(item: &OutboxItem) -> Option<Parcel> {
    serde_json::from_str(&item.payload).ok()
}

#[cfg(test)]
mod tests;
