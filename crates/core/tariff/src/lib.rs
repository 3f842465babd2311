//! Decimal pricing of charging sessions by OCPI 2.2.1 tariffs, extended for energy that flows back.
//!
//! ```
//! use gridlatch_tariff::{Activity, Reading, Tariff, periods, price};
//! use gridlatch_vocab::{MilliWattHours, Timestamp};
//!
//! let tariff = Tariff::simple("T1", "EUR", "0.40".parse()?, "0.25".parse()?, Some("19".parse()?));
//! let at = |minutes: i64| Timestamp::from_unix_millis(minutes * 60_000);
//! let reading = |minutes, imported, exported| Reading {
//!     at: at(minutes),
//!     imported: MilliWattHours(imported),
//!     exported: MilliWattHours(exported),
//!     activity: Activity::Transfer,
//! };
//! // 10 kWh in, then 4 kWh back.
//! let meter = [reading(0, 0, 0), reading(60, 10_000_000, 0), reading(90, 10_000_000, 4_000_000)];
//! let bill = price(&tariff, &periods(&meter)?)?;
//! assert_eq!(bill.total.excl_vat, "3.00".parse()?); // 10 x 0.40 - 4 x 0.25
//! assert_eq!(bill.payable, "3.57".parse()?);
//! bill.verify()?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # What is billed
//! - `ENERGY`, `TIME`, `PARKING_TIME` and `FLAT` of OCPI, each by the first tariff element whose restrictions
//!   hold and which has a component of that dimension. Where a restriction begins or ceases to hold within
//!   a period (time of day, day, duration, energy), the period is cut there, energy in proportion to time.
//! - **Extension** `ENERGY_EXPORT`: energy out of the vehicle, `price` per kWh is *credited*. OCPI has the
//!   word as a CDR dimension but no tariff dimension. Without such a component exported energy earns
//!   nothing; it never offsets or adds to the import register. A negative price charges for feeding in.
//! - `step_size` as in OCPI 2.2.1: once, at the end, on the whole volume, at the price of the last
//!   component used; of `TIME` and `PARKING_TIME` only parking when both were billed. Never on export.
//! - `min_price` and `max_price` bound the price of the session without the export credit.
//!
//! # Rounding, the whole of it
//! Volumes are whole milliwatt hours and milliseconds. A line's cost is exact, then rounded to 4 decimals,
//! half away from zero; so is its VAT. Totals are sums of lines. [`Bill::payable`] is the total with VAT
//! rounded to the currency's smallest unit, half away from zero, once.
//!
//! # What is refused
//! Registers or clocks that run backwards, overlapping periods, tariffs that cannot be priced: an error with a
//! [code](TariffError::code), never a guess and never an absolute value.
//!
//! Deliberately absent: floats, exchange rates, time zones (the offset is an argument), reservations,
//! storage, and sending a CDR anywhere.
#![forbid(unsafe_code)]

mod bill;
mod cdr;
mod cut;
mod error;
mod input;
mod money;
mod pricing;
mod recompute;
mod restriction;
mod tariff;

pub use bill::{Bill, BillPeriod, Line, LineKind};
pub use cdr::{
    Cdr, CdrDimension, CdrExtension, CdrHeader, CdrLocation, CdrToken, ChargingPeriod, GeoLocation,
    MeterProof, SignedData, SignedValue,
};
pub use error::TariffError;
pub use input::{Activity, ChargingPeriodInput, Reading, periods};
pub use money::{Price, minor_unit};
pub use pricing::{price, price_local};
pub use tariff::{DayOfWeek, PriceComponent, Restrictions, Tariff, TariffDimension, TariffElement};

#[cfg(test)]
mod tests;
