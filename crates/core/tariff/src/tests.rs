use gridlatch_vocab::{MilliWattHours, Timestamp};
use proptest::prelude::*;
use rust_decimal::Decimal;

use super::*;

fn dec(text: &str) -> Decimal {
    text.parse().unwrap()
}

/// 2026-11-20T12:00:00Z, a Friday, and so many seconds.
fn at(seconds: i64) -> Timestamp {
    Timestamp::from_unix_millis((1_795_176_000 + seconds) * 1000)
}

fn period(start: i64, end: i64, imported: u64, exported: u64) -> ChargingPeriodInput {
    let activity = if imported + exported > 0 {
        Activity::Transfer
    } else {
        Activity::Parked
    };
    ChargingPeriodInput {
        start: at(start),
        end: at(end),
        imported: MilliWattHours(imported),
        exported: MilliWattHours(exported),
        activity,
    }
}

fn component(dimension: TariffDimension, price: &str, step_size: u32) -> PriceComponent {
    PriceComponent {
        dimension,
        price: dec(price),
        vat: Some(dec("20")),
        step_size,
    }
}

fn tariff(elements: Vec<(Vec<PriceComponent>, Option<Restrictions>)>) -> Tariff {
    let mut tariff = Tariff::simple("T", "EUR", Decimal::ZERO, Decimal::ZERO, None);
    tariff.elements = elements
        .into_iter()
        .map(|(price_components, restrictions)| TariffElement {
            price_components,
            restrictions,
        })
        .collect();
    tariff
}

const KWH: u64 = 1_000_000;

#[test]
fn import_is_charged_and_export_is_credited_each_at_its_own_price() {
    let tariff = Tariff::simple("T", "EUR", dec("0.30"), dec("0.50"), Some(dec("20")));
    let bill = price(
        &tariff,
        &[period(0, 3600, 10 * KWH, 0), period(3600, 7200, 0, 10 * KWH)],
    )
    .unwrap();
    assert_eq!(bill.total.excl_vat, dec("-2"));
    assert_eq!(bill.payable, dec("-2.40"), "the driver is owed money");
    bill.verify().unwrap();
}

#[test]
fn without_an_export_price_discharged_energy_is_neither_charged_nor_credited() {
    let tariff = tariff(vec![(vec![component(TariffDimension::Energy, "0.30", 1)], None)]);
    let bill = price(&tariff, &[period(0, 3600, 10 * KWH, 4 * KWH)]).unwrap();
    assert_eq!(bill.total.excl_vat, dec("3"));
    assert_eq!(bill.exported(), 4 * KWH);
}

#[test]
fn a_falling_register_is_refused_with_a_code() {
    let reading = |seconds, imported, exported| Reading {
        at: at(seconds),
        imported: MilliWattHours(imported),
        exported: MilliWattHours(exported),
        activity: Activity::Transfer,
    };
    for meter in [
        [reading(0, 5, 0), reading(1, 4, 0)],
        [reading(0, 0, 5), reading(1, 9, 4)],
    ] {
        let error = periods(&meter).unwrap_err();
        assert!(matches!(error, TariffError::RegisterFell { .. }));
        assert_eq!(error.code().as_str(), "platform.meter_register_fell");
    }
    let error = periods(&[reading(5, 0, 0), reading(4, 0, 0)]).unwrap_err();
    assert_eq!(error.code().as_str(), "platform.meter_time_backwards");
}

/// OCPI 2.2.1, 11.4.2 PriceComponent: 0.25 per kWh in steps of 500 Wh, and time in steps of 300 s.
#[test]
fn steps_round_the_whole_session_up_once() {
    let tariff = tariff(vec![(
        vec![
            component(TariffDimension::Energy, "0.25", 500),
            component(TariffDimension::Time, "2.00", 300),
        ],
        None,
    )]);
    let bill = price(&tariff, &[period(0, 100, KWH, 0), period(100, 301, 700_000, 0)]).unwrap();
    // 1.7 kWh become 2 kWh; 301 s become 600 s.
    assert_eq!(bill.sum(&[TariffDimension::Energy]).excl_vat, dec("0.5"));
    assert_eq!(bill.sum(&[TariffDimension::Time]).excl_vat, dec("0.3333"));
    bill.verify().unwrap();
}

