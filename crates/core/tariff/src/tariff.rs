//! The tariff object of OCPI 2.2.1 (module Tariffs), as far as it can be priced.

use gridlatch_vocab::Timestamp;
use rust_decimal::Decimal;
use serde::{Deserialize, Serialize};

use crate::money::Price;

/// A tariff.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Tariff {
    /// ISO 3166 alpha-2 code of the country of the CPO.
    pub country_code: String,
    /// The CPO (eMI3: 3 characters).
    pub party_id: String,
    /// Names the tariff within the CPO's platform (at most 36 characters).
    pub id: String,
    /// ISO 4217.
    pub currency: String,
    /// A session costs at least this, before the export credit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub min_price: Option<Price>,
    /// A session costs at most this, before the export credit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_price: Option<Price>,
    /// Tried in order.
    pub elements: Vec<TariffElement>,
    /// When it was made or changed.
    pub last_updated: Timestamp,
}

impl Tariff {
    /// One price per kWh in, one credit per kWh out, one rate of VAT.
    #[must_use]
    pub fn simple(id: &str, currency: &str, import: Decimal, export: Decimal, vat: Option<Decimal>) -> Self {
        let component = |dimension, price| PriceComponent {
            dimension,
            price,
            vat,
            step_size: 1,
        };
        Self {
            country_code: "DE".to_owned(),
            party_id: "GLT".to_owned(),
            id: id.to_owned(),
            currency: currency.to_owned(),
            min_price: None,
            max_price: None,
            elements: vec![TariffElement {
                price_components: vec![
                    component(TariffDimension::Energy, import),
                    component(TariffDimension::EnergyExport, export),
                ],
                restrictions: None,
            }],
            last_updated: Timestamp::from_unix_millis(0),
        }
    }
}

/// Prices that hold under common restrictions.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TariffElement {
    /// At most one per dimension counts: the first.
    pub price_components: Vec<PriceComponent>,
    /// When they hold; absent: always.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub restrictions: Option<Restrictions>,
}

/// One price.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PriceComponent {
    /// What it prices.
    #[serde(rename = "type")]
    pub dimension: TariffDimension,
    /// Without VAT: per kWh, per hour, or once.
    pub price: Decimal,
    /// Per cent; absent: no VAT applies.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub vat: Option<Decimal>,
    /// Billed in blocks of so many Wh or seconds; at least 1. Must be 1 for `ENERGY_EXPORT`.
    pub step_size: u32,
}

/// What a component prices.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum TariffDimension {
    /// Energy into the vehicle, per kWh.
    Energy,
    /// Our extension: energy out of the vehicle; the price per kWh is credited.
    EnergyExport,
    /// Once per session.
    Flat,
    /// Plugged in without energy transfer, per hour.
    ParkingTime,
    /// Energy transfer in either direction, per hour.
    Time,
}

/// When an element holds. Lower bounds are inclusive, upper bounds exclusive.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Restrictions {
    /// `HH:MM`, local time; later than `end_time` means over midnight.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub start_time: Option<String>,
    /// `HH:MM`, local time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub end_time: Option<String>,
    /// `YYYY-MM-DD`, local date.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub start_date: Option<String>,
    /// `YYYY-MM-DD`, local date, excluded.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub end_date: Option<String>,
    /// Imported so far in the session, kWh.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub min_kwh: Option<Decimal>,
    /// Imported so far in the session, kWh.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_kwh: Option<Decimal>,
    /// Mean power of the period in either direction, kW.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub min_power: Option<Decimal>,
    /// Mean power of the period in either direction, kW.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_power: Option<Decimal>,
    /// Since the session began, seconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub min_duration: Option<u32>,
    /// Since the session began, seconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_duration: Option<u32>,
    /// Local days; empty: every day.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub day_of_week: Vec<DayOfWeek>,
    /// Not evaluated: the current is not part of a period. A tariff with it is refused, not priced wrongly.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub min_current: Option<Decimal>,
    /// As `min_current`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_current: Option<Decimal>,
    /// `RESERVATION` or `RESERVATION_EXPIRES`: the element prices reservations, so it never holds here.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reservation: Option<String>,
}

/// A day.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
#[allow(missing_docs, reason = "the names say it")]
pub enum DayOfWeek {
    Monday,
    Tuesday,
    Wednesday,
    Thursday,
    Friday,
    Saturday,
    Sunday,
}
