//! TransactionEvent (E): kept exactly once by (station, transaction, sequence number), answered after the
//! commit, priced when the transaction is whole.

use gridlatch_host::now;
use gridlatch_ocpp::v21::{
    IdToken, IdTokenInfo, TransactionEventEnum, TransactionEventRequest, TransactionEventResponse,
};
use gridlatch_ocpp::{CallError, ErrorCode, Payload as _};
use gridlatch_store::{EventKind, Recorded, Sample, TokenUse, TransactionRecord};
use gridlatch_vocab::{
    Code, ConnectorId, Event, EventSink as _, EvseId, Telemetry, TransactionId, Watts, catalogue,
};
use sha2::{Digest as _, Sha256};

use super::resolve;
use crate::state::PlatformState;
use crate::wire::{self, Caller};
use crate::{billing, meter};

pub(crate) async fn handle(
    state: &PlatformState,
    caller: &Caller,
    request: TransactionEventRequest,
) -> Result<TransactionEventResponse, CallError> {
    let Ok(transaction) = request.transaction_info.transaction_id.parse::<TransactionId>() else {
        return Err(CallError::new(
            ErrorCode::PropertyConstraintViolation,
            "transactionId has characters it must not have",
        ));
    };
    let (token, info) = match &request.id_token {
        Some(token) => {
            let (token, info) = identify(state, caller, token).await?;
            (token, Some(info))
        }
        None => (None, None),
    };
    let record = record(caller, &transaction, &request, token)?;
    let (kind, evse, samples) = (record.kind, record.evse, record.samples.clone());
    let recorded = state.store().transaction_record(record).await.map_err(|error| {
        state.store_failed(Some(&caller.station), "keep a transaction event", &error);
        wire::internal("the event could not be kept; send it again")
    })?;

    let notice = Notice {
        state,
        caller,
        transaction: &transaction,
        seq_no: request.seq_no,
        evse,
    };
    notice.tell(&recorded, kind);
    let mut response = TransactionEventResponse::new();
    response.id_token_info = info;
    if matches!(recorded, Recorded::New { .. }) {
        notice.show(samples).await;
    }
    // A repeated end is answered like the first: with the cost of the bill that stands.
    let whole = matches!(recorded, Recorded::New { complete: true, .. });
    if whole {
        billing::bill(state, &caller.station, &transaction).await;
    }
    if kind == EventKind::Ended {
        match state.store().cdr_of(&caller.station, &transaction).await {
            Ok(cdr) => response.total_cost = cdr.map(|cdr| cdr.total_incl),
            Err(error) => state.store_failed(Some(&caller.station), "read a bill", &error),
        }
    }
    Ok(response)
}

/// Who charges, and what the station is told about them.
async fn identify(
    state: &PlatformState,
    caller: &Caller,
    token: &IdToken,
) -> Result<(Option<TokenUse>, IdTokenInfo), CallError> {
    if token.r#type == "NoAuthorization" {
        // C02: the station's policy lets anybody charge; nobody is named.
        let nobody = TokenUse {
            kind: token.r#type.clone(),
            reference: "nobody".to_owned(),
            label: "no authorisation".to_owned(),
        };
        let info = IdTokenInfo::new(gridlatch_ocpp::v21::AuthorizationStatusEnum::Accepted);
        return Ok((Some(nobody), info));
    }
    let (found, status) = resolve(state, caller, token).await?;
    let token = found.map(|found| TokenUse {
        kind: found.kind,
        reference: found.reference,
        label: found.label,
    });
    Ok((token, IdTokenInfo::new(status)))
}

fn record(
    caller: &Caller,
    transaction: &TransactionId,
    request: &TransactionEventRequest,
    token: Option<TokenUse>,
) -> Result<TransactionRecord, CallError> {
    let small = |value: i64| {
        u16::try_from(value)
            .map_err(|_| CallError::new(ErrorCode::PropertyConstraintViolation, "evse is out of range"))
    };
    let evse = request.evse.as_ref();
    let info = &request.transaction_info;
    Ok(TransactionRecord {
        station: caller.station.clone(),
        transaction: transaction.clone(),
        seq_no: request.seq_no,
        kind: match request.event_type {
            TransactionEventEnum::Started => EventKind::Started,
            TransactionEventEnum::Updated => EventKind::Updated,
            TransactionEventEnum::Ended => EventKind::Ended,
        },
        trigger: request.trigger_reason.as_str().to_owned(),
        at: request.timestamp,
        received_at: now(),
        offline: request.offline.unwrap_or(false),
        evse: evse.map(|evse| small(evse.id)).transpose()?.map(EvseId),
        connector: evse
            .and_then(|evse| evse.connector_id)
            .map(small)
            .transpose()?
            .map(ConnectorId),
        charging_state: info.charging_state.map(|state| state.as_str().to_owned()),
        stop_reason: info.stopped_reason.map(|reason| reason.as_str().to_owned()),
        token,
        remote_start_id: info.remote_start_id,
        samples: meter::samples(request.meter_value.as_deref().unwrap_or_default()),
        signed: meter::signed(request.meter_value.as_deref().unwrap_or_default()),
        digest: digest(request),
    })
}

