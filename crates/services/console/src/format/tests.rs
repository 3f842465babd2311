use super::*;

#[test]
fn numbers_have_a_true_minus_and_grouped_thousands() {
    assert_eq!(number(0.0, 2), "0.00");
    assert_eq!(number(-0.001, 2), "0.00");
    assert_eq!(number(-11.5, 1), "\u{2212}11.5");
    assert_eq!(number(1_234_567.25, 1), "1\u{202f}234\u{202f}567.2");
}

#[test]
fn money_keeps_at_least_two_decimals() {
    let show = |text: &str| money(text.parse().expect("decimal"), "EUR").into_string();
    assert!(show("1.5").contains("1.50"));
    assert!(show("-0.1234567").contains("\u{2212}0.1235"));
    assert!(show("3").contains("3.00"));
}

#[test]
fn path_segments_cannot_break_out() {
    assert_eq!(encode("a/b?c=<d>"), "a%2Fb%3Fc%3D%3Cd%3E");
}

#[test]
fn durations_read_well() {
    let t = Timestamp::from_unix_millis;
    assert_eq!(duration(t(0), t(12_000)), "12\u{a0}s");
    assert_eq!(duration(t(0), t(245_000)), "4\u{a0}min 05\u{a0}s");
    assert_eq!(duration(t(0), t(3_720_000)), "1\u{a0}h 02\u{a0}min");
    assert_eq!(duration(t(5000), t(0)), "0\u{a0}s");
}
