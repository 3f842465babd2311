//! A charge detail record, computed again from what it carries itself.

use gridlatch_vocab::MilliWattHours;
use rust_decimal::Decimal;

use crate::bill::{Bill, Line, LineKind, sum};
use crate::cdr::Cdr;
use crate::cut::kilowatt_hours;
use crate::error::TariffError;
use crate::money::Price;
use crate::tariff::{Tariff, TariffDimension, TariffElement};

impl Cdr {
    /// Recomputes the record: each line from its volume and price, each price from the tariff, each total
    /// from the lines, and the energy billed from the registers (how far import and export advanced).
    ///
    /// When a price held is taken from the record: a meter signs the begin and the end of a session, not the
    /// moment at which a time of day began.
    ///
    /// # Errors
    /// Names what differs.
    pub fn recompute(&self, imported: MilliWattHours, exported: MilliWattHours) -> Result<(), TariffError> {
        let [tariff] = self.tariffs.as_slice() else {
            return differs("the number of tariffs");
        };
        if tariff.currency != self.currency {
            return differs("the currency");
        }
        self.bill(tariff).verify()?;
        let lines = &self.x_gridlatch.lines;
        for line in lines {
            priced(tariff, line)?;
        }
        bounded(tariff, lines)?;
        self.totals(lines)?;
        self.energy(tariff, imported, exported)
    }

    /// The bill inside the record, for [`Bill::verify`].
    fn bill(&self, tariff: &Tariff) -> Bill {
        Bill {
            tariff: tariff.id.clone(),
            currency: self.currency.clone(),
            start: self.start_date_time,
            end: self.end_date_time,
            lines: self.x_gridlatch.lines.clone(),
            periods: Vec::new(),
            total: self.total_cost,
            payable: self.x_gridlatch.payable,
        }
    }

    fn totals(&self, lines: &[Line]) -> Result<(), TariffError> {
        let of = |dimension: TariffDimension| {
            let wanted: Vec<&Line> = lines.iter().filter(|line| line.dimension == dimension).collect();
            (!wanted.is_empty()).then(|| sum(wanted))
        };
        let shown: [(TariffDimension, Option<Price>, &'static str); 4] = [
            (TariffDimension::Flat, self.total_fixed_cost, "the fixed cost"),
            (TariffDimension::Energy, self.total_energy_cost, "the energy cost"),
            (TariffDimension::Time, self.total_time_cost, "the time cost"),
            (
                TariffDimension::ParkingTime,
                self.total_parking_cost,
                "the parking cost",
            ),
        ];
        for (dimension, shown, name) in shown {
            if of(dimension) != shown {
                return differs(name);
            }
        }
        let credit = of(TariffDimension::EnergyExport).unwrap_or_else(|| sum([]));
        if credit != self.x_gridlatch.total_energy_export_cost {
            return differs("the export credit");
        }
        Ok(())
    }

    fn energy(
        &self,
        tariff: &Tariff,
        imported: MilliWattHours,
        exported: MilliWattHours,
    ) -> Result<(), TariffError> {
        let x = &self.x_gridlatch;
        let registers = [
            (
                TariffDimension::Energy,
                imported,
                self.total_energy,
                "the energy in",
            ),
            (
                TariffDimension::EnergyExport,
                exported,
                x.total_energy_exported,
                "the energy out",
            ),
        ];
        for (dimension, register, total, name) in registers {
            let in_periods: Decimal = self
                .charging_periods
                .iter()
                .flat_map(|period| &period.dimensions)
                .filter(|entry| entry.dimension == dimension)
                .map(|entry| entry.volume)
                .sum();
            if kilowatt_hours(register.0) != total || in_periods != total {
                return differs(name);
            }
            let billed = x
                .lines
                .iter()
                .filter(|line| line.dimension == dimension && line.kind == LineKind::Usage)
                .try_fold(0_u64, |sum, line| sum.checked_add(line.volume))
                .ok_or(TariffError::OutOfRange)?;
            // Where some element prices it at any time, every bit of it must be on a line; where prices hold
            // only at times, no more than all of it.
            let always = elements(tariff, dimension).any(|element| element.restrictions.is_none());
            if billed > register.0 || (always && billed != register.0) {
                return differs("the energy on the lines");
            }
        }
        Ok(())
    }
}

fn differs<T>(what: &'static str) -> Result<T, TariffError> {
    Err(TariffError::Recomputed(what))
}

fn elements(tariff: &Tariff, dimension: TariffDimension) -> impl Iterator<Item = &TariffElement> {
    tariff.elements.iter().filter(move |element| {
        element
            .price_components
            .iter()
            .any(|component| component.dimension == dimension)
    })
}

/// The line's price and tax are the tariff's.
fn priced(tariff: &Tariff, line: &Line) -> Result<(), TariffError> {
    let found = tariff
        .elements
        .iter()
        .flat_map(|element| &element.price_components)
        .any(|component| {
            component.dimension == line.dimension
                && component.price == line.unit_price
                && component.vat == line.vat
                // A step adds less than one block: Wh or seconds, a thousand of the line's units each.
                && (line.kind != LineKind::Step || line.volume < u64::from(component.step_size) * 1000)
        });
    if line.kind == LineKind::Bound || found {
        Ok(())
    } else {
        differs("the price of a line")
    }
}

/// An adjustment brings the session, without the credit, to the tariff's least or highest price.
fn bounded(tariff: &Tariff, lines: &[Line]) -> Result<(), TariffError> {
    let adjusted = lines.iter().any(|line| line.kind == LineKind::Bound);
    let charged = sum(lines
        .iter()
        .filter(|line| line.dimension != TariffDimension::EnergyExport));
    let (min, max) = (tariff.min_price.as_ref(), tariff.max_price.as_ref());
    let right = if adjusted {
        min.into_iter()
            .chain(max)
            .any(|bound| bound.excl_vat == charged.excl_vat)
    } else {
        min.is_none_or(|min| charged.excl_vat >= min.excl_vat)
            && max.is_none_or(|max| charged.excl_vat <= max.excl_vat)
    };
    if right {
        Ok(())
    } else {
        differs("the least or highest price")
    }
}