#[test]
fn only_parking_is_stepped_when_charging_time_is_billed_too() {
    let tariff = tariff(vec![(
        vec![
            component(TariffDimension::Time, "1.20", 300),
            component(TariffDimension::ParkingTime, "6.00", 300),
        ],
        None,
    )]);
    let bill = price(&tariff, &[period(0, 301, KWH, 0), period(301, 602, 0, 0)]).unwrap();
    assert_eq!(bill.sum(&[TariffDimension::Time]).excl_vat, dec("0.1003"));
    assert_eq!(bill.sum(&[TariffDimension::ParkingTime]).excl_vat, dec("1"));
}

#[test]
fn a_flat_fee_is_charged_once() {
    let tariff = tariff(vec![(vec![component(TariffDimension::Flat, "2.50", 1)], None)]);
    let bill = price(&tariff, &[period(0, 100, KWH, 0), period(100, 200, KWH, 0)]).unwrap();
    assert_eq!(bill.total.excl_vat, dec("2.50"));
    assert_eq!(bill.payable, dec("3.00"));
}

#[test]
fn a_period_is_cut_where_the_time_of_day_changes_the_price() {
    let night = Restrictions {
        start_time: Some("22:00".into()),
        end_time: Some("06:00".into()),
        ..Restrictions::default()
    };
    let tariff = tariff(vec![
        (vec![component(TariffDimension::Energy, "0.10", 1)], Some(night)),
        (vec![component(TariffDimension::Energy, "0.30", 1)], None),
    ]);
    // 21:00 to 23:00 at 10 kW: half at each price.
    let bill = price(&tariff, &[period(9 * 3600, 11 * 3600, 20 * KWH, 0)]).unwrap();
    assert_eq!(bill.total.excl_vat, dec("4"));
    assert_eq!(bill.periods.len(), 2);
    // The same hours by the clock of a place two hours east are all night.
    let east = price_local(
        &tariff,
        &[period(9 * 3600, 11 * 3600, 20 * KWH, 0)],
        time::UtcOffset::from_hms(2, 0, 0).unwrap(),
    );
    assert_eq!(east.unwrap().total.excl_vat, dec("2"));
}

#[test]
fn a_period_is_cut_where_energy_duration_or_day_change_the_price() {
    let first = |restrictions| {
        tariff(vec![
            (
                vec![component(TariffDimension::Energy, "1", 1)],
                Some(restrictions),
            ),
            (vec![component(TariffDimension::Energy, "2", 1)], None),
        ])
    };
    let cheap_below = first(Restrictions {
        max_kwh: Some(dec("3")),
        ..Restrictions::default()
    });
    assert_eq!(
        price(&cheap_below, &[period(0, 1000, 10 * KWH, 0)])
            .unwrap()
            .total
            .excl_vat,
        dec("17")
    );
    let cheap_early = first(Restrictions {
        max_duration: Some(250),
        ..Restrictions::default()
    });
    assert_eq!(
        price(&cheap_early, &[period(0, 1000, 10 * KWH, 0)])
            .unwrap()
            .total
            .excl_vat,
        dec("17.5")
    );
    let friday = first(Restrictions {
        day_of_week: vec![DayOfWeek::Friday],
        ..Restrictions::default()
    });
    let over_midnight = [period(11 * 3600, 13 * 3600, 10 * KWH, 0)];
    assert_eq!(price(&friday, &over_midnight).unwrap().total.excl_vat, dec("15"));
    let until = first(Restrictions {
        end_date: Some("2026-11-21".into()),
        ..Restrictions::default()
    });
    assert_eq!(price(&until, &over_midnight).unwrap().total.excl_vat, dec("15"));
    let slow = first(Restrictions {
        max_power: Some(dec("11")),
        ..Restrictions::default()
    });
    assert_eq!(
        price(&slow, &[period(0, 3600, 10 * KWH, 0)])
            .unwrap()
            .total
            .excl_vat,
        dec("10")
    );
    assert_eq!(
        price(&slow, &[period(0, 3600, 11 * KWH, 0)])
            .unwrap()
            .total
            .excl_vat,
        dec("22")
    );
}

