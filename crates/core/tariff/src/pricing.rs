//! From periods to a bill.

use std::collections::BTreeMap;

use gridlatch_vocab::Timestamp;
use rust_decimal::Decimal;
use time::UtcOffset;

use crate::bill::{Bill, BillPeriod, Line, LineKind, sum};
use crate::cut::{Piece, cut};
use crate::error::TariffError;
use crate::input::{Activity, ChargingPeriodInput};
use crate::money::{Price, round_payable};
use crate::restriction::Rule;
use crate::tariff::{PriceComponent, Tariff, TariffDimension};

/// Most elements of a tariff, and most components of an element.
const MAX_ELEMENTS: usize = 100;

/// Prices a session; times of day in restrictions are UTC.
///
/// # Errors
/// See [`TariffError`]; nothing is billed then.
pub fn price(tariff: &Tariff, periods: &[ChargingPeriodInput]) -> Result<Bill, TariffError> {
    price_local(tariff, periods, UtcOffset::UTC)
}

/// Prices a session; times of day in restrictions are at the offset of the location when it began.
///
/// # Errors
/// See [`TariffError`]; nothing is billed then.
pub fn price_local(
    tariff: &Tariff,
    periods: &[ChargingPeriodInput],
    offset: UtcOffset,
) -> Result<Bill, TariffError> {
    let rules = check(tariff)?;
    let pieces = cut(periods, &rules, offset)?;
    let mut sheet = Sheet::default();
    for piece in &pieces {
        let applicable = Applicable::find(tariff, &rules, piece, offset);
        sheet.add(piece, &applicable)?;
    }
    sheet.close()?;
    let mut lines = sheet.lines;
    bound(tariff, &mut lines);
    let total = sum(&lines);
    let start = periods.first().ok_or(TariffError::Empty)?.start;
    let end = periods.last().ok_or(TariffError::Empty)?.end;
    Ok(Bill {
        tariff: tariff.id.clone(),
        currency: tariff.currency.clone(),
        start,
        end,
        lines,
        periods: sheet.periods,
        total,
        payable: round_payable(total.gross(), &tariff.currency),
    })
}

fn check(tariff: &Tariff) -> Result<Vec<Rule>, TariffError> {
    let bad = |problem| TariffError::Tariff {
        tariff: tariff.id.clone(),
        problem,
    };
    if tariff.elements.is_empty() || tariff.elements.len() > MAX_ELEMENTS {
        return Err(bad("has no element or more than 100"));
    }
    if tariff.currency.len() != 3 || !tariff.currency.bytes().all(|b| b.is_ascii_uppercase()) {
        return Err(bad("has a currency that is not an ISO 4217 code"));
    }
    let mut rules = Vec::new();
    for element in &tariff.elements {
        if element.price_components.len() > MAX_ELEMENTS {
            return Err(bad("has an element with more than 100 prices"));
        }
        for component in &element.price_components {
            if component.step_size == 0 {
                return Err(bad("has a step_size of 0"));
            }
            if component.dimension == TariffDimension::EnergyExport && component.step_size != 1 {
                return Err(bad("has a step_size on exported energy"));
            }
            if component
                .vat
                .is_some_and(|vat| vat.is_sign_negative() || vat > Decimal::ONE_HUNDRED)
            {
                return Err(bad("has a VAT outside 0 to 100 per cent"));
            }
        }
        rules.push(match &element.restrictions {
            Some(restrictions) => Rule::parse(tariff, restrictions)?,
            None => Rule::default(),
        });
    }
    Ok(rules)
}

/// The price components in force, by dimension; each with the index of its element.
#[derive(Debug, Default, Clone, PartialEq)]
struct Applicable<'a>(BTreeMap<TariffDimension, (usize, &'a PriceComponent)>);

impl<'a> Applicable<'a> {
    fn find(tariff: &'a Tariff, rules: &[Rule], piece: &Piece, offset: UtcOffset) -> Self {
        let mut found = BTreeMap::new();
        for (index, (element, rule)) in tariff.elements.iter().zip(rules).enumerate() {
            if rule.holds(piece, offset) {
                for component in &element.price_components {
                    found.entry(component.dimension).or_insert((index, component));
                }
            }
        }
        Self(found)
    }
}

/// What of each dimension has been used at one price without interruption.
#[derive(Debug)]
struct Open<'a> {
    start: Timestamp,
    element: usize,
    component: &'a PriceComponent,
    volume: u64,
}

/// The bill in the making. Pieces at the same price are added up before anything is rounded, so it does
/// not matter how often the meter was read.
#[derive(Debug, Default)]
struct Sheet<'a> {
    lines: Vec<Line>,
    periods: Vec<BillPeriod>,
    open: BTreeMap<TariffDimension, Open<'a>>,
    prices: Option<Applicable<'a>>,
    totals: BTreeMap<TariffDimension, u64>,
    last: BTreeMap<TariffDimension, (Timestamp, &'a PriceComponent)>,
    flat: bool,
}

