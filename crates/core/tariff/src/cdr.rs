//! The charge detail record of OCPI 2.2.1 (module CDRs).

use gridlatch_vocab::Timestamp;
use rust_decimal::Decimal;
use serde::{Deserialize, Serialize};

use crate::bill::{Bill, Line};
use crate::cut::kilowatt_hours;
use crate::money::Price;
use crate::tariff::{Tariff, TariffDimension};

/// What a CDR says besides the bill.
#[derive(Debug, Clone, PartialEq)]
pub struct CdrHeader {
    /// The CDR's id (at most 39 characters).
    pub id: String,
    /// The session's id.
    pub session_id: Option<String>,
    /// Who charged. Personal data: store and send it as such.
    pub token: CdrToken,
    /// `AUTH_REQUEST`, `COMMAND` or `WHITELIST`.
    pub auth_method: String,
    /// Where.
    pub location: CdrLocation,
    /// The meter.
    pub meter_id: Option<String>,
    /// What the meter signed.
    pub signed_data: Option<SignedData>,
    /// What became of checking it.
    pub meter_proof: MeterProof,
    /// When the CDR was made.
    pub last_updated: Timestamp,
}

/// A charge detail record.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[allow(missing_docs, reason = "fields as OCPI 2.2.1 names and describes them")]
pub struct Cdr {
    pub country_code: String,
    pub party_id: String,
    pub id: String,
    pub start_date_time: Timestamp,
    pub end_date_time: Timestamp,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub session_id: Option<String>,
    pub cdr_token: CdrToken,
    pub auth_method: String,
    pub cdr_location: CdrLocation,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub meter_id: Option<String>,
    pub currency: String,
    pub tariffs: Vec<Tariff>,
    pub charging_periods: Vec<ChargingPeriod>,
    /// The meter's own record, for whoever does not believe the platform.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub signed_data: Option<SignedData>,
    /// All lines, export credit included.
    pub total_cost: Price,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub total_fixed_cost: Option<Price>,
    /// kWh into the vehicle.
    pub total_energy: Decimal,
    /// Import only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub total_energy_cost: Option<Price>,
    /// Hours from begin to end.
    pub total_time: Decimal,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub total_time_cost: Option<Price>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub total_parking_time: Option<Decimal>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub total_parking_cost: Option<Price>,
    /// Our extension; an OCPI peer ignores it.
    pub x_gridlatch: CdrExtension,
    pub last_updated: Timestamp,
}

/// What OCPI 2.2.1 cannot say.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CdrExtension {
    /// kWh out of the vehicle.
    pub total_energy_exported: Decimal,
    /// What they earned: zero or negative at a positive price.
    pub total_energy_export_cost: Price,
    /// What is paid, rounded to the currency's smallest unit.
    pub payable: Decimal,
    /// Every line of the bill.
    pub lines: Vec<Line>,
    /// Whether the meter's signature over the readings was found good when the bill was made.
    #[serde(default)]
    pub meter_proof: MeterProof,
}

/// What the platform found out about the meter readings of a session.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(tag = "state", rename_all = "snake_case")]
pub enum MeterProof {
    /// The station sent no signed readings, or the record was made before they existed.
    #[default]
    Unsigned,
    /// The signature is by a key registered for the station, and the readings are those of this session.
    Verified {
        /// SHA-256 of the meter's public key (DER SubjectPublicKeyInfo), lower-case hexadecimal.
        key: String,
    },
    /// There is a record, and it proves nothing.
    NotVerified {
        /// The catalogue's code.
        code: String,
        /// One sentence.
        reason: String,
    },
}

/// Signed meter values, as OCPI 2.2.1 carries them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SignedData {
    /// `OCMF`.
    pub encoding_method: String,
    /// The meter's public key, DER SubjectPublicKeyInfo in base64; absent where it is not a registered one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub public_key: Option<String>,
    /// The records.
    pub signed_values: Vec<SignedValue>,
}

/// One signed value.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SignedValue {
    /// `Start`, `End` or `Intermediate`.
    pub nature: String,
    /// What was signed, readable; at most 512 characters.
    pub plain_data: String,
    /// The whole record in base64; at most 5000 characters.
    pub signed_data: String,
}

/// Who charged.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[allow(missing_docs, reason = "fields as OCPI 2.2.1 names and describes them")]
pub struct CdrToken {
    pub country_code: String,
    pub party_id: String,
    pub uid: String,
    /// `AD_HOC_USER`, `APP_USER`, `OTHER` or `RFID`.
    #[serde(rename = "type")]
    pub kind: String,
    pub contract_id: String,
}