#[test]
fn the_price_of_a_session_is_bounded_before_the_export_credit() {
    let mut tariff = Tariff::simple("T", "EUR", dec("1"), dec("1"), Some(dec("10")));
    tariff.max_price = Some(Price {
        excl_vat: dec("5"),
        incl_vat: Some(dec("5.50")),
    });
    let bill = price(&tariff, &[period(0, 3600, 20 * KWH, KWH)]).unwrap();
    assert_eq!((bill.total.excl_vat, bill.payable), (dec("4"), dec("4.40")));
    bill.verify().unwrap();
    tariff.max_price = None;
    tariff.min_price = Some(Price {
        excl_vat: dec("5"),
        incl_vat: None,
    });
    let bill = price(&tariff, &[period(0, 3600, KWH, 0)]).unwrap();
    assert_eq!(bill.total.excl_vat, dec("5"));
}

#[test]
fn tariffs_that_cannot_be_priced_are_refused() {
    let energy = |step| vec![component(TariffDimension::Energy, "1", step)];
    let restricted = |restrictions| tariff(vec![(energy(1), Some(restrictions))]);
    let bad = [
        tariff(vec![]),
        tariff(vec![(energy(0), None)]),
        tariff(vec![(
            vec![component(TariffDimension::EnergyExport, "1", 100)],
            None,
        )]),
        restricted(Restrictions {
            start_time: Some("25:00".into()),
            ..Restrictions::default()
        }),
        restricted(Restrictions {
            start_date: Some("2026-02-30".into()),
            ..Restrictions::default()
        }),
        restricted(Restrictions {
            min_current: Some(Decimal::ONE),
            ..Restrictions::default()
        }),
        Tariff {
            currency: "€".into(),
            ..tariff(vec![(energy(1), None)])
        },
    ];
    for tariff in bad {
        let error = price(&tariff, &[period(0, 1, 1, 0)]).unwrap_err();
        assert_eq!(error.code().as_str(), "platform.tariff_invalid", "{error}");
    }
    let huge = tariff(vec![(
        vec![component(
            TariffDimension::Energy,
            "79228162514264337593543950335",
            1,
        )],
        None,
    )]);
    assert_eq!(
        price(&huge, &[period(0, 1, u64::MAX, 0)]),
        Err(TariffError::OutOfRange)
    );
    assert_eq!(price(&huge, &[]), Err(TariffError::Empty));
    assert!(matches!(
        price(&huge, &[period(0, 10, 1, 0), period(5, 20, 1, 0)]),
        Err(TariffError::TimeRunsBackwards { .. })
    ));
}

