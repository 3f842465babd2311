use gridlatch_ocpp::v21::UnitOfMeasure;
use gridlatch_vocab::Timestamp;

use super::*;

fn value(
    measurand: Option<MeasurandEnum>,
    number: &str,
    unit: Option<&str>,
    multiplier: Option<i64>,
) -> SampledValue {
    let mut value = SampledValue::new(number.parse().unwrap());
    value.measurand = measurand;
    if unit.is_some() || multiplier.is_some() {
        let mut measure = UnitOfMeasure::new();
        measure.unit = unit.map(str::to_owned);
        measure.multiplier = multiplier;
        value.unit_of_measure = Some(measure);
    }
    value
}

fn read(values: Vec<SampledValue>) -> Sample {
    sample(&MeterValue::new(values, Timestamp::from_unix_millis(0)))
}

#[test]
fn registers_in_any_unit_become_whole_thousandths() {
    let register = |number, unit, multiplier| read(vec![value(None, number, unit, multiplier)]).imported;
    assert_eq!(register("1234.5674", None, None), Some(MilliWattHours(1_234_567)));
    assert_eq!(
        register("1.2345674", Some("kWh"), None),
        Some(MilliWattHours(1_234_567))
    );
    assert_eq!(
        register("12.345674", Some("Wh"), Some(2)),
        Some(MilliWattHours(1_234_567))
    );
    assert_eq!(
        register("1234567.4", Some("Wh"), Some(-3)),
        Some(MilliWattHours(1_234_567))
    );
    assert_eq!(register("-1", None, None), None);
    assert_eq!(register("1", Some("Wh"), Some(i64::MAX)), None);
    assert_eq!(register("79228162514264337593543950335", Some("kWh"), None), None);
}

#[test]
fn discharge_is_negative_power_and_its_own_register() {
    let mut first = value(Some(MeasurandEnum::PowerActiveExport), "2", Some("kW"), None);
    first.phase = Some(PhaseEnum::L1);
    let mut second = first.clone();
    second.phase = Some(PhaseEnum::L2);
    let sample = read(vec![
        first,
        second,
        value(Some(MeasurandEnum::PowerActiveImport), "0", None, None),
        value(
            Some(MeasurandEnum::EnergyActiveExportRegister),
            "5000",
            None,
            None,
        ),
        value(Some(MeasurandEnum::SoC), "61.5", None, None),
        value(Some(MeasurandEnum::PowerActiveSetpoint), "-4000", None, None),
    ]);
    assert_eq!(sample.power, Some(Watts(-4000.0)));
    assert_eq!(sample.exported, Some(MilliWattHours(5_000_000)));
    assert_eq!(sample.imported, None);
    assert_eq!(sample.soc, Some(Percent(61.5)));
    assert_eq!(sample.setpoint, Some(Watts(-4000.0)));
}

#[test]
fn a_register_of_the_vehicle_or_of_one_phase_is_not_the_bill() {
    let mut inlet = value(None, "9999", None, None);
    inlet.location = Some(LocationEnum::Inlet);
    let mut phase = value(None, "333", None, None);
    phase.phase = Some(PhaseEnum::L1);
    assert_eq!(read(vec![inlet, phase]).imported, None);
}
