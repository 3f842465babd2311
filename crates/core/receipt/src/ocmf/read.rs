//! Reading a record, ours or another maker's, and checking its signature.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use gridlatch_trust::{KeyAlgorithm, Verify};
use gridlatch_vocab::catalogue::bill as codes;
use gridlatch_vocab::{MilliWattHours, Timestamp};
use rust_decimal::Decimal;
use rust_decimal::prelude::ToPrimitive as _;
use serde::Deserialize;
use time::macros::format_description;

use super::{KWH_DECIMALS, METHOD};
use crate::Fault;

/// The largest record, in bytes; those of real meters have one to four thousand.
pub const MAX_RECORD: usize = 16 * 1024;
/// Readings of one record.
const MAX_READINGS: usize = 64;

/// A record.
#[derive(Debug, Clone, PartialEq)]
pub struct Ocmf {
    payload: String,
    signature: Vec<u8>,
    /// The meter's count of records in transactions; `None` for one outside of transactions.
    pub page: Option<u64>,
    /// Serial number of the signing component.
    pub gateway: Option<String>,
    /// Serial number of the meter.
    pub meter: Option<String>,
    /// Identification of the charge point: type and text.
    pub place: Option<(String, String)>,
    /// The transaction, where the meter tells it (the field `XTI` of our stations).
    pub transaction: Option<String>,
    /// The readings, in their order.
    pub readings: Vec<Reading>,
}

/// Which register a reading is of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Register {
    /// OBIS 1.8.0: into the vehicle.
    Import,
    /// OBIS 2.8.0: out of the vehicle.
    Export,
}

/// Why a reading was taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reason {
    /// The transaction began.
    Begin,
    /// It ended, in whatever way.
    End,
    /// In between.
    During,
    /// From here on the readings must not be billed.
    Exception,
}

/// One reading.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Reading {
    /// When.
    pub at: Timestamp,
    /// Why.
    pub reason: Reason,
    /// The register, and where it stood.
    pub register: Option<(Register, MilliWattHours)>,
    /// What one of its last digit is worth.
    pub resolution: MilliWattHours,
    /// The meter says that it is good, and that its energy may be billed.
    pub good: bool,
}

#[derive(Deserialize)]
#[serde(rename_all = "UPPERCASE")]
struct Payload {
    pg: Option<String>,
    gs: Option<String>,
    ms: Option<String>,
    ct: Option<String>,
    ci: Option<String>,
    xti: Option<String>,
    rd: Vec<Row>,
}

/// A field that is absent is that of the reading before.
#[derive(Deserialize, Clone)]
#[serde(rename_all = "UPPERCASE")]
struct Row {
    tm: Option<String>,
    tx: Option<String>,
    rv: Option<Decimal>,
    ri: Option<String>,
    ru: Option<String>,
    ef: Option<String>,
    st: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "UPPERCASE")]
struct Signature {
    sa: Option<String>,
    se: Option<String>,
    sm: Option<String>,
    sd: String,
}