#[test]
fn a_cdr_has_the_shape_of_ocpi_and_keeps_every_digit() {
    let tariff = Tariff::simple("T", "EUR", dec("0.333"), dec("0.111"), Some(dec("19")));
    let bill = price(
        &tariff,
        &[period(0, 1000, 1_234_567, 0), period(1000, 2000, 0, 234_567)],
    )
    .unwrap();
    let text = |text: &str| text.to_owned();
    let header = CdrHeader {
        id: text("C1"),
        session_id: None,
        token: CdrToken {
            country_code: text("DE"),
            party_id: text("GLT"),
            uid: text("u"),
            kind: text("OTHER"),
            contract_id: text("c"),
        },
        auth_method: text("AUTH_REQUEST"),
        location: CdrLocation {
            id: text("L"),
            address: text("a"),
            city: text("c"),
            country: text("DEU"),
            coordinates: GeoLocation {
                latitude: text("1.0"),
                longitude: text("2.0"),
            },
            evse_uid: text("1"),
            evse_id: text("DE*GLT*E1"),
            connector_id: text("1"),
            connector_standard: text("IEC_62196_T2_COMBO"),
            connector_format: text("CABLE"),
            connector_power_type: text("DC"),
        },
        meter_id: None,
        signed_data: None,
        meter_proof: MeterProof::Unsigned,
        last_updated: at(3000),
    };
    let cdr = bill.to_cdr(&tariff, header);
    let json = serde_json::to_string(&cdr).unwrap();
    assert!(json.contains(r#""total_energy":1.234567"#), "{json}");
    assert!(
        json.contains(r#""type":"ENERGY_EXPORT","volume":0.234567"#),
        "{json}"
    );
    assert!(
        json.contains(r#""start_date_time":"2026-11-20T12:00:00Z""#),
        "{json}"
    );
    assert_eq!(serde_json::from_str::<Cdr>(&json).unwrap(), cdr);
    assert_eq!(cdr.total_cost.excl_vat, dec("0.4111") - dec("0.0260"));
}

#[test]
fn amounts_are_rounded_to_the_unit_of_the_currency() {
    let yen = Tariff::simple("T", "JPY", dec("0.5"), Decimal::ZERO, None);
    assert_eq!(price(&yen, &[period(0, 1, KWH, 0)]).unwrap().payable, dec("1"));
    let dinar = Tariff::simple("T", "KWD", dec("0.0005"), Decimal::ZERO, None);
    assert_eq!(
        price(&dinar, &[period(0, 1, KWH, 0)]).unwrap().payable,
        dec("0.001")
    );
}

prop_compose! {
    fn sessions()(steps in prop::collection::vec((1i64..4000, 0u64..30 * KWH, 0u64..30 * KWH, any::<bool>()), 1..20))
        -> Vec<ChargingPeriodInput> {
        let mut start = 0;
        steps.into_iter().map(|(length, imported, exported, both)| {
            let period = period(start, start + length, imported, if both { exported } else { 0 });
            start += length;
            period
        }).collect()
    }
}

prop_compose! {
    fn tariffs()(prices in prop::collection::vec(0i64..100_000, 5), split in 1u32..20_000, kwh in 1i64..100, vat in 0i64..30,
        hour in 0u8..24) -> Tariff {
        let part = |dimension, price: i64| PriceComponent {
            dimension, price: Decimal::new(price, 4), vat: Some(vat.into()), step_size: 1,
        };
        tariff(vec![
            (vec![part(TariffDimension::Energy, prices[0])], Some(Restrictions {
                max_kwh: Some(kwh.into()), start_time: Some(format!("{hour:02}:30")), ..Restrictions::default()
            })),
            (vec![part(TariffDimension::Time, prices[1]), part(TariffDimension::EnergyExport, prices[2])],
                Some(Restrictions { max_duration: Some(split), ..Restrictions::default() })),
            (vec![part(TariffDimension::Energy, prices[3]), part(TariffDimension::EnergyExport, prices[4])], None),
        ])
    }
}

proptest! {
    #[test]
    fn lines_add_up_and_energy_is_kept(session in sessions(), tariff in tariffs()) {
        let bill = price(&tariff, &session).unwrap();
        bill.verify().unwrap();
        prop_assert_eq!(bill.imported(), session.iter().map(|p| p.imported.0).sum::<u64>());
        prop_assert_eq!(bill.exported(), session.iter().map(|p| p.exported.0).sum::<u64>());
        let billed = |dimension| bill.lines.iter().filter(|l| l.dimension == dimension).map(|l| l.volume).sum::<u64>();
        prop_assert_eq!(billed(TariffDimension::Energy), bill.imported());
        prop_assert_eq!(billed(TariffDimension::EnergyExport), bill.exported());
    }

    #[test]
    fn reading_the_meter_more_often_does_not_change_an_unrestricted_bill(session in sessions(), cut in 1i64..100) {
        let tariff = Tariff::simple("T", "EUR", dec("0.3917"), dec("0.2113"), Some(dec("19")));
        let finer: Vec<_> = session.iter().flat_map(|p| {
            let middle = Timestamp::from_unix_millis(p.start.unix_millis() + (p.end.unix_millis() - p.start.unix_millis()) * cut / 100);
            let (i, o) = (p.imported.0 * cut as u64 / 100, p.exported.0 * cut as u64 / 100);
            [
                ChargingPeriodInput { end: middle, imported: MilliWattHours(i), exported: MilliWattHours(o), ..*p },
                ChargingPeriodInput {
                    start: middle,
                    imported: MilliWattHours(p.imported.0 - i),
                    exported: MilliWattHours(p.exported.0 - o),
                    ..*p
                },
            ]
        }).collect();
        let (coarse, fine) = (price(&tariff, &session).unwrap(), price(&tariff, &finer).unwrap());
        prop_assert_eq!(coarse.total, fine.total);
        prop_assert_eq!(coarse.lines, fine.lines);
    }
}
