//! Personal fields at rest: AES-256-GCM under a key derived from the pseudonym key, bound to the place they are
//! kept in, so that neither a stolen database file nor a swapped row tells or means anything.

use aes_gcm::aead::{Aead as _, KeyInit as _, Payload};
use aes_gcm::{Aes256Gcm, Nonce};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::pseudonym::Pseudonyms;
use crate::{Result, StoreError};

/// Bytes of the nonce in front of the ciphertext; random, far from repeating at the rates of a pool.
const NONCE: usize = 12;

fn cipher(pseudonyms: &Pseudonyms) -> Result<Aes256Gcm> {
    let key = hex::decode(pseudonyms.lookup("sealing-key", "pool")).unwrap_or_default();
    Aes256Gcm::new_from_slice(&key).map_err(|_| StoreError::Corrupt("the sealing key"))
}

/// Encrypts `plain` for `place`, a table and the key of its row.
pub(crate) fn seal(pseudonyms: &Pseudonyms, place: &str, plain: &[u8]) -> Result<String> {
    let mut nonce = [0; NONCE];
    getrandom::fill(&mut nonce).map_err(|_| StoreError::Corrupt("the system's random numbers"))?;
    let payload = Payload {
        msg: plain,
        aad: place.as_bytes(),
    };
    let ciphertext = cipher(pseudonyms)?
        .encrypt(Nonce::from_slice(&nonce), payload)
        .map_err(|_| StoreError::Corrupt("a sealed field"))?;
    let mut out = nonce.to_vec();
    out.extend_from_slice(&ciphertext);
    Ok(STANDARD.encode(out))
}

/// Opens what [`seal`] made for the same place.
pub(crate) fn open(pseudonyms: &Pseudonyms, place: &str, text: &str) -> Result<Vec<u8>> {
    let corrupt = || StoreError::Corrupt("a sealed field");
    let bytes = STANDARD.decode(text).map_err(|_| corrupt())?;
    let (nonce, ciphertext) = bytes.split_at_checked(NONCE).ok_or_else(corrupt)?;
    let payload = Payload {
        msg: ciphertext,
        aad: place.as_bytes(),
    };
    cipher(pseudonyms)?
        .decrypt(Nonce::from_slice(nonce), payload)
        .map_err(|_| corrupt())
}
