//! A signed bill: a charge detail record and the signature of whoever issued it, in one file.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use gridlatch_tariff::{Cdr, MeterProof};
use gridlatch_trust::profile::{Kind, Profile};
use gridlatch_trust::{Verify, certificate, verdict};
use gridlatch_vocab::catalogue::bill as codes;
use gridlatch_vocab::{Code, MilliWattHours, Timestamp};
use rust_decimal::prelude::ToPrimitive as _;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::jws::Detached;
use crate::ocmf::{Ocmf, Register};
use crate::{Fault, fingerprint, jcs};

/// The largest signed bill, in bytes.
pub const MAX_FILE: usize = 4 * 1024 * 1024;
/// The first word of the file, and its version.
const FORMAT: &str = "gridlatch-signed-bill/1";
/// How far a record's times may be from the session's where nothing else names the session, in milliseconds.
const SLACK: i64 = 60_000;

/// The file.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SignedBill {
    /// `gridlatch-signed-bill/1`.
    pub format: String,
    /// The charge detail record in OCPI 2.2.1 shape.
    pub cdr: Value,
    /// The detached signature over its canonical form.
    pub jws: String,
}

/// Who signed a bill, proven.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Signer {
    /// The common name of the signer's certificate.
    pub name: String,
    /// SHA-256 of that certificate, lower-case hexadecimal.
    pub certificate: String,
    /// The common name of the root it leads to.
    pub root: String,
    /// SHA-256 of that root.
    pub root_certificate: String,
    /// When it was signed.
    pub at: Timestamp,
    /// The path to the root (DER: leaf first, root last), for questions of revocation.
    #[serde(skip)]
    pub path: Vec<Vec<u8>>,
}

/// What the meter signed, proven.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Meter {
    /// The meter's serial number.
    pub serial: String,
    /// SHA-256 of its public key, lower-case hexadecimal.
    pub key: String,
    /// Its count of records.
    pub page: Option<u64>,
    /// Milliwatt hours into the vehicle.
    pub imported: u64,
    /// Milliwatt hours out of the vehicle.
    pub exported: u64,
}

/// Everything there is to say about a signed bill.
#[derive(Debug, Clone, PartialEq)]
pub struct Report {
    /// Its id.
    pub id: String,
    /// What is to be paid, and the currency.
    pub payable: (rust_decimal::Decimal, String),
    /// Who signed the bill.
    pub signer: Result<Signer, Fault>,
    /// What signed the readings.
    pub meter: Result<Meter, Fault>,
    /// Whether the total follows from the readings and the tariff.
    pub total: Result<(), Fault>,
}

impl Report {
    /// The first thing that is wrong: the bill's signature, then the meter's, then the total.
    #[must_use]
    pub fn fault(&self) -> Option<&Fault> {
        let (signer, meter) = (self.signer.as_ref().err(), self.meter.as_ref().err());
        signer.or(meter).or_else(|| self.total.as_ref().err())
    }
}

/// Which session a record must be of.
#[derive(Debug, Clone, Copy)]
pub struct Expected<'a> {
    /// The station.
    pub station: &'a str,
    /// The transaction.
    pub transaction: &'a str,
    /// When it began.
    pub start: Timestamp,
    /// When it ended.
    pub end: Timestamp,
}

impl Expected<'_> {
    /// Whether the record is of this session.
    ///
    /// # Errors
    /// `bill.meter_record_foreign`: it names another station, another transaction or another time.
    /// `bill.meter_not_usable`: it has no begin and end.
    pub fn check(&self, record: &Ocmf) -> Result<(), Fault> {
        let foreign = |what: &str| {
            Err(Fault::new(
                codes::METER_RECORD_FOREIGN,
                format!("the signed readings are of another {what}"),
            ))
        };
        if let Some((kind, place)) = &record.place
            && kind == "CBIDC"
            && place.split(' ').next() != Some(self.station)
        {
            return foreign("station");
        }
        if let Some(transaction) = &record.transaction {
            // Named and signed. The times may differ: a station that lost power signs what it last knew.
            if transaction != self.transaction {
                return foreign("session");
            }
            return Ok(());
        }
        if let Some((begin, end)) = record.span(Register::Import)? {
            let apart = |a: Timestamp, b: Timestamp| (a.unix_millis() - b.unix_millis()).abs() > SLACK;
            if apart(begin.at, self.start) || apart(end.at, self.end) {
                return foreign("time");
            }
        }
        Ok(())
    }
}

impl SignedBill {
    /// A record with its signature.
    #[must_use]
    pub fn new(cdr: Value, jws: String) -> Self {
        Self {
            format: FORMAT.to_owned(),
            cdr,
            jws,
        }
    }

    /// Reads a file.
    ///
    /// # Errors
    /// `bill.document_malformed`.
    pub fn parse(text: &[u8]) -> Result<Self, Fault> {
        let bad = |what: String| Fault::new(codes::DOCUMENT_MALFORMED, what);
        if text.len() > MAX_FILE {
            return Err(bad(format!("a signed bill has at most {MAX_FILE} bytes")));
        }
        let value =
            jcs::parse(text).map_err(|error| bad(format!("this is not JSON that can be signed: {error}")))?;
        let bill: Self = serde_json::from_value(value)
            .map_err(|error| bad(format!("this is not a signed bill: {error}")))?;
        if bill.format == FORMAT {
            Ok(bill)
        } else {
            Err(bad(format!("this is not a signed bill of the form {FORMAT}")))
        }
    }

