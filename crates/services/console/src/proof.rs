//! What signed a bill, checked while the page is made: the page never repeats a verdict that it did not reach itself.

use gridlatch_receipt::bill::{Report, SignedBill, record_of};
use gridlatch_receipt::{Fault, short};
use gridlatch_trust::RustCrypto;
use serde_json::Value;

use crate::format::number;
use crate::model::{Proof, ProofRow};

/// `roots` empty: whoever composed the console checks no bills, and the page says nothing about signatures.
pub(crate) fn of(document: Value, jws: Option<String>, roots: &[Vec<u8>]) -> Proof {
    if roots.is_empty() {
        return Proof::default();
    }
    let record = record_of(&document).is_some();
    let Some(jws) = jws else {
        let code = gridlatch_vocab::catalogue::bill::SIGNATURE_INVALID;
        return Proof {
            rows: vec![ProofRow {
                what: "Bill",
                holds: Err(code),
                says: "It was issued without a signature.".to_owned(),
                fingerprint: None,
            }],
            signed: false,
            record,
        };
    };
    let rows = match SignedBill::new(document, jws).check(roots, &RustCrypto) {
        Ok(report) => rows(&report),
        Err(fault) => vec![failed("Bill", &fault)],
    };
    Proof {
        rows,
        signed: true,
        record,
    }
}

fn rows(report: &Report) -> Vec<ProofRow> {
    let bill = match &report.signer {
        Ok(signer) => ProofRow {
            what: "Bill",
            holds: Ok(()),
            says: format!("Signed by {}, under {}.", signer.name, signer.root),
            fingerprint: Some(("Certificate", short(&signer.certificate))),
        },
        Err(fault) => failed("Bill", fault),
    };
    let readings = match &report.meter {
        Ok(meter) => ProofRow {
            what: "Readings",
            holds: Ok(()),
            says: format!("Signed by the meter {}.", meter.serial),
            fingerprint: Some(("Key", short(&meter.key))),
        },
        Err(fault) => failed("Readings", fault),
    };
    let total = match (&report.total, &report.meter) {
        (Ok(()), Ok(meter)) => ProofRow {
            what: "Total",
            holds: Ok(()),
            says: format!(
                "Follows from the signed readings ({} kWh in, {} kWh out) and the tariff.",
                number(meter.imported as f64 / 1e6, 3),
                number(meter.exported as f64 / 1e6, 3)
            ),
            fingerprint: None,
        },
        (Ok(()), Err(fault)) => ProofRow {
            what: "Total",
            holds: Err(fault.code),
            says: "Follows from the bill's own lines, but what they rest on is not proven.".to_owned(),
            fingerprint: None,
        },
        (Err(fault), _) => failed("Total", fault),
    };
    vec![bill, readings, total]
}

fn failed(what: &'static str, fault: &Fault) -> ProofRow {
    let mut says: String = fault.message.clone();
    says.push('.');
    ProofRow {
        what,
        holds: Err(fault.code),
        says,
        fingerprint: None,
    }
}
