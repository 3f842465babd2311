//! The platform's signature over a bill.

use std::sync::Arc;

use gridlatch_keys::KeyError;
use gridlatch_receipt::Fault;
use gridlatch_receipt::jws::{self, Detached, SignError};
use gridlatch_trust::{RustCrypto, certificate};
use gridlatch_vocab::Timestamp;
use serde_json::Value;
use thiserror::Error;

use crate::BillSigner;

/// Why a bill is not signed, and therefore not issued.
#[derive(Debug, Error)]
pub(crate) enum SealError {
    #[error("the key did not sign")]
    Sign(#[from] SignError),
    #[error("the key and the certificate of the bill signer do not belong together")]
    Mismatch(#[from] Fault),
    #[error("the certificate of the bill signer is not valid now")]
    Expired,
    #[error("the signing was broken off")]
    Broken,
}

/// The detached signature over `document`; `None` where nobody signs. It is checked before anybody relies on it: a bill
/// under a wrong signature would be worse than none.
pub(super) async fn seal(
    signer: Option<&BillSigner>,
    document: &Value,
    at: Timestamp,
) -> Result<Option<String>, SealError> {
    let Some(signer) = signer else { return Ok(None) };
    let valid = signer
        .chain
        .iter()
        .filter_map(|der| certificate::summary(der).ok())
        .all(|summary| summary.not_before <= at && at <= summary.not_after);
    if !valid {
        return Err(SealError::Expired);
    }
    let (chain, key, document) = (signer.chain.clone(), Arc::clone(&signer.key), document.clone());
    // A key in hardware may take its time.
    let signed = tokio::task::spawn_blocking(move || {
        let signed = jws::sign(&document, &chain, at, &|message| {
            key.sign(message).map_err(|error: KeyError| error.into())
        })?;
        Detached::parse(&signed)?.verify(&document, &RustCrypto)?;
        Ok::<_, SealError>(signed)
    });
    signed.await.map_err(|_| SealError::Broken)?.map(Some)
}