    /// Checks all of it: the signature and its certificates up to one of `roots` (DER) on the day it was signed, the
    /// meter's signature, and the total from the signed readings.
    ///
    /// # Errors
    /// `bill.document_malformed`: the record inside is none. Everything else is in the report.
    pub fn check(&self, roots: &[Vec<u8>], verifier: &dyn Verify) -> Result<Report, Fault> {
        let cdr = Cdr::deserialize(&self.cdr).map_err(|error| {
            Fault::new(
                codes::DOCUMENT_MALFORMED,
                format!("this is not a charge detail record: {error}"),
            )
        })?;
        let meter = meter(&cdr, verifier);
        Ok(Report {
            id: cdr.id.clone(),
            payable: (cdr.x_gridlatch.payable, cdr.currency.clone()),
            signer: self.signer(roots, verifier),
            total: total(&cdr, meter.as_ref().ok()),
            meter: meter.map(|(meter, _)| meter),
        })
    }

    fn signer(&self, roots: &[Vec<u8>], verifier: &dyn Verify) -> Result<Signer, Fault> {
        let jws = Detached::parse(&self.jws)?;
        jws.verify(&self.cdr, verifier)?;
        let profile = Profile::iso2(Kind::BillSigner);
        let accepted = verdict::check_with(&jws.chain, roots, profile, jws.at, verifier)
            .map_err(|rejected| Fault::new(codes::SIGNER_UNTRUSTED, rejected.message))?;
        let name = |der: &[u8]| {
            certificate::summary(der)
                .ok()
                .and_then(|summary| (!summary.subject_cn.is_empty()).then_some(summary.subject_cn))
                .unwrap_or_else(|| "(unnamed)".to_owned())
        };
        let mut path = accepted.path.clone();
        path.push(accepted.anchor.clone());
        Ok(Signer {
            path,
            name: name(&jws.chain[0]),
            certificate: fingerprint(&jws.chain[0]),
            root: name(&accepted.anchor),
            root_certificate: fingerprint(&accepted.anchor),
            at: jws.at,
        })
    }

    /// The meter's record, as text, where there is one.
    #[must_use]
    pub fn record(&self) -> Option<String> {
        record_of(&self.cdr)
    }
}

/// The meter's record (OCMF) in a charge detail record, as text, where there is one.
#[must_use]
pub fn record_of(cdr: &Value) -> Option<String> {
    let value = cdr.get("signed_data")?.get("signed_values")?.get(0)?;
    let octets = STANDARD.decode(value.get("signed_data")?.as_str()?).ok()?;
    String::from_utf8(octets).ok()
}

/// The meter's part, and what one of the last digit of its registers is worth.
fn meter(cdr: &Cdr, verifier: &dyn Verify) -> Result<(Meter, u64), Fault> {
    let key = match &cdr.x_gridlatch.meter_proof {
        MeterProof::Unsigned => {
            return Err(Fault::new(
                codes::METER_UNSIGNED,
                "the readings are not signed by a meter",
            ));
        }
        MeterProof::NotVerified { code, reason } => {
            return Err(Fault::new(
                Code::find(code).unwrap_or(codes::METER_SIGNATURE_INVALID),
                format!("the platform could not verify the readings: {reason}"),
            ));
        }
        MeterProof::Verified { key } => key,
    };
    let malformed = || {
        Fault::new(
            codes::METER_RECORD_MALFORMED,
            "the bill has no readable meter record",
        )
    };
    let data = cdr.signed_data.as_ref().ok_or_else(malformed)?;
    let [value] = data.signed_values.as_slice() else {
        return Err(malformed());
    };
    let decoded = |text: &str| STANDARD.decode(text).map_err(|_| malformed());
    let spki = decoded(data.public_key.as_deref().ok_or_else(malformed)?)?;
    if fingerprint(&spki) != *key {
        return Err(Fault::new(
            codes::METER_KEY_UNKNOWN,
            "the meter's key is not the one that the bill was issued for",
        ));
    }
    let record = String::from_utf8(decoded(&value.signed_data)?).map_err(|_| malformed())?;
    let record = Ocmf::parse(&record)?;
    record.verify(&spki, verifier)?;
    let expected = Expected {
        station: &cdr.cdr_location.id,
        transaction: cdr.session_id.as_deref().unwrap_or(""),
        start: cdr.start_date_time,
        end: cdr.end_date_time,
    };
    expected.check(&record)?;
    let (imported, exported) = record.energy()?;
    let resolution = record.readings.iter().map(|reading| reading.resolution.0).max();
    let meter = Meter {
        serial: record
            .meter
            .clone()
            .or_else(|| record.gateway.clone())
            .unwrap_or_default(),
        key: key.clone(),
        page: record.page,
        imported: imported.0,
        exported: exported.0,
    };
    Ok((meter, resolution.unwrap_or(1)))
}

fn total(cdr: &Cdr, meter: Option<&(Meter, u64)>) -> Result<(), Fault> {
    let own = |kwh: rust_decimal::Decimal| {
        kwh.checked_mul(rust_decimal::Decimal::from(1_000_000))
            .and_then(|value| value.to_u64())
            .unwrap_or(0)
    };
    let (imported, exported) = (own(cdr.total_energy), own(cdr.x_gridlatch.total_energy_exported));
    // A meter that signs fewer digits than it reports proves the bill only as far as its digits go.
    let proven = |billed: u64, signed: u64, digit: u64| {
        if digit > 1 && billed.abs_diff(signed) <= 2 * digit {
            billed
        } else {
            signed
        }
    };
    let (imported, exported) = match meter {
        Some((meter, digit)) => (
            proven(imported, meter.imported, *digit),
            proven(exported, meter.exported, *digit),
        ),
        None => (imported, exported),
    };
    cdr.recompute(MilliWattHours(imported), MilliWattHours(exported))
        .map_err(|error| Fault::new(codes::TOTAL_DIFFERS, error.to_string()))
}