impl<'a> Sheet<'a> {
    fn add(&mut self, piece: &Piece, applicable: &Applicable<'a>) -> Result<(), TariffError> {
        self.period(piece, applicable);
        if !self.flat
            && let Some((_, component)) = applicable.0.get(&TariffDimension::Flat)
        {
            self.flat = true;
            let line = (piece.start, TariffDimension::Flat, LineKind::Usage);
            self.lines
                .push(Line::new(line, 1, component.price, component.vat)?);
        }
        let millis = u64::try_from(piece.millis).unwrap_or(0);
        let (time, parked) = match piece.activity {
            Activity::Transfer => (millis, 0),
            Activity::Parked => (0, millis),
        };
        self.use_up(TariffDimension::Energy, piece.imported, piece, applicable)?;
        self.use_up(TariffDimension::EnergyExport, piece.exported, piece, applicable)?;
        self.use_up(TariffDimension::Time, time, piece, applicable)?;
        self.use_up(TariffDimension::ParkingTime, parked, piece, applicable)
    }

    fn use_up(
        &mut self,
        dimension: TariffDimension,
        volume: u64,
        piece: &Piece,
        applicable: &Applicable<'a>,
    ) -> Result<(), TariffError> {
        if volume == 0 {
            return Ok(());
        }
        let Some((element, component)) = applicable.0.get(&dimension).copied() else {
            return self.close_one(dimension);
        };
        if self
            .open
            .get(&dimension)
            .is_some_and(|open| open.element != element || open.component != component)
        {
            self.close_one(dimension)?;
        }
        let start = piece.start;
        let open = self.open.entry(dimension).or_insert(Open {
            start,
            element,
            component,
            volume: 0,
        });
        open.volume = open.volume.checked_add(volume).ok_or(TariffError::OutOfRange)?;
        Ok(())
    }

    fn close_one(&mut self, dimension: TariffDimension) -> Result<(), TariffError> {
        let Some(open) = self.open.remove(&dimension) else {
            return Ok(());
        };
        let line = (open.start, dimension, LineKind::Usage);
        self.lines.push(Line::new(
            line,
            open.volume,
            open.component.price,
            open.component.vat,
        )?);
        let total = self.totals.entry(dimension).or_default();
        *total = total.checked_add(open.volume).ok_or(TariffError::OutOfRange)?;
        self.last.insert(dimension, (open.start, open.component));
        Ok(())
    }

    fn close(&mut self) -> Result<(), TariffError> {
        for dimension in [
            TariffDimension::Energy,
            TariffDimension::EnergyExport,
            TariffDimension::ParkingTime,
            TariffDimension::Time,
        ] {
            self.close_one(dimension)?;
        }
        self.step(TariffDimension::Energy, 1000)?;
        let parked = self.totals.contains_key(&TariffDimension::ParkingTime);
        self.step(
            if parked {
                TariffDimension::ParkingTime
            } else {
                TariffDimension::Time
            },
            1000,
        )?;
        self.lines.sort_by_key(|line| (line.start, line.dimension));
        Ok(())
    }

    /// Rounds a dimension's whole volume up to the step of its last component, at that component's price.
    fn step(&mut self, dimension: TariffDimension, unit: u64) -> Result<(), TariffError> {
        let (Some(total), Some((start, component))) =
            (self.totals.get(&dimension), self.last.get(&dimension))
        else {
            return Ok(());
        };
        let step = u64::from(component.step_size) * unit;
        let missing = total
            .checked_next_multiple_of(step)
            .ok_or(TariffError::OutOfRange)?
            - total;
        // A step of one unit is OCPI's way to say "no steps"; the register's own resolution is billed.
        if missing > 0 && component.step_size > 1 {
            let line = (*start, dimension, LineKind::Step);
            self.lines
                .push(Line::new(line, missing, component.price, component.vat)?);
        }
        Ok(())
    }

    fn period(&mut self, piece: &Piece, applicable: &Applicable<'a>) {
        if self.prices.as_ref() != Some(applicable) || self.periods.is_empty() {
            self.prices = Some(applicable.clone());
            self.periods.push(BillPeriod {
                start: piece.start,
                transfer_millis: 0,
                parked_millis: 0,
                imported: 0,
                exported: 0,
            });
        }
        if let Some(period) = self.periods.last_mut() {
            match piece.activity {
                Activity::Transfer => period.transfer_millis += piece.millis,
                Activity::Parked => period.parked_millis += piece.millis,
            }
            period.imported = period.imported.saturating_add(piece.imported);
            period.exported = period.exported.saturating_add(piece.exported);
        }
    }
}

/// Adds a line where `min_price` or `max_price` changes what the session costs before the export credit.
fn bound(tariff: &Tariff, lines: &mut Vec<Line>) {
    let charged = sum(lines
        .iter()
        .filter(|line| line.dimension != TariffDimension::EnergyExport));
    let adjust = |to: &Price| {
        let gross = to
            .incl_vat
            .unwrap_or_else(|| to.excl_vat + (charged.gross() - charged.excl_vat));
        let cost = to.excl_vat - charged.excl_vat;
        (cost, gross - to.excl_vat - (charged.gross() - charged.excl_vat))
    };
    let too_low = tariff
        .min_price
        .as_ref()
        .filter(|min| charged.excl_vat < min.excl_vat);
    let too_high = tariff
        .max_price
        .as_ref()
        .filter(|max| charged.excl_vat > max.excl_vat);
    let Some(to) = too_high.or(too_low) else { return };
    let (cost, tax) = adjust(to);
    let vat = to.incl_vat.map(|_| Decimal::ZERO);
    let start = lines
        .last()
        .map_or_else(|| Timestamp::from_unix_millis(0), |line| line.start);
    lines.push(Line {
        start,
        dimension: TariffDimension::Flat,
        kind: LineKind::Bound,
        volume: 1,
        unit_price: cost,
        vat,
        cost,
        tax,
    });
}
