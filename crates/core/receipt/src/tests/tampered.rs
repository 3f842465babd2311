//! Each part of a signed bill, changed: found, and named.

use gridlatch_trust::RustCrypto;
use gridlatch_vocab::catalogue::bill as codes;
use gridlatch_vocab::{Code, MilliWattHours};
use serde_json::{Value, json};

use super::world::{Issuing, Key, bill, issuing, record, sealed, signed_data};
use crate::bill::{Report, SignedBill};
use crate::jws;

fn world() -> (Issuing, Key, SignedBill) {
    let (issuing, meter) = (issuing(1), Key::new(9));
    let bill = bill(&issuing, &meter, 1, &record(&meter, 1));
    (issuing, meter, bill)
}

fn check(bill: &SignedBill, issuing: &Issuing) -> Report {
    bill.check(std::slice::from_ref(&issuing.root), &RustCrypto)
        .unwrap()
}

fn codes_of(report: &Report) -> [Option<Code>; 3] {
    [
        report.signer.as_ref().err().map(|fault| fault.code),
        report.meter.as_ref().err().map(|fault| fault.code),
        report.total.as_ref().err().map(|fault| fault.code),
    ]
}

#[test]
fn an_honest_bill_is_proven_in_every_part() {
    let (issuing, _, bill) = world();
    let report = check(&bill, &issuing);
    assert_eq!(codes_of(&report), [None, None, None], "{report:?}");
    let meter = report.meter.unwrap();
    assert_eq!((meter.imported, meter.exported), (10_000_000, 4_000_000));
    assert_eq!((meter.page, meter.serial.as_str()), (Some(1), "GL-DC-1-1"));
    let signer = report.signer.unwrap();
    assert_eq!((signer.name.as_str(), signer.root.as_str()), ("Bills", "Root"));
    assert_eq!(report.payable.0, "3.53".parse().unwrap());
}

#[test]
fn white_space_and_the_order_of_names_do_not_matter() {
    let (issuing, _, bill) = world();
    let pretty = serde_json::to_string_pretty(&bill).unwrap();
    let again = SignedBill::parse(pretty.as_bytes()).unwrap();
    assert_eq!(codes_of(&check(&again, &issuing)), [None, None, None]);
    // A number written otherwise is the same number.
    let same = pretty.replace("0.3973", "0.39730");
    assert_ne!(same, pretty);
    let again = SignedBill::parse(same.as_bytes()).unwrap();
    assert_eq!(codes_of(&check(&again, &issuing)), [None, None, None]);
}

#[test]
fn a_name_that_occurs_twice_is_refused() {
    let (_, _, bill) = world();
    let text = serde_json::to_string(&bill).unwrap();
    let twice = text.replacen(
        "\"currency\":\"EUR\"",
        "\"currency\":\"EUR\",\"currency\":\"JPY\"",
        1,
    );
    assert_ne!(text, twice);
    let fault = SignedBill::parse(twice.as_bytes()).unwrap_err();
    assert_eq!(fault.code, codes::DOCUMENT_MALFORMED);
    assert!(fault.message.contains("twice"), "{fault}");
}

#[test]
fn any_change_of_any_value_breaks_the_bill_signature() {
    let (issuing, _, bill) = world();
    let mut changed = 0;
    for path in paths(&bill.cdr, String::new()) {
        let mut forged = bill.clone();
        let place = forged.cdr.pointer_mut(&path).unwrap();
        *place = match &*place {
            Value::String(text) => Value::String(format!("{text}0")),
            Value::Number(number) => serde_json::from_str(&format!("1{number}").replace("1-", "-1")).unwrap(),
            Value::Bool(value) => Value::Bool(!value),
            _ => continue,
        };
        changed += 1;
        // A changed time may no longer be one: then it is no record at all.
        match forged.check(std::slice::from_ref(&issuing.root), &RustCrypto) {
            Ok(report) => assert_eq!(
                report.signer.unwrap_err().code,
                codes::SIGNATURE_INVALID,
                "{path}"
            ),
            Err(fault) => assert_eq!(fault.code, codes::DOCUMENT_MALFORMED, "{path}"),
        }
    }
    assert!(changed > 60, "{changed} values");
}

fn paths(value: &Value, at: String) -> Vec<String> {
    match value {
        Value::Object(fields) => fields
            .iter()
            .flat_map(|(name, field)| paths(field, format!("{at}/{name}")))
            .collect(),
        Value::Array(items) => items
            .iter()
            .enumerate()
            .flat_map(|(index, item)| paths(item, format!("{at}/{index}")))
            .collect(),
        _ => vec![at],
    }
}

