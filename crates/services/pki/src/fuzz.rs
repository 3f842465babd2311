//! The parsers of this crate that read what strangers send, for `fuzz`. Each function panics on a bug only.

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

/// An inventory of trust stores.
pub fn inventory(data: &[u8]) {
    if let Ok(inventory) = rollover::inventory::Inventory::from_json(data)
        && let Ok(read) = inventory.read()
    {
        assert!(read.holders.len() <= inventory.holders.len());
    }
}
