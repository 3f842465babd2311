//! OCPP's sampled values as readings: units, multipliers, phases, directions; and what the meter signed of them.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use gridlatch_ocpp::v21::{LocationEnum, MeasurandEnum, MeterValue, PhaseEnum, SampledValue};
use gridlatch_receipt::ocmf::Ocmf;
use gridlatch_store::{Sample, SignedReading};
use gridlatch_vocab::{Amps, MilliWattHours, Percent, Volts, Watts};
use rust_decimal::Decimal;
use rust_decimal::prelude::ToPrimitive as _;

/// Readings in the order of their time.
pub(crate) fn samples(values: &[MeterValue]) -> Vec<Sample> {
    let mut samples: Vec<Sample> = values.iter().map(sample).collect();
    samples.sort_by_key(|sample| sample.at);
    samples
}

/// Signed records, in the order they came. What cannot be decoded is kept as it is: it is evidence, too.
pub(crate) fn signed(values: &[MeterValue]) -> Vec<SignedReading> {
    let sampled = values
        .iter()
        .flat_map(|value| value.sampled_value.iter().map(|sample| (value.timestamp, sample)));
    sampled
        .filter_map(|(at, sample)| Some((at, sample.signed_meter_value.as_ref()?)))
        .map(|(at, signed)| {
            let data = STANDARD
                .decode(&signed.signed_meter_data)
                .ok()
                .and_then(|octets| String::from_utf8(octets).ok())
                .unwrap_or_else(|| signed.signed_meter_data.clone());
            let record = Ocmf::parse(&data).ok();
            SignedReading {
                at,
                encoding: signed.encoding_method.clone(),
                public_key: signed.public_key.as_deref().and_then(public_key).map(hex::encode),
                page: record
                    .and_then(|record| record.page)
                    .and_then(|page| i64::try_from(page).ok()),
                data,
            }
        })
        .collect()
}

/// A public key as stations write it: base64 of `oca:base16:asn1:HEX` (OCA's application note), of bare hexadecimal
/// (its example), or of the DER.
fn public_key(text: &str) -> Option<Vec<u8>> {
    let octets = STANDARD.decode(text.trim()).ok()?;
    let Ok(inner) = core::str::from_utf8(&octets) else {
        return Some(octets);
    };
    let digits = inner.strip_prefix("oca:base16:asn1:").unwrap_or(inner);
    let digits: String = digits.chars().filter(char::is_ascii_hexdigit).collect();
    hex::decode(digits).ok().filter(|key| !key.is_empty())
}

fn sample(value: &MeterValue) -> Sample {
    let all = &value.sampled_value;
    let mut sample = Sample::empty(value.timestamp);
    sample.imported = register(all, MeasurandEnum::EnergyActiveImportRegister);
    sample.exported = register(all, MeasurandEnum::EnergyActiveExportRegister);
    sample.power = direction(
        all,
        MeasurandEnum::PowerActiveImport,
        MeasurandEnum::PowerActiveExport,
        total,
    )
    .map(Watts);
    sample.current = direction(
        all,
        MeasurandEnum::CurrentImport,
        MeasurandEnum::CurrentExport,
        largest,
    )
    .map(Amps);
    sample.voltage = largest(all, MeasurandEnum::Voltage).map(Volts);
    sample.soc = largest(all, MeasurandEnum::SoC).map(Percent);
    sample.setpoint = total(all, MeasurandEnum::PowerActiveSetpoint).map(Watts);
    sample
}

/// A sampled value without measurand is the import register (the schema's default).
fn measurand(value: &SampledValue) -> MeasurandEnum {
    value
        .measurand
        .unwrap_or(MeasurandEnum::EnergyActiveImportRegister)
}

/// The measured value in the base unit: Wh, W, A, V, percent.
fn base(value: &SampledValue) -> Option<Decimal> {
    let mut amount = value.value;
    if let Some(unit) = &value.unit_of_measure {
        // A multiplier beyond this is not a meter's.
        let exponent = unit.multiplier.unwrap_or(0);
        if !(-9..=9).contains(&exponent) {
            return None;
        }
        let factor = Decimal::from(10_i64.pow(u32::try_from(exponent.unsigned_abs()).ok()?));
        amount = if exponent < 0 {
            amount.checked_div(factor)?
        } else {
            amount.checked_mul(factor)?
        };
        if unit
            .unit
            .as_deref()
            .is_some_and(|unit| matches!(unit, "kWh" | "kW"))
        {
            amount = amount.checked_mul(Decimal::from(1000))?;
        }
    }
    Some(amount)
}

/// A register at the outlet, over all phases. A negative register is none.
fn register(all: &[SampledValue], wanted: MeasurandEnum) -> Option<MilliWattHours> {
    let whole = all.iter().find(|value| {
        measurand(value) == wanted
            && value.phase.is_none()
            && matches!(value.location, None | Some(LocationEnum::Outlet))
    })?;
    let milli = base(whole)?.checked_mul(Decimal::from(1000))?;
    milli.round().to_u64().map(MilliWattHours)
}

/// Import minus export; either may be missing, not both.
fn direction(
    all: &[SampledValue],
    import: MeasurandEnum,
    export: MeasurandEnum,
    read: fn(&[SampledValue], MeasurandEnum) -> Option<f64>,
) -> Option<f64> {
    match (read(all, import), read(all, export)) {
        (None, None) => None,
        (import, export) => Some(import.unwrap_or(0.0) - export.unwrap_or(0.0)),
    }
}

/// The value over all phases, or the sum of the phases.
fn total(all: &[SampledValue], wanted: MeasurandEnum) -> Option<f64> {
    let values = || all.iter().filter(move |value| measurand(value) == wanted);
    if let Some(whole) = values().find(|value| value.phase.is_none()) {
        return base(whole)?.to_f64();
    }
    let mut sum = None;
    for value in values().filter(|value| !matches!(value.phase, Some(PhaseEnum::N))) {
        sum = Some(sum.unwrap_or(0.0) + base(value)?.to_f64()?);
    }
    sum
}

/// The value over all phases, or the largest of the phases.
fn largest(all: &[SampledValue], wanted: MeasurandEnum) -> Option<f64> {
    let values = || all.iter().filter(move |value| measurand(value) == wanted);
    if let Some(whole) = values().find(|value| value.phase.is_none()) {
        return base(whole)?.to_f64();
    }
    values()
        .filter_map(|value| base(value)?.to_f64())
        .reduce(f64::max)
}

#[cfg(test)]
mod tests;
