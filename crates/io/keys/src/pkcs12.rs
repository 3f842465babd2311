//! PKCS#12 archives (RFC 7292) of others: their certificates.

use openssl::pkcs12::Pkcs12;

use crate::KeyError;
use crate::file::crypto;

/// Whether `der` begins as an archive does: a sequence whose first field is version 3. A certificate begins
/// with another sequence.
#[must_use]
pub fn is_pkcs12(der: &[u8]) -> bool {
    let [0x30, length, rest @ ..] = der else {
        return false;
    };
    let body = match length {
        // One octet of length, or (BER) none that is definite.
        0x00..=0x80 => rest,
        many => rest.get(usize::from(many & 0x7F)..).unwrap_or_default(),
    };
    body.starts_with(&[0x02, 0x01, 0x03])
}

/// The certificates of an archive in DER, the one of its key first. The key is not kept.
///
/// # Errors
/// It is no archive, the passphrase is wrong, or it is encrypted in a way that OpenSSL no longer reads
/// (RC2, as old tools write it).
pub fn pkcs12_certificates(der: &[u8], passphrase: &str) -> Result<Vec<Vec<u8>>, KeyError> {
    let failed = crypto("open the PKCS#12 archive");
    let archive = Pkcs12::from_der(der).and_then(|archive| archive.parse2(passphrase));
    let archive = archive.map_err(&failed)?;
    let others = archive.ca.into_iter().flatten();
    archive
        .cert
        .into_iter()
        .chain(others)
        .map(|certificate| certificate.to_der().map_err(&failed))
        .collect()
}