/// Where somebody charged.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[allow(missing_docs, reason = "fields as OCPI 2.2.1 names and describes them")]
pub struct CdrLocation {
    pub id: String,
    pub address: String,
    pub city: String,
    /// ISO 3166 alpha-3.
    pub country: String,
    pub coordinates: GeoLocation,
    pub evse_uid: String,
    /// eMI3 EVSE id.
    pub evse_id: String,
    pub connector_id: String,
    /// `IEC_62196_T2`, `IEC_62196_T2_COMBO`, ...
    pub connector_standard: String,
    /// `CABLE` or `SOCKET`.
    pub connector_format: String,
    /// `AC_1_PHASE`, `AC_3_PHASE`, `DC`, ...
    pub connector_power_type: String,
}

/// A place on earth, in decimal degrees as text.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[allow(missing_docs, reason = "fields as OCPI 2.2.1 names and describes them")]
pub struct GeoLocation {
    pub latitude: String,
    pub longitude: String,
}

/// A stretch of the session during which the same prices held.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[allow(missing_docs, reason = "fields as OCPI 2.2.1 names and describes them")]
pub struct ChargingPeriod {
    pub start_date_time: Timestamp,
    pub dimensions: Vec<CdrDimension>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tariff_id: Option<String>,
}

/// How much of what.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CdrDimension {
    /// `ENERGY`, `ENERGY_EXPORT`, `PARKING_TIME`, `TIME`.
    #[serde(rename = "type")]
    pub dimension: TariffDimension,
    /// kWh or hours.
    pub volume: Decimal,
}

/// Decimals of a volume in hours (a third of an hour has no last one).
const HOUR_DECIMALS: u32 = 6;

fn hours(millis: i64) -> Decimal {
    (Decimal::from(millis) / Decimal::from(3_600_000))
        .round_dp(HOUR_DECIMALS)
        .normalize()
}

impl Bill {
    /// The CDR of this bill; `tariff` must be the one it was priced by.
    #[must_use]
    pub fn to_cdr(&self, tariff: &Tariff, header: CdrHeader) -> Cdr {
        let some_price = |dimensions: &[TariffDimension]| {
            self.lines
                .iter()
                .any(|l| dimensions.contains(&l.dimension))
                .then(|| self.sum(dimensions))
        };
        let parked: i64 = self.periods.iter().map(|period| period.parked_millis).sum();
        let energy = |amount| kilowatt_hours(amount).normalize();
        Cdr {
            country_code: tariff.country_code.clone(),
            party_id: tariff.party_id.clone(),
            id: header.id,
            start_date_time: self.start,
            end_date_time: self.end,
            session_id: header.session_id,
            cdr_token: header.token,
            auth_method: header.auth_method,
            cdr_location: header.location,
            meter_id: header.meter_id,
            currency: self.currency.clone(),
            tariffs: vec![tariff.clone()],
            charging_periods: self.charging_periods(),
            signed_data: header.signed_data,
            total_cost: self.total,
            total_fixed_cost: some_price(&[TariffDimension::Flat]),
            total_energy: energy(self.imported()),
            total_energy_cost: some_price(&[TariffDimension::Energy]),
            total_time: hours(self.end.unix_millis() - self.start.unix_millis()),
            total_time_cost: some_price(&[TariffDimension::Time]),
            total_parking_time: (parked > 0).then(|| hours(parked)),
            total_parking_cost: some_price(&[TariffDimension::ParkingTime]),
            x_gridlatch: CdrExtension {
                total_energy_exported: energy(self.exported()),
                total_energy_export_cost: self.sum(&[TariffDimension::EnergyExport]),
                payable: self.payable,
                lines: self.lines.clone(),
                meter_proof: header.meter_proof,
            },
            last_updated: header.last_updated,
        }
    }

    fn charging_periods(&self) -> Vec<ChargingPeriod> {
        let periods = self.periods.iter().map(|period| {
            let volumes = [
                (
                    TariffDimension::Energy,
                    kilowatt_hours(period.imported).normalize(),
                ),
                (
                    TariffDimension::EnergyExport,
                    kilowatt_hours(period.exported).normalize(),
                ),
                (TariffDimension::Time, hours(period.transfer_millis)),
                (TariffDimension::ParkingTime, hours(period.parked_millis)),
            ];
            let used = volumes.into_iter().filter(|(_, volume)| !volume.is_zero());
            ChargingPeriod {
                start_date_time: period.start,
                dimensions: used
                    .map(|(dimension, volume)| CdrDimension { dimension, volume })
                    .collect(),
                tariff_id: Some(self.tariff.clone()),
            }
        });
        periods.collect()
    }
}
