//! Evidence as strangers hand it in: meter records, detached signatures, signed bills.

use gridlatch_receipt::bill::SignedBill;
use gridlatch_receipt::jcs;
use gridlatch_receipt::jws::Detached;
use gridlatch_receipt::ocmf::{Ocmf, plain_data};
use gridlatch_trust::RustCrypto;

/// One input as each of the three.
pub(crate) fn receipt(data: &[u8]) {
    if let Ok(text) = core::str::from_utf8(data) {
        if let Ok(record) = Ocmf::parse(text) {
            assert!(
                text.contains(record.payload()),
                "what is verified is not what came"
            );
            let _ = (record.energy(), record.verify(&[], &RustCrypto));
        }
        assert!(plain_data(text).chars().count() <= 512);
        let _ = Detached::parse(text);
    }
    if let Ok(value) = jcs::parse(data)
        && let Ok(canonical) = jcs::canonical(&value)
    {
        let again = jcs::parse(&canonical).map(|value| jcs::canonical(&value));
        assert!(
            again.is_ok_and(|again| again.is_ok_and(|again| again == canonical)),
            "the canonical form has another canonical form"
        );
    }
    if let Ok(bill) = SignedBill::parse(data)
        && let Ok(report) = bill.check(&[], &RustCrypto)
    {
        assert!(report.signer.is_err(), "a bill was believed without a root");
    }
}
