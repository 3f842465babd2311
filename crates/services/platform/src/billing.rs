//! From a whole transaction to one charge detail record: priced, proven by what the meter signed, signed itself.

mod place;
mod proof;
mod seal;

use gridlatch_host::now;
use gridlatch_store::{NewCdr, Sample, Session, StoreError};
use gridlatch_tariff::{
    Activity, Bill, CdrHeader, CdrLocation, CdrToken, MeterProof, Reading, Tariff, TariffError, periods,
    price,
};
use gridlatch_vocab::{
    Code, Event, EventSink as _, EvseId, MilliWattHours, StationId, TransactionId, Watts, catalogue,
};
use rust_decimal::Decimal;
use thiserror::Error;

pub use place::{OutletPlace, StationPlace};

use crate::connection::random_uuid;
use crate::state::PlatformState;

/// The setting that holds the tariff.
const TARIFF: &str = "tariff";
/// Readings of one transaction that are priced; `core/tariff` takes no more either.
const READINGS: u32 = 19_990;
/// Below this the outlet counts as idle.
const IDLE: Watts = Watts(1.0);

/// Why there is no bill.
#[derive(Debug, Error)]
pub(crate) enum BillError {
    #[error("the store failed")]
    Store(#[from] StoreError),
    #[error("the transaction cannot be priced")]
    Tariff(#[from] TariffError),
    #[error("the tariff in the settings cannot be read")]
    Setting(#[source] serde_json::Error),
    #[error("the system gave no random number")]
    Random,
    #[error("the bill cannot be signed")]
    Sign(#[from] seal::SealError),
}

impl BillError {
    pub(crate) fn code(&self) -> Code {
        match self {
            Self::Store(_) => catalogue::platform::STORE_FAILED,
            Self::Tariff(error) => error.code(),
            Self::Setting(_) => catalogue::platform::TARIFF_INVALID,
            Self::Random => catalogue::platform::BILL_REFUSED,
            Self::Sign(_) => catalogue::bill::SIGNING_FAILED,
        }
    }
}

/// What applies until an operator sets a tariff: 0.40 EUR per kWh in, 0.25 EUR credit per kWh out, 19 % VAT.
pub(crate) fn default_tariff(state: &PlatformState) -> Tariff {
    let mut tariff = Tariff::simple(
        "default",
        "EUR",
        Decimal::new(40, 2),
        Decimal::new(25, 2),
        Some(Decimal::from(19)),
    );
    tariff.country_code.clone_from(&state.config().country_code);
    tariff.party_id.clone_from(&state.config().party_id);
    tariff
}

/// The tariff in force.
pub(crate) async fn tariff(state: &PlatformState) -> Result<Tariff, BillError> {
    match state.store().setting_find(TARIFF).await? {
        Some(text) => serde_json::from_str(&text).map_err(BillError::Setting),
        None => Ok(default_tariff(state)),
    }
}

/// Puts a tariff in force; it must price a session, so that it is refused here and not at a bill.
pub(crate) async fn set_tariff(state: &PlatformState, tariff: &Tariff) -> Result<(), BillError> {
    let start = now();
    let reading = |hours: i64, imported, exported| Reading {
        at: gridlatch_vocab::Timestamp::from_unix_millis(start.unix_millis() + hours * 3_600_000),
        imported: MilliWattHours(imported),
        exported: MilliWattHours(exported),
        activity: Activity::Transfer,
    };
    price(
        tariff,
        &periods(&[reading(0, 0, 0), reading(1, 10_000_000, 1_000_000)])?,
    )?
    .verify()?;
    let text = serde_json::to_string(tariff).map_err(BillError::Setting)?;
    Ok(state.store().setting_put(TARIFF, &text).await?)
}

/// Prices a whole transaction, once. A failure is an event; the transaction stays unbilled.
pub(crate) async fn bill(state: &PlatformState, station: &StationId, transaction: &TransactionId) {
    let session = match state.store().session_find(station, transaction).await {
        Ok(Some(session)) if session.bill.is_none() => session,
        Ok(_) => return,
        Err(error) => return state.store_failed(Some(station), "find a transaction to price", &error),
    };
    issue(state, &session).await;
}

/// Prices what an earlier run left: it may have been killed between the last event and the bill.
pub(crate) async fn sweep(state: &PlatformState) {
    match state.store().session_unbilled(1000).await {
        Ok(sessions) => {
            for session in sessions {
                issue(state, &session).await;
            }
        }
        Err(error) => state.store_failed(None, "find unpriced transactions", &error),
    }
}

async fn issue(state: &PlatformState, session: &Session) {
    let event = |code: Code, message: String| {
        let mut event = Event::new(now(), code, crate::SOURCE, message)
            .station(&session.station)
            .transaction(&session.transaction);
        event.evse = session.evse;
        event
    };
    match make(state, session).await {
        Ok((cdr, bill)) => {
            let id = cdr.id.clone();
            let signed = cdr.jws.is_some();
            let readings = cdr.document["x_gridlatch"]["meter_proof"]["state"]
                .as_str()
                .unwrap_or_default()
                .to_owned();
            match state.store().cdr_issue(cdr).await {
                Ok(true) => {
                    let message = format!("{}: {} {}", session.transaction, bill.payable, bill.currency);
                    let event = event(catalogue::platform::BILL_ISSUED, message)
                        .with("cdr", id)
                        .with("payable", bill.payable.to_string())
                        .with("currency", bill.currency)
                        .with("signed", signed)
                        .with("readings", readings);
                    state.hub().emit(event);
                }
                Ok(false) => {}
                Err(error) => state.store_failed(Some(&session.station), "keep a bill", &error),
            }
        }
        Err(error) => {
            let message = format!("{}: {}", session.transaction, crate::describe(&error));
            state.hub().emit(event(error.code(), message));
        }
    }
}

async fn make(state: &PlatformState, session: &Session) -> Result<(NewCdr, Bill), BillError> {
    let samples = state
        .store()
        .sample_list(&session.station, &session.transaction, None, READINGS)
        .await?;
    let tariff = tariff(state).await?;
    let readings = readings(session, &samples);
    let bill = price(&tariff, &periods(&readings)?)?;
    let id = random_uuid().ok_or(BillError::Random)?;
    let issued_at = now();
    let evse = session.evse.unwrap_or(EvseId(0));
    let location = place::location(state, &session.station, evse, session.connector).await?;
    let mut header = header(state, session, location, id.clone(), issued_at);
    proof::prove(state, session, &readings, &mut header).await?;
    let document = serde_json::to_value(bill.to_cdr(&tariff, header)).map_err(BillError::Setting)?;
    let jws = seal::seal(state.bill_signer().as_ref(), &document, issued_at).await?;
    let cdr = NewCdr {
        id,
        station: session.station.clone(),
        transaction: session.transaction.clone(),
        issued_at,
        currency: bill.currency.clone(),
        imported: MilliWattHours(bill.imported()),
        exported: MilliWattHours(bill.exported()),
        total_excl: bill.total.excl_vat,
        total_incl: bill.payable,
        document,
        jws,
    };
    Ok((cdr, bill))
}

/// The registers over the session. A sample that lacks one shows its last value; a meter without an export
/// register never exports.
fn readings(session: &Session, samples: &[Sample]) -> Vec<Reading> {
    let first_export = samples
        .iter()
        .find_map(|sample| sample.exported)
        .unwrap_or_default();
    let mut imported = samples.iter().find_map(|sample| sample.imported);
    let mut exported = first_export;
    let mut readings: Vec<Reading> = Vec::with_capacity(samples.len() + 2);
    for sample in samples {
        imported = sample.imported.or(imported);
        exported = sample.exported.unwrap_or(exported);
        let Some(imported) = imported else { continue };
        let idle = sample.power.is_some_and(|power| power.abs() < IDLE);
        readings.push(Reading {
            at: sample.at,
            imported,
            exported,
            activity: if idle {
                Activity::Parked
            } else {
                Activity::Transfer
            },
        });
    }
    // The session lasts from its first to its last event, whether or not the meter was read just then.
    if let (Some(first), Some(started)) = (readings.first().copied(), session.started_at)
        && started < first.at
    {
        let reading = Reading {
            at: started,
            activity: Activity::Parked,
            ..first
        };
        readings.insert(0, reading);
    }
    if let (Some(last), Some(ended)) = (readings.last().copied(), session.ended_at)
        && ended > last.at
    {
        readings.push(Reading { at: ended, ..last });
    }
    readings
}

/// Who, where and when. Persons appear by reference; who they are stays with whoever holds the contract.
fn header(
    state: &PlatformState,
    session: &Session,
    location: CdrLocation,
    id: String,
    at: gridlatch_vocab::Timestamp,
) -> CdrHeader {
    let config = state.config();
    let kind = session.auth_kind.as_deref().unwrap_or("");
    let reference = session
        .auth_reference
        .clone()
        .unwrap_or_else(|| "unknown".to_owned());
    CdrHeader {
        id,
        session_id: Some(session.transaction.as_str().to_owned()),
        token: CdrToken {
            country_code: config.country_code.clone(),
            party_id: config.party_id.clone(),
            uid: reference.clone(),
            kind: match kind {
                "ISO14443" | "ISO15693" => "RFID",
                "Central" => "APP_USER",
                "NoAuthorization" => "AD_HOC_USER",
                _ => "OTHER",
            }
            .to_owned(),
            contract_id: reference,
        },
        auth_method: if kind == "Central" {
            "COMMAND"
        } else {
            "AUTH_REQUEST"
        }
        .to_owned(),
        location,
        meter_id: None,
        signed_data: None,
        meter_proof: MeterProof::Unsigned,
        last_updated: at,
    }
}
