//! The parsers of this crate that read what strangers send, for `fuzz`. Each function panics on a bug only.

use gridlatch_keys::OpensslVerifier;
use gridlatch_trust::forecast;
use gridlatch_vocab::Timestamp;

use crate::{est, ocsp, pools, rollover};

/// A body of EST: Base64, PEM or DER, and the request in it.
pub fn est_body(data: &[u8]) {
    est::fuzz_body(data);
}

/// The path of an OCSP question by GET.
pub fn ocsp_path(data: &[u8]) {
    if let Ok(path) = core::str::from_utf8(data) {
        ocsp::fuzz_path(path);
    }
}

/// A body sent to the pools: every form of every path, and a form that asks for a token.
pub fn pools_body(data: &[u8]) {
    pools::fuzz_body(data);
}

/// An inventory of trust stores, and what is foretold of it.
pub fn inventory(data: &[u8]) {
    if let Ok(inventory) = rollover::inventory::Inventory::from_json(data)
        && let Ok(read) = inventory.read()
    {
        assert!(read.holders.len() <= inventory.holders.len());
        let (now, until) = (at(0), at(365));
        for broken in forecast::breaks(&read.holders, now, until, &OpensslVerifier) {
            assert!(
                (now..=until).contains(&broken.at),
                "{broken:?} is outside the forecast"
            );
        }
        let _ = forecast::drift(&read.holders);
    }
}

/// A published file: certificates, a revocation list, an OCSP answer or a plan, and what ends in it.
pub fn published(data: &[u8]) {
    if let Ok(ends) = rollover::ends::of_file(data) {
        let _ = ends.up_to(at(365)).len();
    }
}

/// A plan of a rollover; one that is read is written and read as the same.
pub fn rollover_plan(data: &[u8]) {
    if let Ok(plan) = rollover::plan::read(data) {
        let written = rollover::plan::write(&plan);
        let again = written.ok().and_then(|text| rollover::plan::read(&text).ok());
        assert_eq!(again.as_ref(), Some(&plan), "a plan changed on its way");
        let _ = plan.blockers(&[], at(0), &OpensslVerifier);
    }
}

/// So many days after a day that is always the same.
fn at(days: i64) -> Timestamp {
    Timestamp::from_unix_millis(1_800_000_000_000 + days * 86_400_000)
}
