//! The contract key of ISO 15118-20 on its way to a vehicle: ephemeral-static ECDH, a key derivation, and
//! AES-256-GCM over the private key.
//!
//! What public sources quote of the standard fixes the cipher, the sizes, the order of IV, ciphertext and tag
//! ([V2G20-2494] to [V2G20-2502]), the additional data ([V2G20-2492]) and the checks after opening
//! ([V2G20-2507], [V2G20-2678]). They do **not** quote the key derivation (section 7.9.2.5.4): [`Kdf`] names
//! the choice made here, which no foreign implementation has confirmed (`docs/pools.md`).

use openssl::bn::BigNum;
use openssl::derive::Deriver;
use openssl::ec::{EcGroup, EcKey, EcPoint, PointConversionForm};
use openssl::error::ErrorStack;
use openssl::nid::Nid;
use openssl::pkey::{HasPrivate, HasPublic, Id, PKey, PKeyRef, Private, Public};
use openssl::rand::rand_bytes;
use openssl::sha::{Sha256, Sha512};
use openssl::symm::{Cipher, decrypt_aead, encrypt_aead};
use thiserror::Error;

use crate::FileKey;
use crate::file::crypto;
use crate::{KeyAlgorithm, KeyError, Signer as _};

/// Bytes of the initialisation vector.
const IV: usize = 12;
/// Bytes of the authentication tag.
const TAG: usize = 16;
/// Bytes of a secp521r1 scalar, 7 leading zero bits included.
const P521_SCALAR: usize = 66;
/// Bytes of a 448-bit private key.
const X448_SCALAR: usize = 56;

/// How the AES key follows from the shared secret. **Unverified**: a guess by analogy with ISO 15118-2.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Kdf {
    /// One round of the concatenation KDF (NIST SP 800-56C one-step) with SHA-512 over
    /// `00000001 || Z || other`, first 256 bits.
    ConcatSha512 {
        /// `OtherInfo`.
        other: Vec<u8>,
    },
    /// The same with SHA-256.
    ConcatSha256 {
        /// `OtherInfo`.
        other: Vec<u8>,
    },
}

impl Default for Kdf {
    /// SHA-512, and the `OtherInfo` of ISO 15118-2 [V2G2-818]: algorithm 01, sender `U`, receiver `V`.
    fn default() -> Self {
        Self::ConcatSha512 {
            other: vec![0x01, b'U', b'V'],
        }
    }
}

impl Kdf {
    /// The 256-bit key.
    fn derive(&self, shared_secret: &[u8]) -> [u8; 32] {
        let counter = 1_u32.to_be_bytes();
        match self {
            Self::ConcatSha512 { other } => {
                let mut hash = Sha512::new();
                for part in [&counter[..], shared_secret, other] {
                    hash.update(part);
                }
                let digest = hash.finish();
                let mut key = [0; 32];
                key.copy_from_slice(&digest[..32]);
                key
            }
            Self::ConcatSha256 { other } => {
                let mut hash = Sha256::new();
                for part in [&counter[..], shared_secret, other] {
                    hash.update(part);
                }
                hash.finish()
            }
        }
    }
}

/// The additional authenticated data [V2G20-2492]: the PCID in capitals and the subject key identifier of the
/// contract certificate as hexadecimal digits in capitals. With the 8-octet identifiers of ISO 15118-20's
/// profiles that is 18 + 16 bytes; identifiers of another length are written out in full.
#[must_use]
pub fn additional_data(pcid: &str, subject_key_id: &[u8]) -> Vec<u8> {
    let mut data: Vec<u8> = pcid.bytes().map(|byte| byte.to_ascii_uppercase()).collect();
    for byte in subject_key_id {
        data.extend_from_slice(format!("{byte:02X}").as_bytes());
    }
    data
}

