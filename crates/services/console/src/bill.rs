//! A bill out of a charge detail record.
//!
//! The record is OCPI 2.2.1 with the extension `x_gridlatch`: OCPI has no word for energy that flows back, the
//! extension holds every line of the bill. A record without it (from elsewhere) is shown by OCPI's totals.

use std::collections::BTreeMap;

use gridlatch_vocab::Timestamp;
use rust_decimal::Decimal;
use serde::Deserialize;
use serde_json::Value;

use crate::format::number;
use crate::model::{Bill, BillLine, Proof};

/// The most lines a page shows.
const LINES: usize = 500;

/// One line as the record holds it.
#[derive(Deserialize)]
struct Line {
    start: Timestamp,
    dimension: String,
    kind: String,
    /// Milliwatt hours, milliseconds, or 1 for a flat fee.
    volume: u64,
    unit_price: Decimal,
    vat: Option<Decimal>,
    cost: Decimal,
    tax: Decimal,
}

pub(crate) fn of(document: &Value, currency: &str, net: Decimal, total: Decimal) -> Bill {
    let extension = document.get("x_gridlatch");
    let found = extension
        .and_then(|extension| extension.get("lines"))
        .and_then(|lines| Vec::<Line>::deserialize(lines).ok())
        .unwrap_or_default();
    let payable = extension.and_then(|extension| decimal(extension.get("payable")?));
    let mut taxes: BTreeMap<Decimal, Decimal> = BTreeMap::new();
    for line in &found {
        if let Some(percent) = line.vat {
            let sum = taxes.entry(percent.normalize()).or_default();
            *sum = sum.checked_add(line.tax).unwrap_or(*sum);
        }
    }
    let mut taxes: Vec<(String, Decimal)> = taxes
        .into_iter()
        .map(|(percent, amount)| (format!("VAT {percent}\u{a0}%"), amount))
        .collect();
    if found.is_empty() && total != net {
        taxes.push(("Taxes".to_owned(), total - net));
    }
    let lines = if found.is_empty() {
        ocpi_lines(document)
    } else {
        found.iter().take(LINES).map(|line| shown(line, &found)).collect()
    };
    Bill {
        currency: currency.to_owned(),
        lines,
        net,
        taxes,
        total: payable.unwrap_or(total),
        cdr_href: String::new(),
        issued: None,
        proof: Proof::default(),
    }
}

fn shown(line: &Line, all: &[Line]) -> BillLine {
    let (name, divisor, unit, digits) = match line.dimension.as_str() {
        "ENERGY" => ("Energy into the vehicle", 1e6, "kWh", 3),
        "ENERGY_EXPORT" => ("Credit for energy back to the grid", 1e6, "kWh", 3),
        "TIME" => ("Time charging", 3.6e6, "h", 3),
        "PARKING_TIME" => ("Time parked", 3.6e6, "h", 3),
        _ => ("Fixed fee", 1.0, "", 0),
    };
    let what = match line.kind.as_str() {
        "step" => format!("{name}, rounded up to the next step"),
        "bound" => "Adjustment to the least or highest price".to_owned(),
        _ => name.to_owned(),
    };
    let counted = line.kind != "bound" && !unit.is_empty();
    // Prices of credits are kept positive; the line reads as quantity times price when the sign is on it.
    let price = if line.cost.is_sign_negative() && !line.cost.is_zero() {
        -line.unit_price.abs()
    } else {
        line.unit_price
    };
    let repeated = all
        .iter()
        .filter(|other| other.dimension == line.dimension)
        .count()
        > 1;
    BillLine {
        what,
        from: (repeated && counted).then_some(line.start),
        quantity: if counted {
            number(line.volume as f64 / divisor, digits)
        } else {
            String::new()
        },
        unit: unit.to_owned(),
        price: counted.then_some(price),
        amount: line.cost,
    }
}

/// OCPI's own split of the total.
fn ocpi_lines(document: &Value) -> Vec<BillLine> {
    const PARTS: [(&str, &str, &str, &str); 5] = [
        ("Energy", "total_energy_cost", "total_energy", "kWh"),
        ("Time", "total_time_cost", "total_time", "h"),
        ("Parking", "total_parking_cost", "total_parking_time", "h"),
        ("Fixed fees", "total_fixed_cost", "", ""),
        ("Reservation", "total_reservation_cost", "", ""),
    ];
    PARTS
        .iter()
        .filter_map(|(what, cost, volume, unit)| {
            let amount = decimal(document.get(*cost)?.get("excl_vat")?)?;
            let quantity = document.get(*volume).and_then(decimal);
            Some(BillLine {
                what: (*what).to_owned(),
                from: None,
                unit: (*unit).to_owned(),
                quantity: quantity.map_or_else(String::new, |q| q.to_string()),
                price: None,
                amount,
            })
        })
        .collect()
}

/// A decimal out of a text or a number.
fn decimal(value: &Value) -> Option<Decimal> {
    match value {
        Value::String(text) => text.parse().ok(),
        Value::Number(number) => number.to_string().parse().ok(),
        _ => None,
    }
}