impl Ocmf {
    /// Reads a record.
    ///
    /// # Errors
    /// `bill.meter_record_malformed`: too large, no record, or with a method or unit that is not known here.
    pub fn parse(text: &str) -> Result<Self, Fault> {
        let bad =
            |what: String| Fault::new(codes::METER_RECORD_MALFORMED, format!("the meter record {what}"));
        if text.len() > MAX_RECORD {
            return Err(bad(format!("has more than {MAX_RECORD} bytes")));
        }
        let mut sections = text.trim_end_matches(['\r', '\n']).split('|');
        let (Some("OCMF"), Some(payload), Some(signature), None) =
            (sections.next(), sections.next(), sections.next(), sections.next())
        else {
            return Err(bad("is not OCMF|payload|signature".to_owned()));
        };
        let content: Payload = serde_json::from_str(payload)
            .map_err(|error| bad(format!("has an unreadable payload: {error}")))?;
        let signature: Signature = serde_json::from_str(signature)
            .map_err(|error| bad(format!("has an unreadable signature: {error}")))?;
        let signature = signed(&signature).map_err(|what| bad(what.to_owned()))?;
        if content.rd.is_empty() || content.rd.len() > MAX_READINGS {
            return Err(bad(format!("has no reading or more than {MAX_READINGS}")));
        }
        let mut readings = Vec::with_capacity(content.rd.len());
        let mut before: Option<Row> = None;
        for row in content.rd {
            let row = row.after(before.as_ref());
            readings.push(row.reading().map_err(|what| bad(what.to_owned()))?);
            before = Some(row);
        }
        let page = match content.pg.as_deref() {
            Some(text) if text.starts_with('F') => None,
            Some(text) => Some(
                text.strip_prefix('T')
                    .and_then(|number| number.parse().ok())
                    .ok_or_else(|| bad("has a page number that is none".to_owned()))?,
            ),
            None => return Err(bad("has no page number".to_owned())),
        };
        Ok(Self {
            payload: payload.to_owned(),
            signature,
            page,
            gateway: content.gs,
            meter: content.ms,
            place: content.ct.zip(content.ci),
            transaction: content.xti,
            readings,
        })
    }

    /// The text that was signed.
    #[must_use]
    pub fn payload(&self) -> &str {
        &self.payload
    }

    /// The signature, DER.
    #[must_use]
    pub fn signature(&self) -> &[u8] {
        &self.signature
    }

    /// Whether the key (DER SubjectPublicKeyInfo) signed the record.
    ///
    /// # Errors
    /// `bill.meter_signature_invalid`.
    pub fn verify(&self, spki: &[u8], verifier: &dyn Verify) -> Result<(), Fault> {
        let good = verifier.verify(KeyAlgorithm::P256, spki, self.payload.as_bytes(), &self.signature);
        if good == Some(true) {
            Ok(())
        } else {
            Err(Fault::new(
                codes::METER_SIGNATURE_INVALID,
                "the meter's signature does not fit its readings",
            ))
        }
    }

    /// The register when the transaction began and when it ended.
    ///
    /// # Errors
    /// `bill.meter_not_usable`: a reading that the meter does not stand behind, a register that fell, or no begin
    /// or end. A meter without an export register has none: `Ok(None)`.
    pub fn span(&self, register: Register) -> Result<Option<(Reading, Reading)>, Fault> {
        let unusable = |what: &str| Fault::new(codes::METER_NOT_USABLE, format!("the meter record {what}"));
        if self
            .readings
            .iter()
            .any(|reading| !reading.good || reading.reason == Reason::Exception)
        {
            return Err(unusable("has a reading that its meter says must not be billed"));
        }
        let of = |reason: Reason| {
            self.readings.iter().find(move |reading| {
                reading.reason == reason && reading.register.is_some_and(|(own, _)| own == register)
            })
        };
        match (of(Reason::Begin), of(Reason::End)) {
            (Some(begin), Some(end)) => {
                if end.value() < begin.value() || end.at < begin.at {
                    return Err(unusable("has a register that fell or a time that went back"));
                }
                Ok(Some((*begin, *end)))
            }
            (None, None) if register == Register::Export => Ok(None),
            _ => Err(unusable("lacks the begin or the end of the transaction")),
        }
    }

    /// Energy in and out between begin and end.
    ///
    /// # Errors
    /// See [`Self::span`].
    pub fn energy(&self) -> Result<(MilliWattHours, MilliWattHours), Fault> {
        let advance = |register| -> Result<MilliWattHours, Fault> {
            Ok(self
                .span(register)?
                .map_or(MilliWattHours(0), |(begin, end)| end.value().since(begin.value())))
        };
        Ok((advance(Register::Import)?, advance(Register::Export)?))
    }
}