/// A delivery that cannot be made or opened.
#[derive(Debug, Error)]
pub enum DeliveryError {
    /// OpenSSL refused.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// The sizes are none of this delivery.
    #[error("{0}")]
    Form(&'static str),
    /// The tag does not fit: another receiver, another vehicle or contract, another key derivation, or altered
    /// on the way.
    #[error("the encrypted key does not open with this key, this vehicle and this certificate")]
    Sealed,
    /// What came out is not the private key of the certificate [V2G20-2507], [V2G20-2678].
    #[error("the delivered key is not the key of the contract certificate")]
    Mismatch,
}

/// A key encrypted for one receiver.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sealed {
    /// IV, ciphertext and tag: 94 bytes for secp521r1, 84 for X448.
    pub encrypted_key: Vec<u8>,
    /// The ephemeral public key: 133 bytes (uncompressed point) or 56.
    pub public_key: Vec<u8>,
}

/// Encrypts the private key of a secp521r1 contract certificate for the key `receiver` (DER
/// SubjectPublicKeyInfo) of a provisioning certificate.
///
/// # Errors
/// One of the keys is not on secp521r1, or OpenSSL refused.
pub fn seal_p521(
    contract: &FileKey,
    receiver: &[u8],
    aad: &[u8],
    kdf: &Kdf,
) -> Result<Sealed, DeliveryError> {
    if contract.algorithm() != KeyAlgorithm::P521 {
        return Err(DeliveryError::Form(
            "a contract key of ISO 15118-20 is on secp521r1",
        ));
    }
    let failed = crypto("encrypt a contract key");
    let receiver = PKey::public_key_from_der(receiver).map_err(&failed)?;
    on_p521(&receiver)?;
    let ephemeral = FileKey::generate(KeyAlgorithm::P521)?;
    let secret = agree(ephemeral.pkey(), &receiver).map_err(&failed)?;
    let public_key = uncompressed(ephemeral.pkey()).map_err(&failed)?;
    Ok(Sealed {
        encrypted_key: encrypt(&kdf.derive(&secret), &contract.scalar()?, aad).map_err(&failed)?,
        public_key,
    })
}

/// Opens what [`seal_p521`] made, with the private key of the provisioning certificate: the contract key, whose
/// public half is `contract` (DER SubjectPublicKeyInfo).
///
/// # Errors
/// It does not open, or is not that key.
pub fn open_p521(
    sealed: &Sealed,
    receiver: &FileKey,
    contract: &[u8],
    aad: &[u8],
    kdf: &Kdf,
) -> Result<FileKey, DeliveryError> {
    let failed = crypto("open a contract key");
    on_p521(receiver.pkey())?;
    let group = EcGroup::from_curve_name(Nid::SECP521R1).map_err(&failed)?;
    let mut context = openssl::bn::BigNumContext::new().map_err(&failed)?;
    let sender = EcPoint::from_bytes(&group, &sealed.public_key, &mut context)
        .and_then(|point| EcKey::from_public_key(&group, &point))
        .and_then(|key| key.check_key().map(|()| key))
        .and_then(PKey::from_ec_key)
        .map_err(|_| DeliveryError::Form("the sender's public key is no point of secp521r1"))?;
    let secret = agree(receiver.pkey(), &sender).map_err(&failed)?;
    let scalar = decrypt(&kdf.derive(&secret), &sealed.encrypted_key, aad, P521_SCALAR)?;
    // [V2G20-2678]: the seven bits that secp521r1 does not have.
    if scalar.first().is_none_or(|first| first & 0xFE != 0) {
        return Err(DeliveryError::Mismatch);
    }
    let key = private(&group, &scalar).map_err(|_| DeliveryError::Mismatch)?;
    let key = FileKey::from_pkey(key)?;
    if key.public_key_der() == contract {
        Ok(key)
    } else {
        Err(DeliveryError::Mismatch)
    }
}

/// Encrypts 56 bytes of a 448-bit private key for an X448 public key (56 bytes). The protocol core's codec
/// takes public keys of 133 bytes only, so this cannot be put into a message yet.
///
/// # Errors
/// A key has another length, or OpenSSL refused.
pub fn seal_x448(contract: &[u8], receiver: &[u8], aad: &[u8], kdf: &Kdf) -> Result<Sealed, DeliveryError> {
    if contract.len() != X448_SCALAR {
        return Err(DeliveryError::Form("a 448-bit private key has 56 bytes"));
    }
    let failed = crypto("encrypt a contract key");
    let receiver = PKey::public_key_from_raw_bytes(receiver, Id::X448)
        .map_err(|_| DeliveryError::Form("an X448 public key has 56 bytes"))?;
    let ephemeral = PKey::generate_x448().map_err(&failed)?;
    let secret = agree(&ephemeral, &receiver).map_err(&failed)?;
    Ok(Sealed {
        encrypted_key: encrypt(&kdf.derive(&secret), contract, aad).map_err(&failed)?,
        public_key: ephemeral.raw_public_key().map_err(&failed)?,
    })
}

