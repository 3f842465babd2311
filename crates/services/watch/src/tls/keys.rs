//! Key derivation: the TLS 1.2 PRF (RFC 5246 clause 5) and HKDF-Expand-Label (RFC 8446 clause 7.1).

use openssl::error::ErrorStack;
use openssl::hash::MessageDigest;
use openssl::pkey::PKey;
use openssl::sign::Signer;

/// HMAC over the concatenation of `parts`.
pub(super) fn hmac(digest: MessageDigest, key: &[u8], parts: &[&[u8]]) -> Result<Vec<u8>, ErrorStack> {
    let key = PKey::hmac(key)?;
    let mut signer = Signer::new(digest, &key)?;
    for part in parts {
        signer.update(part)?;
    }
    signer.sign_to_vec()
}

/// The TLS 1.2 PRF: `length` bytes from a secret.
pub(super) fn prf(
    digest: MessageDigest,
    secret: &[u8],
    label: &[u8],
    seed: &[u8],
    length: usize,
) -> Result<Vec<u8>, ErrorStack> {
    let mut output = Vec::with_capacity(length + 64);
    let mut a = hmac(digest, secret, &[label, seed])?;
    while output.len() < length {
        output.extend(hmac(digest, secret, &[&a, label, seed])?);
        a = hmac(digest, secret, &[&a])?;
    }
    output.truncate(length);
    Ok(output)
}

/// HKDF-Expand-Label with an empty context.
pub(super) fn expand_label(
    digest: MessageDigest,
    secret: &[u8],
    label: &str,
    length: usize,
) -> Result<Vec<u8>, ErrorStack> {
    let mut info = (length as u16).to_be_bytes().to_vec();
    info.push((6 + label.len()) as u8);
    info.extend(b"tls13 ");
    info.extend(label.as_bytes());
    info.push(0);
    let mut output = Vec::with_capacity(length + 64);
    let mut block = Vec::new();
    let mut counter = 1u8;
    while output.len() < length {
        block = hmac(digest, secret, &[&block, &info, &[counter]])?;
        output.extend(&block);
        counter += 1;
    }
    output.truncate(length);
    Ok(output)
}