impl Reading {
    /// Where the register stood; 0 where there is none.
    #[must_use]
    pub fn value(&self) -> MilliWattHours {
        self.register.map_or(MilliWattHours(0), |(_, value)| value)
    }
}

fn signed(signature: &Signature) -> Result<Vec<u8>, &'static str> {
    if signature.sa.as_deref().is_some_and(|method| method != METHOD) {
        return Err("is signed with a method other than ECDSA-secp256r1-SHA256");
    }
    if signature
        .sm
        .as_deref()
        .is_some_and(|kind| kind != "application/x-der")
    {
        return Err("has a signature that is not DER");
    }
    match signature.se.as_deref() {
        None | Some("hex") => {
            hex::decode(&signature.sd).map_err(|_| "has a signature that is not hexadecimal")
        }
        Some("base64") => STANDARD
            .decode(&signature.sd)
            .map_err(|_| "has a signature that is not base64"),
        Some(_) => Err("has a signature in an unknown encoding"),
    }
}

impl Row {
    fn after(self, before: Option<&Self>) -> Self {
        let Some(before) = before else { return self };
        Self {
            tm: self.tm.or_else(|| before.tm.clone()),
            tx: self.tx.or_else(|| before.tx.clone()),
            // The value is each reading's own.
            rv: self.rv,
            ri: self.ri.or_else(|| before.ri.clone()),
            ru: self.ru.or_else(|| before.ru.clone()),
            ef: self.ef.or_else(|| before.ef.clone()),
            st: self.st.or_else(|| before.st.clone()),
        }
    }

    fn reading(&self) -> Result<Reading, &'static str> {
        let at = self
            .tm
            .as_deref()
            .and_then(moment)
            .ok_or("has a time that cannot be read")?;
        let reason = match self.tx.as_deref() {
            Some("B") => Reason::Begin,
            Some("E" | "L" | "R" | "A" | "P") => Reason::End,
            Some("C" | "S" | "T") => Reason::During,
            Some("X") => Reason::Exception,
            _ => return Err("has a reading without a reason that is known"),
        };
        let good = self.st.as_deref() == Some("G") && !self.ef.as_deref().unwrap_or("").contains('E');
        let register = self.ri.as_deref().and_then(register);
        let (register, resolution) = match (register, self.rv) {
            (Some(register), Some(value)) => {
                let shift = match self.ru.as_deref() {
                    Some("kWh") => KWH_DECIMALS,
                    Some("Wh") => KWH_DECIMALS - 3,
                    _ => return Err("has a unit other than kWh and Wh"),
                };
                let finest = 10_u64.pow(shift.saturating_sub(value.scale()));
                let value = Decimal::from(10_u64.pow(shift))
                    .checked_mul(value)
                    .filter(|value| !value.is_sign_negative() || value.is_zero())
                    .and_then(|value| value.round().to_u64())
                    .ok_or("has a register value out of range")?;
                (Some((register, MilliWattHours(value))), MilliWattHours(finest))
            }
            _ => (None, MilliWattHours(1)),
        };
        Ok(Reading {
            at,
            reason,
            register,
            resolution,
            good,
        })
    }
}

/// `1-b:1.8.0` and its relatives: any medium and channel, with or without a suffix.
fn register(code: &str) -> Option<Register> {
    let quantity = code.rsplit_once(':')?.1;
    match quantity.split('*').next()? {
        "1.8.0" => Some(Register::Import),
        "2.8.0" => Some(Register::Export),
        _ => None,
    }
}

/// `2018-07-24T13:22:04,000+0200 S`.
fn moment(text: &str) -> Option<Timestamp> {
    let format = format_description!(
        "[year]-[month]-[day]T[hour]:[minute]:[second],[subsecond digits:3][offset_hour sign:mandatory][offset_minute]"
    );
    let time = text.split_once(' ')?.0;
    time::OffsetDateTime::parse(time, format).ok().map(Timestamp)
}
