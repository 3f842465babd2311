use super::args::ChargeArgs;
use super::check::{Usage, combination};
use super::show;
use clap::Parser;

#[derive(Debug, Parser)]
struct Command {
    #[command(flatten)]
    args: ChargeArgs,
}

fn parse(words: &str) -> ChargeArgs {
    Command::try_parse_from(std::iter::once("charge").chain(words.split_whitespace()))
        .unwrap()
        .args
}

#[test]
fn combinations_that_cannot_work_are_explained() {
    for (words, expected) in [
        ("--no-tls", Usage::Iso20WithoutTls),
        ("--no-tls --protocol iso15118-2 --auth pnc", Usage::PncWithoutTls),
        ("--protocol iso15118-2 --energy dc-bpt", Usage::BptInIso2),
        ("--protocol iso15118-2 --discharge", Usage::BptInIso2),
        ("--protocol iso15118-2 --control dynamic", Usage::ControlInIso2),
        ("--energy dc --discharge 1", Usage::DischargeWithoutBpt),
        ("--soc 140", Usage::Range("soc", 0.0, 100.0)),
        ("--target-kwh 0", Usage::Range("target-kwh", 0.001, 1000.0)),
    ] {
        assert_eq!(combination(&parse(words)), Err(expected), "{words}");
    }
}

#[test]
fn combinations_that_work_pass() {
    for words in [
        "",
        "--protocol iso15118-2 --energy ac",
        "--protocol iso15118-2 --energy dc --no-tls",
        "--discharge",
        "--discharge 0.5 --control scheduled --target-kwh 1",
        "--energy dc-bpt --control dynamic --for 60",
    ] {
        assert_eq!(combination(&parse(words)), Ok(()), "{words}");
    }
}

#[test]
fn a_bill_shows_both_directions_and_the_total() {
    let bill = serde_json::json!({
        "id": "GL-1", "currency": "EUR", "total_excl": "0.10", "total_incl": "0.12",
        "ocpi": {"x_gridlatch": {"payable": "0.12", "lines": [
            {"dimension": "ENERGY", "volume": 500_000, "cost": "0.20", "vat": "19"},
            {"dimension": "ENERGY_EXPORT", "volume": 250_000, "cost": "-0.10", "vat": "19"}]}}
    });
    let text = show::bill_lines(&bill).join("\n");
    for expected in [
        "0.500 kWh",
        "energy out (credit)",
        "-0.10",
        "total with tax",
        "0.12 EUR",
    ] {
        assert!(text.contains(expected), "{expected} missing in\n{text}");
    }
}
