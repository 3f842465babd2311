//! Making a record.

use gridlatch_vocab::{EvseId, MilliWattHours, StationId, Timestamp, TransactionId};
use rust_decimal::Decimal;
use serde::{Deserialize, Serialize};

use super::{EXPORT, IMPORT, KWH_DECIMALS, METHOD};

/// How the session's user was assigned, without who it was (OCMF tables 11 to 17).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Assignment {
    /// Plug & Charge: a contract certificate.
    Contract,
    /// A card at the station (ISO 14443).
    Card,
    /// A card at the station (ISO 15693).
    VicinityCard,
    /// The platform started the session.
    Central,
    /// Something else at the station.
    Local,
    /// Nobody was assigned.
    Nobody,
}

impl Assignment {
    /// By OCPP's token type; `eMAID` is a contract.
    #[must_use]
    pub fn of_token(kind: &str) -> Self {
        match kind {
            "eMAID" => Self::Contract,
            "ISO14443" => Self::Card,
            "ISO15693" => Self::VicinityCard,
            "Central" => Self::Central,
            "NoAuthorization" => Self::Nobody,
            _ => Self::Local,
        }
    }

    /// `IS`, `IL`, `IF`, `IT`.
    const fn fields(self) -> (bool, &'static str, &'static [&'static str], &'static str) {
        match self {
            Self::Contract => (true, "SECURE", &["ISO15118_PNC", "OCPP_AUTH_TLS"], "EMAID"),
            Self::Card => (true, "HEARSAY", &["RFID_PLAIN", "OCPP_AUTH_TLS"], "ISO14443"),
            Self::VicinityCard => (true, "HEARSAY", &["RFID_PLAIN", "OCPP_AUTH_TLS"], "ISO15693"),
            Self::Central => (true, "TRUSTED", &["OCPP_RS_TLS"], "CENTRAL"),
            Self::Local => (true, "HEARSAY", &["OCPP_AUTH_TLS"], "LOCAL"),
            Self::Nobody => (false, "NONE", &[], "NONE"),
        }
    }
}

/// Why the last readings were taken (OCMF table 7, `TX`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ending {
    /// In order.
    End,
    /// At the station.
    Local,
    /// By the platform.
    Remote,
    /// By an error.
    Abort,
    /// The station lost power; these are the last readings it had.
    PowerFailure,
}

impl Ending {
    const fn letter(self) -> &'static str {
        match self {
            Self::End => "E",
            Self::Local => "L",
            Self::Remote => "R",
            Self::Abort => "A",
            Self::PowerFailure => "P",
        }
    }
}

/// Everything a record says.
#[derive(Debug, Clone, Copy)]
pub struct SessionReadings<'a> {
    /// The station.
    pub station: &'a StationId,
    /// Its outlet.
    pub evse: EvseId,
    /// The session.
    pub transaction: &'a TransactionId,
    /// The meter's count of records: one more each time, never again.
    pub page: u64,
    /// How somebody was assigned.
    pub assignment: Assignment,
    /// When it began, and the import and export register then.
    pub begin: (Timestamp, MilliWattHours, MilliWattHours),
    /// When it ended, and the registers then.
    pub end: (Timestamp, MilliWattHours, MilliWattHours),
    /// Why it ended.
    pub ending: Ending,
}

#[derive(Serialize)]
#[serde(rename_all = "UPPERCASE")]
struct Payload<'a> {
    fv: &'static str,
    gi: &'static str,
    gs: &'a str,
    gv: &'static str,
    pg: String,
    mv: &'static str,
    mm: &'static str,
    ms: String,
    is: bool,
    il: &'static str,
    r#if: &'static [&'static str],
    it: &'static str,
    ct: &'static str,
    ci: String,
    xti: &'a str,
    rd: [Row; 4],
}

#[derive(Serialize)]
#[serde(rename_all = "UPPERCASE")]
struct Row {
    tm: String,
    tx: &'static str,
    rv: Decimal,
    ri: &'static str,
    ru: &'static str,
    st: &'static str,
}

#[derive(Serialize)]
#[serde(rename_all = "UPPERCASE")]
struct Signature {
    sa: &'static str,
    se: &'static str,
    sd: String,
}

impl SessionReadings<'_> {
    /// The payload section: what the meter signs, byte for byte.
    #[must_use]
    pub fn payload(&self) -> String {
        let (is, il, flags, it) = self.assignment.fields();
        let [first, second] = rows("B", self.begin);
        let [third, fourth] = rows(self.ending.letter(), self.end);
        let payload = Payload {
            fv: "1.2",
            gi: "Gridlatch station",
            gs: self.station.as_str(),
            gv: env!("CARGO_PKG_VERSION"),
            pg: format!("T{}", self.page),
            mv: "Gridlatch",
            mm: "Model meter",
            ms: format!("{}-{}", self.station, self.evse),
            is,
            il,
            r#if: flags,
            it,
            ct: "CBIDC",
            ci: format!("{} {}", self.station, self.evse),
            xti: self.transaction.as_str(),
            rd: [first, second, third, fourth],
        };
        section(&payload)
    }

    /// The record, once the payload is signed: `signature` is the DER of an ECDSA signature on P-256 with SHA-256.
    #[must_use]
    pub fn record(payload: &str, signature: &[u8]) -> String {
        let signature = Signature {
            sa: METHOD,
            se: "hex",
            sd: hex::encode(signature),
        };
        format!("OCMF|{payload}|{}", section(&signature))
    }
}

/// JSON without the character that separates sections; station names may have it.
fn section(value: &impl Serialize) -> String {
    // Structures of texts and numbers always have a JSON form.
    serde_json::to_string(value)
        .unwrap_or_default()
        .replace('|', "\\u007c")
}

fn rows(
    reason: &'static str,
    (at, imported, exported): (Timestamp, MilliWattHours, MilliWattHours),
) -> [Row; 2] {
    let row = |register: MilliWattHours, ri| Row {
        tm: moment(at),
        tx: reason,
        rv: kilowatt_hours(register),
        ri,
        ru: "kWh",
        st: "G",
    };
    [row(imported, IMPORT), row(exported, EXPORT)]
}

/// With all six decimals: the digits say the resolution.
fn kilowatt_hours(register: MilliWattHours) -> Decimal {
    Decimal::try_from_i128_with_scale(register.0.into(), KWH_DECIMALS).unwrap_or_default()
}

/// ISO 8601 with a comma, UTC. `I`: the clock is the machine's own, which nobody calibrated.
fn moment(at: Timestamp) -> String {
    let at = at.0.to_offset(time::UtcOffset::UTC);
    format!(
        "{:04}-{:02}-{:02}T{:02}:{:02}:{:02},{:03}+0000 I",
        at.year(),
        u8::from(at.month()),
        at.day(),
        at.hour(),
        at.minute(),
        at.second(),
        at.millisecond()
    )
}

/// What OCPI's `plain_data` shows of a record: its readings as they were signed, at most 512 characters, or the
/// beginning of them.
#[must_use]
pub fn plain_data(payload: &str) -> String {
    let readings = payload
        .find("\"RD\"")
        .and_then(|at| payload.get(at..))
        .and_then(|rest| Some(rest.get(rest.find('[')?..=rest.find(']')?)?.to_owned()))
        .unwrap_or_else(|| payload.to_owned());
    readings.chars().take(512).collect()
}
