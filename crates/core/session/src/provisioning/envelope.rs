//! The contract key of ISO 15118-2 on its way: ephemeral-static ECDH on secp256r1, one round of the
//! concatenation KDF with SHA-256, AES-128-CBC without padding [V2G2-814 to -823].

use iso15118::pnc::envelope::{self, KeyAgreement};
use iso15118::pnc::pki::{Certificate, Curve};
use iso15118::pnc::rustcrypto::{Aes128, AgreementKey, Sha2};
use iso15118::pnc::{PncError, envelope::ENVELOPE_LEN, envelope::IV_LEN};

use super::ProvisioningFault;

/// The length of `ContractSignatureEncryptedPrivateKey`, bytes: the IV and the key.
pub const ENVELOPE_ISO2: usize = ENVELOPE_LEN;
/// The length of its initialisation vector, bytes; random, never used twice.
pub const IV_ISO2: usize = IV_LEN;

fn key(error: &PncError) -> ProvisioningFault {
    ProvisioningFault::Key(error.to_string())
}

/// The uncompressed public point of a secp256r1 certificate.
fn point<'a>(certificate: &'a [u8], what: &'static str) -> Result<&'a [u8], ProvisioningFault> {
    let parsed = Certificate::parse(certificate).map_err(|error| ProvisioningFault::Certificate {
        what,
        why: error.to_string(),
    })?;
    if parsed.curve == Curve::P256 {
        Ok(parsed.public_key)
    } else {
        Err(ProvisioningFault::Certificate {
            what,
            why: "its key is not on secp256r1".to_owned(),
        })
    }
}

/// The shared secret of a private scalar (32 bytes) and an uncompressed point (65 bytes): its x coordinate.
///
/// # Errors
/// The scalar or the point is none of the curve.
pub fn agree_p256(scalar: &[u8], peer: &[u8]) -> Result<Vec<u8>, ProvisioningFault> {
    AgreementKey::new(scalar)
        .and_then(|own| own.agree(peer))
        .map_err(|error| key(&error))
}

/// The uncompressed public point (65 bytes) of a private scalar.
///
/// # Errors
/// The scalar is zero or not below the order of the curve.
pub fn public_p256(scalar: &[u8]) -> Result<Vec<u8>, ProvisioningFault> {
    AgreementKey::new(scalar)
        .map(|own| own.public_key())
        .map_err(|error| key(&error))
}

/// The AES key of a shared secret [V2G2-818].
#[must_use]
pub fn session_key_iso2(shared_secret: &[u8]) -> [u8; 16] {
    envelope::session_key(shared_secret, &Sha2)
}

/// Encrypts a contract key for the holder of `receiver` (DER): its provisioning certificate for an
/// installation, its old contract certificate for an update. `ephemeral` is a fresh private scalar and `iv`
/// fresh random bytes; neither may serve twice. Returns the envelope and `DHpublickey`.
///
/// # Errors
/// The receiver's key is not on secp256r1, or a scalar is not below the order of the curve.
pub fn seal_iso2(
    contract_scalar: &[u8],
    receiver: &[u8],
    ephemeral: &[u8],
    iv: &[u8; IV_ISO2],
) -> Result<(Vec<u8>, Vec<u8>), ProvisioningFault> {
    public_p256(contract_scalar)?;
    let receiver = point(receiver, "the receiver's certificate")?;
    let sender = AgreementKey::new(ephemeral).map_err(|error| key(&error))?;
    let envelope = envelope::seal(contract_scalar, receiver, iv, &sender, &Sha2, &Aes128)
        .map_err(|error| key(&error))?;
    Ok((envelope, sender.public_key()))
}

/// A receiver whose key may live elsewhere.
struct Receiver<'a> {
    agree: &'a dyn Fn(&[u8]) -> Option<Vec<u8>>,
}

impl KeyAgreement for Receiver<'_> {
    fn agree(&self, peer_public_key: &[u8]) -> Result<Vec<u8>, PncError> {
        (self.agree)(peer_public_key).ok_or(PncError::Backend("the receiver's key refused to agree"))
    }

    fn public_key_of(&self, scalar: &[u8]) -> Result<Vec<u8>, PncError> {
        AgreementKey::new(scalar).map(|key| key.public_key())
    }
}

/// Opens an envelope: the private scalar (32 bytes) of `contract` (DER). `agree` makes the shared secret of
/// the receiver's key and a point, for instance [`agree_p256`].
///
/// # Errors
/// The envelope cannot be opened, or the key in it is not the certificate's [V2G2-823].
pub fn open_iso2(
    envelope: &[u8],
    dh_public_key: &[u8],
    contract: &[u8],
    agree: &dyn Fn(&[u8]) -> Option<Vec<u8>>,
) -> Result<Vec<u8>, ProvisioningFault> {
    let public = point(contract, "the contract certificate")?;
    envelope::open(
        envelope,
        dh_public_key,
        public,
        &Receiver { agree },
        &Sha2,
        &Aes128,
    )
    .map_err(|error| key(&error))
}
