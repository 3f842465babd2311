//! Whether the readings a bill rests on are what the station's meter signed.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use gridlatch_host::now;
use gridlatch_receipt::bill::Expected;
use gridlatch_receipt::ocmf::{ENCODING, Ocmf, Register, plain_data};
use gridlatch_receipt::{Fault, fingerprint};
use gridlatch_store::{MeterKey, Session, SignedReading, StoreError};
use gridlatch_tariff::{CdrHeader, MeterProof, Reading, SignedData, SignedValue};
use gridlatch_trust::RustCrypto;
use gridlatch_vocab::catalogue::bill as codes;
use gridlatch_vocab::{Event, EventSink as _, MilliWattHours};

use crate::state::PlatformState;

/// Puts the meter's record and the verdict on it into the header. A record that proves nothing is an event, and the
/// bill says so; the bill itself is made from what the station reported.
pub(super) async fn prove(
    state: &PlatformState,
    session: &Session,
    readings: &[Reading],
    header: &mut CdrHeader,
) -> Result<(), StoreError> {
    let store = state.store();
    let keys = store.meter_key_list(&session.station).await?;
    let records = store
        .signed_reading_list(&session.station, &session.transaction)
        .await?;
    let mut failed: Option<(Fault, &SignedReading)> = None;
    for record in &records {
        let verdict = match judge(session, readings, &keys, record) {
            Ok((ocmf, key)) => repeated(state, session, record)
                .await?
                .map_or(Ok((ocmf, key)), Err),
            Err(fault) => Err(fault),
        };
        match verdict {
            Ok((ocmf, key)) => {
                header.meter_id = ocmf.meter.clone().or_else(|| ocmf.gateway.clone());
                header.signed_data = Some(signed_data(record, Some(&key.spki)));
                header.meter_proof = MeterProof::Verified {
                    key: key.fingerprint.clone(),
                };
                return Ok(());
            }
            Err(fault) => {
                failed.get_or_insert((fault, record));
            }
        }
    }
    if let Some((fault, record)) = failed {
        tell(state, session, &fault, record.public_key.as_deref());
        header.signed_data = Some(signed_data(record, None));
        header.meter_proof = MeterProof::NotVerified {
            code: fault.code.as_str().to_owned(),
            reason: fault.message,
        };
    } else if !keys.is_empty() {
        let fault = Fault {
            code: codes::METER_UNSIGNED,
            message: format!("{} ended without signed readings", session.transaction),
        };
        tell(state, session, &fault, None);
    }
    Ok(())
}

/// The record, and the registered key that signed it.
fn judge<'k>(
    session: &Session,
    readings: &[Reading],
    keys: &'k [MeterKey],
    signed: &SignedReading,
) -> Result<(Ocmf, &'k MeterKey), Fault> {
    let fault = |code, message: String| Fault { code, message };
    if signed.encoding != ENCODING {
        let text: String = signed.encoding.chars().take(50).collect();
        return Err(fault(
            codes::METER_RECORD_MALFORMED,
            format!("signed readings in the format {text:?} are not read here"),
        ));
    }
    let record = Ocmf::parse(&signed.data)?;
    let claimed = signed
        .public_key
        .as_deref()
        .and_then(|key| hex::decode(key).ok())
        .map(|spki| fingerprint(&spki));
    let mut candidates = keys
        .iter()
        .filter(|key| claimed.as_ref().is_none_or(|claimed| *claimed == key.fingerprint))
        .peekable();
    if candidates.peek().is_none() {
        return Err(fault(
            codes::METER_KEY_UNKNOWN,
            format!(
                "the readings are signed with a key that is not registered for {}",
                session.station
            ),
        ));
    }
    let key = candidates
        .find(|key| record.verify(&key.spki, &RustCrypto).is_ok())
        .ok_or_else(|| {
            fault(
                codes::METER_SIGNATURE_INVALID,
                "the meter's signature does not fit its readings".to_owned(),
            )
        })?;
    if let (Some(first), Some(last)) = (readings.first(), readings.last()) {
        let expected = Expected {
            station: session.station.as_str(),
            transaction: session.transaction.as_str(),
            start: first.at,
            end: last.at,
        };
        expected.check(&record)?;
        same(&record, first, last)?;
    }
    Ok((record, key))
}

/// The registers signed are the registers reported, as far as the signed digits go.
fn same(record: &Ocmf, first: &Reading, last: &Reading) -> Result<(), Fault> {
    let registers = [
        (Register::Import, "import", first.imported, last.imported),
        (Register::Export, "export", first.exported, last.exported),
    ];
    for (register, name, begin, end) in registers {
        let (signed_begin, signed_end, digit) = match record.span(register)? {
            Some((begin, end)) => (begin.value(), end.value(), begin.resolution.max(end.resolution)),
            // A meter without an export register: then nothing may have been reported as exported.
            None => (begin, begin, MilliWattHours(1)),
        };
        let apart = |a: MilliWattHours, b: MilliWattHours| a.0.abs_diff(b.0) >= digit.0.max(1);
        if apart(signed_begin, begin) || apart(signed_end, end) {
            return Err(Fault {
                code: codes::METER_READINGS_DIFFER,
                message: format!("the {name} register reported is not the one that was signed"),
            });
        }
    }
    Ok(())
}

/// The meter counts its records: one that was shown with an earlier transaction does not count again.
async fn repeated(
    state: &PlatformState,
    session: &Session,
    signed: &SignedReading,
) -> Result<Option<Fault>, StoreError> {
    let Some(page) = signed.page else { return Ok(None) };
    let shown = state
        .store()
        .signed_page_shown(&session.station, &session.transaction, page)
        .await?;
    Ok(shown.map(|transaction| Fault {
        code: codes::METER_RECORD_REPEATED,
        message: format!("the meter's page {page} was shown with {transaction} before"),
    }))
}

fn signed_data(signed: &SignedReading, spki: Option<&[u8]>) -> SignedData {
    let payload = signed.data.split('|').nth(1).unwrap_or_default();
    SignedData {
        encoding_method: signed.encoding.clone(),
        public_key: spki.map(|spki| STANDARD.encode(spki)),
        signed_values: vec![SignedValue {
            nature: "End".to_owned(),
            plain_data: plain_data(payload),
            signed_data: STANDARD.encode(&signed.data),
        }],
    }
}

fn tell(state: &PlatformState, session: &Session, fault: &Fault, claimed: Option<&str>) {
    let mut event = Event::new(now(), fault.code, crate::SOURCE, fault.message.clone())
        .station(&session.station)
        .transaction(&session.transaction);
    event.evse = session.evse;
    if let Some(spki) = claimed.and_then(|key| hex::decode(key).ok()) {
        event = event.with("claimed_key", fingerprint(&spki));
    }
    state.hub().emit(event);
}
