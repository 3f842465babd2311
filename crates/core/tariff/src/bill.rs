//! A bill: lines anyone can recompute, and their sums.

use gridlatch_vocab::Timestamp;
use rust_decimal::Decimal;
use serde::{Deserialize, Serialize};

use crate::cut::kilowatt_hours;
use crate::error::TariffError;
use crate::money::{Price, round, round_payable};
use crate::tariff::TariffDimension;

/// A priced session.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Bill {
    /// The tariff's id.
    pub tariff: String,
    /// ISO 4217.
    pub currency: String,
    /// Begin of the session.
    pub start: Timestamp,
    /// End of the session.
    pub end: Timestamp,
    /// What was charged and credited, in the order of time.
    pub lines: Vec<Line>,
    /// Stretches with one set of prices each.
    pub periods: Vec<BillPeriod>,
    /// The sum of all lines.
    pub total: Price,
    /// [`Bill::total`] with VAT, in whole smallest units of the currency. Negative: the driver is owed.
    pub payable: Decimal,
}

/// A stretch of the session during which the same prices held.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct BillPeriod {
    /// Its begin.
    pub start: Timestamp,
    /// Milliseconds of transfer.
    pub transfer_millis: i64,
    /// Milliseconds parked.
    pub parked_millis: i64,
    /// Milliwatt hours in.
    pub imported: u64,
    /// Milliwatt hours out.
    pub exported: u64,
}

/// Why a line is there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LineKind {
    /// What was used.
    Usage,
    /// What `step_size` adds to the volume.
    Step,
    /// What `min_price` or `max_price` adds; the volume and unit price do not matter.
    Bound,
}

/// One line.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Line {
    /// When what it bills began.
    pub start: Timestamp,
    /// What it bills.
    pub dimension: TariffDimension,
    /// Why it is there.
    pub kind: LineKind,
    /// Milliwatt hours, milliseconds, or 1 for a flat fee.
    pub volume: u64,
    /// Per kWh, per hour, or once.
    pub unit_price: Decimal,
    /// Per cent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub vat: Option<Decimal>,
    /// Without VAT; negative for a credit.
    pub cost: Decimal,
    /// The VAT on it.
    pub tax: Decimal,
}

impl Line {
    /// A line, with its cost and tax computed.
    pub(crate) fn new(
        (start, dimension, kind): (Timestamp, TariffDimension, LineKind),
        volume: u64,
        unit_price: Decimal,
        vat: Option<Decimal>,
    ) -> Result<Self, TariffError> {
        let cost = cost(dimension, volume, unit_price).ok_or(TariffError::OutOfRange)?;
        let tax = tax(cost, vat).ok_or(TariffError::OutOfRange)?;
        Ok(Self {
            start,
            dimension,
            kind,
            volume,
            unit_price,
            vat,
            cost,
            tax,
        })
    }

    /// The volume as people read it: kWh, hours, or 1.
    #[must_use]
    pub fn quantity(&self) -> Decimal {
        match self.dimension {
            TariffDimension::Energy | TariffDimension::EnergyExport => kilowatt_hours(self.volume),
            TariffDimension::ParkingTime | TariffDimension::Time => {
                Decimal::from(self.volume) / Decimal::from(3_600_000)
            }
            TariffDimension::Flat => Decimal::ONE,
        }
    }
}

fn cost(dimension: TariffDimension, volume: u64, unit_price: Decimal) -> Option<Decimal> {
    let volume = Decimal::from(volume);
    let divisor = match dimension {
        TariffDimension::Energy | TariffDimension::EnergyExport => Decimal::from(1_000_000),
        TariffDimension::ParkingTime | TariffDimension::Time => Decimal::from(3_600_000),
        TariffDimension::Flat => Decimal::ONE,
    };
    let amount = round(unit_price.checked_mul(volume)?.checked_div(divisor)?);
    Some(if dimension == TariffDimension::EnergyExport {
        -amount
    } else {
        amount
    })
}

fn tax(cost: Decimal, vat: Option<Decimal>) -> Option<Decimal> {
    Some(match vat {
        Some(vat) => round(cost.checked_mul(vat)?.checked_div(Decimal::ONE_HUNDRED)?),
        None => Decimal::ZERO,
    })
}

impl Bill {
    /// The sum of the lines of some dimensions; VAT is given when any of the lines bears it.
    #[must_use]
    pub fn sum(&self, dimensions: &[TariffDimension]) -> Price {
        sum(self
            .lines
            .iter()
            .filter(|line| dimensions.contains(&line.dimension)))
    }

    /// Milliwatt hours in.
    #[must_use]
    pub fn imported(&self) -> u64 {
        self.periods.iter().map(|period| period.imported).sum()
    }

    /// Milliwatt hours out.
    #[must_use]
    pub fn exported(&self) -> u64 {
        self.periods.iter().map(|period| period.exported).sum()
    }

    /// Recomputes every line and the totals.
    ///
    /// # Errors
    /// Names what differs.
    pub fn verify(&self) -> Result<(), TariffError> {
        for line in &self.lines {
            if line.kind == LineKind::Bound {
                continue;
            }
            if cost(line.dimension, line.volume, line.unit_price) != Some(line.cost) {
                return Err(TariffError::Recomputed("the cost of a line"));
            }
            if tax(line.cost, line.vat) != Some(line.tax) {
                return Err(TariffError::Recomputed("the tax of a line"));
            }
        }
        if sum(&self.lines) != self.total {
            return Err(TariffError::Recomputed("the total"));
        }
        if round_payable(self.total.gross(), &self.currency) != self.payable {
            return Err(TariffError::Recomputed("the payable amount"));
        }
        Ok(())
    }
}

pub(crate) fn sum<'a>(lines: impl IntoIterator<Item = &'a Line>) -> Price {
    let (mut cost, mut tax, mut taxed) = (Decimal::ZERO, Decimal::ZERO, false);
    for line in lines {
        cost += line.cost;
        tax += line.tax;
        taxed |= line.vat.is_some();
    }
    Price {
        excl_vat: cost,
        incl_vat: taxed.then_some(cost + tax),
    }
}