/// What makes two events the same. A repetition may say `offline` where the first did not.
fn digest(request: &TransactionEventRequest) -> String {
    let mut content = request.write();
    content.remove("offline");
    let text = serde_json::Value::Object(content).to_string();
    Sha256::digest(text.as_bytes())
        .iter()
        .fold(String::new(), |mut hex, byte| {
            use std::fmt::Write as _;
            let _ = write!(hex, "{byte:02x}");
            hex
        })
}

struct Notice<'a> {
    state: &'a PlatformState,
    caller: &'a Caller,
    transaction: &'a TransactionId,
    seq_no: i64,
    evse: Option<EvseId>,
}

impl Notice<'_> {
    fn emit(&self, code: Code, message: String) {
        let mut event = Event::new(now(), code, crate::SOURCE, message)
            .station(&self.caller.station)
            .transaction(self.transaction)
            .with("seq_no", self.seq_no);
        event.evse = self.evse;
        self.state.hub().emit(event);
    }

    fn tell(&self, recorded: &Recorded, kind: EventKind) {
        let (station, transaction, seq_no) = (&self.caller.station, self.transaction, self.seq_no);
        match recorded {
            Recorded::Duplicate { same: true } => self.emit(
                catalogue::platform::TRANSACTION_DUPLICATE,
                format!("{station} repeated event {seq_no} of {transaction}"),
            ),
            Recorded::Duplicate { same: false } => self.emit(
                catalogue::platform::TRANSACTION_CONTRADICTION,
                format!("{station} sent another event {seq_no} of {transaction}; the first one stands"),
            ),
            Recorded::New {
                missing,
                late,
                backwards,
                ..
            } => {
                match kind {
                    EventKind::Started => self.emit(
                        catalogue::platform::TRANSACTION_STARTED,
                        format!("{transaction} began at {station}"),
                    ),
                    EventKind::Ended => self.emit(
                        catalogue::platform::TRANSACTION_ENDED,
                        format!("{transaction} ended at {station}"),
                    ),
                    EventKind::Updated => {}
                }
                if let Some(missing) = missing {
                    let (first, last) = (missing.start(), missing.end());
                    self.emit(
                        catalogue::platform::TRANSACTION_GAP,
                        format!("events {first} to {last} of {transaction} at {station} are missing"),
                    );
                }
                if *late {
                    self.emit(
                        catalogue::platform::TRANSACTION_LATE,
                        format!("event {seq_no} of {transaction} at {station} came after later ones"),
                    );
                }
                if *backwards {
                    self.emit(
                        catalogue::platform::METER_REGISTER_FELL,
                        format!("a register of {transaction} at {station} went down at event {seq_no}"),
                    );
                }
            }
        }
    }

    /// Shows samples to live pages. A sample that lacks a register shows the last one known.
    async fn show(&self, samples: Vec<Sample>) {
        if samples.is_empty() {
            return;
        }
        let evse = match self.evse {
            Some(evse) => evse,
            // Only the first event has to name the EVSE.
            None => match self
                .state
                .store()
                .session_find(&self.caller.station, self.transaction)
                .await
            {
                Ok(Some(session)) => session.evse.unwrap_or(EvseId(0)),
                _ => EvseId(0),
            },
        };
        let (mut imported, mut exported) = (None, None);
        for sample in samples {
            imported = sample.imported.or(imported);
            exported = sample.exported.or(exported);
            self.state.hub().sample(Telemetry {
                at: sample.at,
                station: self.caller.station.clone(),
                evse,
                transaction: Some(self.transaction.clone()),
                power: sample.power.unwrap_or(Watts::ZERO),
                imported: imported.unwrap_or_default(),
                exported: exported.unwrap_or_default(),
                soc: sample.soc,
                setpoint: sample.setpoint,
            });
        }
    }
}
