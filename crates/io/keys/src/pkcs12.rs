//! PKCS#12 archives (RFC 7292) of others: their certificates.

mod rounds;

use openssl::pkcs12::Pkcs12;

use crate::KeyError;
use crate::file::crypto;
use rounds::rounds;

/// An archive in octets.
pub const MAX_PKCS12: usize = 4 * 1024 * 1024;
/// Certificates of one archive.
pub const MAX_PKCS12_CERTIFICATES: usize = 256;
/// How often an archive may ask for its passphrase to be hashed, all of its parts together: whoever made it
/// chose that. Tools write 2,048 to 600,000 for each of three parts; a million take about half a second.
pub const MAX_PKCS12_ROUNDS: u64 = 4_000_000;

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
/// What an archive asks to be hashed inside of an encrypted part is seen only once that part is open: a caller
/// that opens archives of strangers under passphrases of theirs bounds the time too.
///
/// # Errors
/// It is no archive, the passphrase is wrong, it asks for more work or holds more than is read
/// ([`KeyError::Refused`]), or it is encrypted in a way that OpenSSL no longer reads (RC2, as old tools write it).
pub fn pkcs12_certificates(der: &[u8], passphrase: &str) -> Result<Vec<Vec<u8>>, KeyError> {
    if der.len() > MAX_PKCS12 {
        return Err(KeyError::Refused("the PKCS#12 archive is larger than 4 MiB"));
    }
    if rounds(der) > MAX_PKCS12_ROUNDS {
        return Err(KeyError::Refused(
            "the PKCS#12 archive asks for its passphrase to be hashed more than 4,000,000 times",
        ));
    }
    let failed = crypto("open the PKCS#12 archive");
    let archive = Pkcs12::from_der(der).and_then(|archive| archive.parse2(passphrase));
    let archive = archive.map_err(&failed)?;
    let others = archive.ca.into_iter().flatten();
    let found: Vec<_> = archive
        .cert
        .into_iter()
        .chain(others)
        .take(MAX_PKCS12_CERTIFICATES + 1)
        .map(|certificate| certificate.to_der().map_err(&failed))
        .collect::<Result<_, _>>()?;
    if found.len() > MAX_PKCS12_CERTIFICATES {
        return Err(KeyError::Refused(
            "the PKCS#12 archive holds more than 256 certificates",
        ));
    }
    Ok(found)
}
