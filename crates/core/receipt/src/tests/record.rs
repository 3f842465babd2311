//! The meter's record, ours and others'.

use gridlatch_trust::RustCrypto;
use gridlatch_vocab::catalogue::bill as codes;
use gridlatch_vocab::{EvseId, MilliWattHours};
use proptest::prelude::*;

use super::world::{Key, at, record};
use crate::bill::Expected;
use crate::ocmf::{Assignment, Ending, Ocmf, Reason, Register, SessionReadings, plain_data};

#[test]
fn a_record_says_both_registers_to_the_last_digit_and_nobody() {
    let meter = Key::new(9);
    let text = record(&meter, 12);
    let record = Ocmf::parse(&text).unwrap();
    record.verify(&meter.spki(), &RustCrypto).unwrap();
    assert_eq!(
        record.energy().unwrap(),
        (MilliWattHours(10_000_000), MilliWattHours(4_000_000))
    );
    let (begin, end) = record.span(Register::Export).unwrap().unwrap();
    assert_eq!((begin.at, begin.reason), (at(0), Reason::Begin));
    assert_eq!((end.at, end.value()), (at(3600), MilliWattHours(5_000_001)));
    assert_eq!(begin.value(), MilliWattHours(1_000_001));
    assert_eq!(record.page, Some(12));
    assert_eq!(record.transaction.as_deref(), Some("session-12"));
    assert!(text.starts_with(r#"OCMF|{"FV":"1.2","GI":"#), "{text}");
    assert!(
        text.contains(r#"{"TM":"2026-11-21T12:00:00,000+0000 I","TX":"B","RV":5.000000,"RI":"1-b:1.8.0","RU":"kWh","ST":"G"}"#),
        "{text}"
    );
    // OCMF's field for who charged is not there.
    assert!(!text.contains(r#""ID":"#), "{text}");
    // What OCPP 2.0.1 and OCPI allow: 2500 characters of base64, 512 of plain data.
    assert!(text.len() * 4 / 3 + 4 < 2500, "{}", text.len());
    let plain = plain_data(record.payload());
    assert!(
        plain.len() <= 512 && plain.starts_with("[{") && plain.ends_with("}]"),
        "{plain}"
    );
    assert!(record.payload().contains(&plain));
}

#[test]
fn the_separator_in_a_name_does_not_break_a_record() {
    let payload = SessionReadings {
        station: &"A|B".parse().unwrap(),
        evse: EvseId(1),
        transaction: &"t".parse().unwrap(),
        page: 1,
        assignment: Assignment::Nobody,
        begin: (at(0), MilliWattHours(0), MilliWattHours(0)),
        end: (at(1), MilliWattHours(1), MilliWattHours(0)),
        ending: Ending::PowerFailure,
    }
    .payload();
    let record = Ocmf::parse(&SessionReadings::record(&payload, &[1])).unwrap();
    assert_eq!(record.gateway.as_deref(), Some("A|B"));
    assert_eq!(record.energy().unwrap().0, MilliWattHours(1));
}

#[test]
fn another_makers_record_is_read_with_what_it_leaves_out() {
    // The shape of the format's own example: one register, two decimals, fields left out where they repeat.
    let text = concat!(
        r#"OCMF|{ "FV": "1.0", "GI": "X", "GS": "808829900001", "PG": "T12345", "MS": "BQ27400330016", "IS": true,"#,
        r#" "IT": "ISO14443", "ID": "1F2D3A4F5506C7", "RD": [{"TM": "2018-07-24T13:22:04,000+0200 S", "TX": "B","#,
        r#" "RV": 2935.61, "RI": "1-b:1.8.0", "RU": "kWh", "RT": "DC", "EF": "", "ST": "G"},"#,
        r#" {"TM": "2018-07-24T13:24:04,000+0200 S", "TX": "C", "RV": 2950.00},"#,
        r#" {"TM": "2018-07-24T13:26:04,000+0200 S", "TX": "E", "RV": 2965.11 } ] }|{ "SD": "3045" }"#
    );
    let record = Ocmf::parse(text).unwrap();
    assert_eq!(
        record.energy().unwrap(),
        (MilliWattHours(29_500_000), MilliWattHours(0))
    );
    assert_eq!(record.readings[0].resolution, MilliWattHours(10_000));
    assert_eq!(record.readings[2].at.to_rfc3339(), "2018-07-24T11:26:04.000Z");
    assert_eq!(record.span(Register::Export).unwrap(), None);
    let expected = Expected {
        station: "S",
        transaction: "T",
        start: record.readings[0].at,
        end: record.readings[2].at,
    };
    expected.check(&record).unwrap();
    let later = Expected {
        start: at(0),
        end: at(60),
        ..expected
    };
    assert_eq!(
        later.check(&record).unwrap_err().code,
        codes::METER_RECORD_FOREIGN
    );
}

#[test]
fn what_a_meter_does_not_stand_behind_is_not_billed() {
    let good = record(&Key::new(9), 1);
    for (from, to) in [
        (r#""ST":"G""#, r#""ST":"M""#),
        (r#""ST":"G"}"#, r#""ST":"G","EF":"E"}"#),
        (r#""TX":"E""#, r#""TX":"C""#),
        (r#""TX":"B""#, r#""TX":"X""#),
        ("15.000000", "4.000000"),
    ] {
        let text = good.replace(from, to);
        assert_ne!(text, good);
        let fault = Ocmf::parse(&text).unwrap().energy().unwrap_err();
        assert_eq!(fault.code, codes::METER_NOT_USABLE, "{to}");
    }
}

#[test]
fn every_malformed_record_is_refused() {
    let good = record(&Key::new(9), 1);
    let cases = [
        String::new(),
        "OCMF".to_owned(),
        "OCMF|{}|{}".to_owned(),
        good.replace("OCMF|", "OCMX|"),
        format!("{good}|x"),
        good.replace("kWh", "J"),
        good.replace("15.000000", "-15.000000"),
        good.replace("15.000000", "1e40"),
        good.replace("\"T1\"", "\"Q1\""),
        good.replace("12:00:00,000", "25:00:00,000"),
        good.replace("ECDSA-secp256r1-SHA256", "ECDSA-secp192k1-SHA256"),
        good.replace("\"SE\":\"hex\"", "\"SE\":\"rot13\""),
        good.replace("\"SD\":\"", "\"SD\":\"zz"),
        good.replace("\"RD\":[", "\"RD\":[],\"XX\":["),
        format!("OCMF|{}|{{}}", " ".repeat(20_000)),
        format!("OCMF|{}|{{}}", "[".repeat(10_000)),
    ];
    for text in cases {
        assert_ne!(text, good);
        let fault = Ocmf::parse(&text).unwrap_err();
        assert_eq!(fault.code, codes::METER_RECORD_MALFORMED, "{text}");
    }
}

#[test]
fn one_changed_octet_anywhere_in_the_payload_breaks_the_signature() {
    let meter = Key::new(9);
    let good = record(&meter, 1);
    let (start, end) = (5, good.rfind('|').unwrap());
    let mut still_read = 0;
    for place in start..end {
        let mut octets = good.clone().into_bytes();
        octets[place] ^= 1;
        let Ok(text) = String::from_utf8(octets) else {
            continue;
        };
        if let Ok(record) = Ocmf::parse(&text) {
            still_read += 1;
            let fault = record.verify(&meter.spki(), &RustCrypto).unwrap_err();
            assert_eq!(fault.code, codes::METER_SIGNATURE_INVALID);
        }
    }
    assert!(still_read > 100, "{still_read}");
}

proptest! {
    #[test]
    fn registers_come_back_as_they_were(imported in 0_u64..1 << 50, exported in 0_u64..1 << 50, more in 0_u64..1 << 40) {
        let payload = SessionReadings {
            station: &"S".parse().unwrap(),
            evse: EvseId(2),
            transaction: &"t".parse().unwrap(),
            page: 3,
            assignment: Assignment::Card,
            begin: (at(0), MilliWattHours(imported), MilliWattHours(exported)),
            end: (at(1), MilliWattHours(imported + more), MilliWattHours(exported + more / 2)),
            ending: Ending::Remote,
        }
        .payload();
        let record = Ocmf::parse(&SessionReadings::record(&payload, &[])).unwrap();
        prop_assert_eq!(record.energy().unwrap(), (MilliWattHours(more), MilliWattHours(more / 2)));
        let (begin, _) = record.span(Register::Import).unwrap().unwrap();
        prop_assert_eq!(begin.value(), MilliWattHours(imported));
    }

    #[test]
    fn any_text_gets_an_answer(text in "OCMF\\|\\{?[ -~]{0,200}") {
        if let Ok(record) = Ocmf::parse(&text) {
            let _ = record.energy();
        }
        let _ = crate::bill::SignedBill::parse(text.as_bytes());
        let _ = crate::jws::Detached::parse(&text);
    }
}