#[test]
fn a_dishonest_issuer_cannot_change_a_reading() {
    let (issuing, meter, honest) = world();
    // The issuer signs whatever it likes; the meter's signature is not its to make.
    let text = record(&meter, 1).replace("15.000000", "25.000000");
    let mut cdr = honest.cdr.clone();
    cdr["signed_data"] = serde_json::to_value(signed_data(&text, &meter.spki())).unwrap();
    let report = check(&sealed(&issuing, cdr), &issuing);
    assert_eq!(
        codes_of(&report),
        [None, Some(codes::METER_SIGNATURE_INVALID), None]
    );

    // With a key of its own, the platform's word on the key no longer fits.
    let other = Key::new(77);
    let mut cdr = honest.cdr;
    cdr["signed_data"] = serde_json::to_value(signed_data(&record(&other, 1), &other.spki())).unwrap();
    let report = check(&sealed(&issuing, cdr), &issuing);
    assert_eq!(codes_of(&report)[1], Some(codes::METER_KEY_UNKNOWN));
}

#[test]
fn a_record_of_another_session_is_found() {
    let (issuing, meter, _) = world();
    let replayed = bill(&issuing, &meter, 2, &record(&meter, 1));
    let report = check(&replayed, &issuing);
    assert_eq!(codes_of(&report), [None, Some(codes::METER_RECORD_FOREIGN), None]);
    assert_eq!(
        report.fault().unwrap().message,
        "the signed readings are of another session"
    );
}

#[test]
fn a_dishonest_issuer_cannot_bill_what_the_meter_did_not_sign() {
    let (issuing, _, honest) = world();
    let forge = |change: &dyn Fn(&mut Value)| {
        let mut cdr = honest.cdr.clone();
        change(&mut cdr);
        let report = check(&sealed(&issuing, cdr), &issuing);
        assert_eq!(codes_of(&report)[..2], [None, None], "{report:?}");
        report.total.unwrap_err()
    };
    type Forgery<'a> = (&'a str, &'a dyn Fn(&mut Value));
    let cases: [Forgery<'_>; 10] = [
        ("the total", &|cdr| cdr["total_cost"]["excl_vat"] = json!(3.9654)),
        ("the payable amount", &|cdr| {
            cdr["x_gridlatch"]["payable"] = json!(13.53);
        }),
        ("the cost of a line", &|cdr| {
            cdr["x_gridlatch"]["lines"][0]["cost"] = json!(4.973);
        }),
        ("the tax of a line", &|cdr| {
            cdr["x_gridlatch"]["lines"][0]["tax"] = json!(1.0);
        }),
        ("the energy in", &|cdr| cdr["total_energy"] = json!(11)),
        ("the energy out", &|cdr| {
            cdr["x_gridlatch"]["total_energy_exported"] = json!(3);
        }),
        ("the energy in", &|cdr| {
            cdr["charging_periods"][0]["dimensions"][0]["volume"] = json!(9);
        }),
        ("the energy cost", &|cdr| {
            cdr["total_energy_cost"]["excl_vat"] = json!(1);
        }),
        ("the price of a line", &|cdr| {
            cdr["tariffs"][0]["elements"][0]["price_components"][0]["price"] = json!(0.29);
        }),
        ("the currency", &|cdr| cdr["currency"] = json!("GBP")),
    ];
    for (what, change) in cases {
        let fault = forge(change);
        assert_eq!(fault.code, codes::TOTAL_DIFFERS, "{what}");
        assert!(
            fault.message.contains(&format!("{what} differs")),
            "{what}: {fault}"
        );
    }
    // Consistent in itself, but not with the meter: one kWh more, priced right.
    let fault = forge(&|cdr| {
        let lines = &mut cdr["x_gridlatch"]["lines"];
        lines[0]["volume"] = json!(11_000_000);
        lines[0]["cost"] = json!(4.3703);
        lines[0]["tax"] = json!(0.8304);
        let export: rust_decimal::Decimal = lines[1]["cost"].to_string().parse().unwrap();
        let export_tax: rust_decimal::Decimal = lines[1]["tax"].to_string().parse().unwrap();
        let excl = "4.3703".parse::<rust_decimal::Decimal>().unwrap() + export;
        let incl = excl + "0.8304".parse::<rust_decimal::Decimal>().unwrap() + export_tax;
        cdr["total_cost"] = json!({"excl_vat": excl, "incl_vat": incl});
        cdr["total_energy_cost"] = json!({"excl_vat": 4.3703, "incl_vat": 5.2007});
        cdr["x_gridlatch"]["payable"] = json!(incl.round_dp(2));
        cdr["total_energy"] = json!(11);
        cdr["charging_periods"][0]["dimensions"][0]["volume"] = json!(11);
    });
    assert!(fault.message.contains("the energy in differs"), "{fault}");
}