/// Opens what [`seal_x448`] made, with an X448 private key (56 bytes). Whether the result belongs to a
/// certificate is the caller's to check.
///
/// # Errors
/// It does not open.
pub fn open_x448(sealed: &Sealed, receiver: &[u8], aad: &[u8], kdf: &Kdf) -> Result<Vec<u8>, DeliveryError> {
    let failed = crypto("open a contract key");
    let receiver = PKey::private_key_from_raw_bytes(receiver, Id::X448)
        .map_err(|_| DeliveryError::Form("an X448 private key has 56 bytes"))?;
    let sender = PKey::public_key_from_raw_bytes(&sealed.public_key, Id::X448)
        .map_err(|_| DeliveryError::Form("an X448 public key has 56 bytes"))?;
    let secret = agree(&receiver, &sender).map_err(&failed)?;
    decrypt(&kdf.derive(&secret), &sealed.encrypted_key, aad, X448_SCALAR)
}

fn on_p521<T: HasPublic>(key: &PKeyRef<T>) -> Result<(), DeliveryError> {
    let curve = key.ec_key().ok().and_then(|key| key.group().curve_name());
    if curve == Some(Nid::SECP521R1) {
        Ok(())
    } else {
        Err(DeliveryError::Form("the receiver's key is not on secp521r1"))
    }
}

fn agree<T: HasPrivate>(own: &PKeyRef<T>, peer: &PKeyRef<Public>) -> Result<Vec<u8>, ErrorStack> {
    let mut deriver = Deriver::new(own)?;
    deriver.set_peer(peer)?;
    deriver.derive_to_vec()
}

fn uncompressed(key: &PKeyRef<Private>) -> Result<Vec<u8>, ErrorStack> {
    let key = key.ec_key()?;
    let mut context = openssl::bn::BigNumContext::new()?;
    key.public_key()
        .to_bytes(key.group(), PointConversionForm::UNCOMPRESSED, &mut context)
}

fn private(group: &EcGroup, scalar: &[u8]) -> Result<PKey<Private>, ErrorStack> {
    let scalar = BigNum::from_slice(scalar)?;
    let mut context = openssl::bn::BigNumContext::new()?;
    let mut point = EcPoint::new(group)?;
    point.mul_generator2(group, &scalar, &mut context)?;
    let key = EcKey::from_private_components(group, &scalar, &point)?;
    key.check_key()?;
    PKey::from_ec_key(key)
}

impl FileKey {
    /// The key with this private scalar, big-endian: what arrives in a vehicle.
    ///
    /// # Errors
    /// The scalar is zero or not below the order of the curve; [`KeyError::Unsupported`] for Ed448.
    pub fn from_scalar(algorithm: KeyAlgorithm, scalar: &[u8]) -> Result<Self, KeyError> {
        let curve = match algorithm {
            KeyAlgorithm::P256 => Nid::X9_62_PRIME256V1,
            KeyAlgorithm::P521 => Nid::SECP521R1,
            KeyAlgorithm::Ed448 => return Err(KeyError::Unsupported),
        };
        let key = EcGroup::from_curve_name(curve)
            .and_then(|group| private(&group, scalar))
            .map_err(crypto("read a private scalar"))?;
        Self::from_pkey(key)
    }
}

fn encrypt(key: &[u8; 32], plain: &[u8], aad: &[u8]) -> Result<Vec<u8>, ErrorStack> {
    let mut iv = [0; IV];
    rand_bytes(&mut iv)?;
    let mut tag = [0; TAG];
    let ciphertext = encrypt_aead(Cipher::aes_256_gcm(), key, Some(&iv), aad, plain, &mut tag)?;
    let mut out = iv.to_vec();
    out.extend_from_slice(&ciphertext);
    out.extend_from_slice(&tag);
    Ok(out)
}

