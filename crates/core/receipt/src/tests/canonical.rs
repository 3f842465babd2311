//! RFC 8785.

use proptest::prelude::*;
use serde_json::Value;

use crate::jcs::{canonical, parse};

fn of(text: &str) -> String {
    String::from_utf8(canonical(&parse(text.as_bytes()).unwrap()).unwrap()).unwrap()
}

#[test]
fn the_examples_of_the_rfc() {
    // Sections 3.2.2 and 3.2.3; of the numbers, those that money can be.
    assert_eq!(
        of(r#"{"numbers":[1E27,4.50,2e-3,0.000000000000000000000000001],"literals":[null,true,false]}"#),
        r#"{"literals":[null,true,false],"numbers":[1e+27,4.5,0.002,1e-27]}"#
    );
    assert_eq!(
        of(
            r#"{"\u20ac":"Euro Sign","\r":"Carriage Return","\ufb33":"Hebrew","1":"One","\ud83d\ude00":"Smile","\u0080":"Control","\u00f6":"o"}"#
        ),
        "{\"\\r\":\"Carriage Return\",\"1\":\"One\",\"\u{80}\":\"Control\",\"\u{f6}\":\"o\",\"\u{20ac}\":\"Euro Sign\",\"\u{1f600}\":\"Smile\",\"\u{fb33}\":\"Hebrew\"}"
    );
    assert_eq!(
        of(r#""\u20ac$\u000F\u000aA'\u0042\u0022\u005c\\\"\/""#),
        "\"\u{20ac}$\\u000f\\nA'B\\\"\\\\\\\\\\\"/\""
    );
}

#[test]
fn money_keeps_its_value_whatever_its_digits() {
    for (written, expected) in [
        ("0.40", "0.4"),
        ("10.00", "10"),
        ("-0.0260", "-0.026"),
        ("0", "0"),
        ("-0.0", "0"),
        ("123456789012.3456", "123456789012.3456"),
        ("9007199254740992", "9007199254740992"),
        ("0.000001", "0.000001"),
        ("0.0000001", "1e-7"),
        ("100000000000000000000", "100000000000000000000"),
        ("1e21", "1e+21"),
    ] {
        assert_eq!(of(written), expected);
    }
}

#[test]
fn a_number_that_a_double_cannot_hold_is_refused() {
    for written in [
        "9007199254740993",
        "0.12345678901234567890",
        "1e400",
        "3.00000000000000000001",
    ] {
        assert!(
            canonical(&serde_json::from_str::<Value>(written).unwrap()).is_err(),
            "{written}"
        );
    }
}

proptest! {
    #[test]
    fn the_canonical_form_is_its_own(whole in -1_000_000_000_i64..1_000_000_000, scale in 0_u32..7, text in ".{0,20}") {
        let number = rust_decimal::Decimal::new(whole, scale);
        let value = serde_json::json!({"b": [number, text], "a": {"c": null}});
        let once = canonical(&value).unwrap();
        let again = canonical(&parse(&once).unwrap()).unwrap();
        prop_assert_eq!(once, again);
    }
}