#[test]
fn swapped_certificates_and_foreign_roots_are_found() {
    let (ours, meter, honest) = world();
    let foreign = issuing(40);
    // Another root.
    let report = check(&honest, &foreign);
    assert_eq!(report.signer.unwrap_err().code, codes::SIGNER_UNTRUSTED);
    // Signed with a certificate of one's own.
    let theirs = bill(&foreign, &meter, 1, &record(&meter, 1));
    let report = check(&theirs, &ours);
    assert_eq!(codes_of(&report), [Some(codes::SIGNER_UNTRUSTED), None, None]);
    // Our certificate on a signature of theirs.
    let mixed = Issuing {
        root: ours.root.clone(),
        chain: ours.chain.clone(),
        key: foreign.key,
    };
    let report = check(&sealed(&mixed, honest.cdr.clone()), &ours);
    assert_eq!(report.signer.unwrap_err().code, codes::SIGNATURE_INVALID);
    // The signature of another bill of ours.
    let other = bill(&ours, &meter, 2, &record(&meter, 2));
    let report = check(&SignedBill::new(honest.cdr.clone(), other.jws), &ours);
    assert_eq!(report.signer.unwrap_err().code, codes::SIGNATURE_INVALID);
    // A certificate of another kind.
    let server = Issuing {
        chain: vec![ours.root.clone()],
        key: Key::new(1),
        root: ours.root.clone(),
    };
    let report = check(&sealed(&server, honest.cdr), &ours);
    assert_eq!(report.signer.unwrap_err().code, codes::SIGNER_UNTRUSTED);
}

#[test]
fn a_signature_that_is_none_is_refused_with_its_reason() {
    let (issuing, _, honest) = world();
    let (header, signature) = honest.jws.split_once("..").unwrap();
    let none = {
        use base64::Engine as _;
        base64::engine::general_purpose::URL_SAFE_NO_PAD
            .encode(r#"{"alg":"none","iat":0,"x5c":["AA=="],"x5t#S256":""}"#)
    };
    for (jws, reason) in [
        (String::new(), "detached"),
        ("a.b.c".to_owned(), "detached"),
        (format!("{header}..{signature}.x"), "detached"),
        (format!("{none}..{signature}"), "plain ES256"),
        (format!("{header}..{}", &signature[4..]), "64 octets"),
        (format!("{header}..{signature}").repeat(40), "too long"),
    ] {
        let report = check(&SignedBill::new(honest.cdr.clone(), jws), &issuing);
        let fault = report.signer.unwrap_err();
        assert_eq!(fault.code, codes::DOCUMENT_MALFORMED);
        assert!(fault.message.contains(reason), "{reason}: {fault}");
    }
    let refused = jws::sign(&honest.cdr, &issuing.chain, super::world::at(0), &|_| {
        Err("the token was pulled".into())
    });
    assert_eq!(refused.unwrap_err().code(), codes::SIGNING_FAILED);
}

#[test]
fn what_the_platform_could_not_verify_stays_not_verified() {
    let (issuing, _, honest) = world();
    let mut cdr = honest.cdr.clone();
    cdr["x_gridlatch"]["meter_proof"] =
        json!({"state": "not_verified", "code": "bill.meter_key_unknown", "reason": "an unknown key"});
    let report = check(&sealed(&issuing, cdr), &issuing);
    assert_eq!(codes_of(&report), [None, Some(codes::METER_KEY_UNKNOWN), None]);
    // A bill from before readings were signed.
    let mut cdr = honest.cdr;
    cdr["x_gridlatch"].as_object_mut().unwrap().remove("meter_proof");
    let report = check(&sealed(&issuing, cdr), &issuing);
    assert_eq!(codes_of(&report), [None, Some(codes::METER_UNSIGNED), None]);
}

#[test]
fn energy_is_a_number_of_the_meter_not_of_the_bill() {
    let (_, _, honest) = world();
    let cdr: gridlatch_tariff::Cdr = serde_json::from_value(honest.cdr).unwrap();
    assert!(
        cdr.recompute(MilliWattHours(10_000_000), MilliWattHours(4_000_000))
            .is_ok()
    );
    for (imported, exported) in [(10_000_001, 4_000_000), (10_000_000, 3_999_999)] {
        let error = cdr
            .recompute(MilliWattHours(imported), MilliWattHours(exported))
            .unwrap_err();
        assert!(error.to_string().contains("the energy"), "{error}");
    }
}