fn decrypt(key: &[u8; 32], sealed: &[u8], aad: &[u8], length: usize) -> Result<Vec<u8>, DeliveryError> {
    if sealed.len() != IV + length + TAG {
        return Err(DeliveryError::Form(
            "the encrypted key has not the length of its field",
        ));
    }
    let (iv, rest) = sealed.split_at(IV);
    let (ciphertext, tag) = rest.split_at(length);
    decrypt_aead(Cipher::aes_256_gcm(), key, Some(iv), aad, ciphertext, tag)
        .map_err(|_| DeliveryError::Sealed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secp521r1_key_arrives_whole_and_only_with_the_right_key_vehicle_and_certificate() {
        let receiver = FileKey::generate(KeyAlgorithm::P521).unwrap();
        let contract = FileKey::generate(KeyAlgorithm::P521).unwrap();
        let aad = additional_data("gldABCDEF12345678", &[0xAB; 8]);
        assert_eq!(aad, b"GLDABCDEF12345678ABABABABABABABAB");
        let kdf = Kdf::default();
        let sealed = seal_p521(&contract, receiver.public_key_der(), &aad, &kdf).unwrap();
        assert_eq!((sealed.encrypted_key.len(), sealed.public_key.len()), (94, 133));
        let open = |sealed: &Sealed, key: &FileKey, certified: &FileKey, aad: &[u8], kdf: &Kdf| {
            open_p521(sealed, key, certified.public_key_der(), aad, kdf)
        };
        let arrived = open(&sealed, &receiver, &contract, &aad, &kdf).unwrap();
        assert_eq!(arrived.scalar().unwrap(), contract.scalar().unwrap());

        let other = FileKey::generate(KeyAlgorithm::P521).unwrap();
        assert!(matches!(
            open(&sealed, &other, &contract, &aad, &kdf),
            Err(DeliveryError::Sealed)
        ));
        assert!(matches!(
            open(&sealed, &receiver, &other, &aad, &kdf),
            Err(DeliveryError::Mismatch)
        ));
        assert!(matches!(
            open(&sealed, &receiver, &contract, b"another", &kdf),
            Err(DeliveryError::Sealed)
        ));
        let another = Kdf::ConcatSha256 {
            other: vec![1, b'U', b'V'],
        };
        assert!(matches!(
            open(&sealed, &receiver, &contract, &aad, &another),
            Err(DeliveryError::Sealed)
        ));
        for at in 0..sealed.encrypted_key.len() {
            let mut altered = sealed.clone();
            altered.encrypted_key[at] ^= 1;
            assert!(matches!(
                open(&altered, &receiver, &contract, &aad, &kdf),
                Err(DeliveryError::Sealed)
            ));
        }
        let mut short = sealed.clone();
        short.encrypted_key.pop();
        assert!(matches!(
            open(&short, &receiver, &contract, &aad, &kdf),
            Err(DeliveryError::Form(_))
        ));
        let mut off_curve = sealed;
        off_curve.public_key[132] ^= 1;
        assert!(matches!(
            open(&off_curve, &receiver, &contract, &aad, &kdf),
            Err(DeliveryError::Form(_))
        ));
        let small = FileKey::generate(KeyAlgorithm::P256).unwrap();
        assert!(matches!(
            seal_p521(&contract, small.public_key_der(), &aad, &kdf),
            Err(DeliveryError::Form(_))
        ));
    }

    #[test]
    fn a_448_bit_key_arrives_whole() {
        let receiver = PKey::generate_x448().unwrap();
        let contract = [0x42; 56];
        let kdf = Kdf::default();
        let sealed = seal_x448(&contract, &receiver.raw_public_key().unwrap(), b"aad", &kdf).unwrap();
        assert_eq!((sealed.encrypted_key.len(), sealed.public_key.len()), (84, 56));
        let own = receiver.raw_private_key().unwrap();
        assert_eq!(open_x448(&sealed, &own, b"aad", &kdf).unwrap(), contract);
        assert!(matches!(
            open_x448(&sealed, &own, b"other", &kdf),
            Err(DeliveryError::Sealed)
        ));
    }
}
