//! Between the shapes tokens use for curves, points and signatures, and the DER everybody else uses.

use gridlatch_trust::KeyAlgorithm;
use openssl::bn::{BigNum, BigNumContext};
use openssl::ec::{Asn1Flag, EcGroup, EcKey, EcPoint};
use openssl::ecdsa::EcdsaSig;
use openssl::error::ErrorStack;
use openssl::hash::{MessageDigest, hash};
use openssl::nid::Nid;
use openssl::pkey::PKey;

use crate::KeyError;
use crate::file::crypto;

/// The octets of a coordinate; nothing for Ed448, which is no curve of this kind.
pub(crate) const fn size(algorithm: KeyAlgorithm) -> Option<usize> {
    match algorithm {
        KeyAlgorithm::P256 => Some(32),
        KeyAlgorithm::P521 => Some(66),
        KeyAlgorithm::Ed448 => None,
    }
}

/// `CKA_EC_PARAMS`: the curve's object identifier in DER.
pub(crate) const fn parameters(algorithm: KeyAlgorithm) -> Option<&'static [u8]> {
    match algorithm {
        KeyAlgorithm::P256 => Some(&[6, 8, 0x2A, 0x86, 0x48, 0xCE, 0x3D, 3, 1, 7]),
        KeyAlgorithm::P521 => Some(&[6, 5, 0x2B, 0x81, 4, 0, 0x23]),
        KeyAlgorithm::Ed448 => None,
    }
}

/// The curve that `CKA_EC_PARAMS` names, if it is one of ours.
pub(crate) fn algorithm_of(parameters_der: &[u8]) -> Option<KeyAlgorithm> {
    KeyAlgorithm::ALL
        .into_iter()
        .find(|algorithm| parameters(*algorithm) == Some(parameters_der))
}

fn group(algorithm: KeyAlgorithm) -> Result<EcGroup, ErrorStack> {
    let mut group = EcGroup::from_curve_name(match algorithm {
        KeyAlgorithm::P256 => Nid::X9_62_PRIME256V1,
        _ => Nid::SECP521R1,
    })?;
    group.set_asn1_flag(Asn1Flag::NAMED_CURVE);
    Ok(group)
}

/// DER SubjectPublicKeyInfo of an uncompressed point (`04 X Y`), which must lie on the curve.
pub(crate) fn spki(algorithm: KeyAlgorithm, point: &[u8]) -> Result<Vec<u8>, KeyError> {
    let failed = crypto("read a token's public key");
    let group = group(algorithm).map_err(&failed)?;
    let mut context = BigNumContext::new().map_err(&failed)?;
    EcPoint::from_bytes(&group, point, &mut context)
        .and_then(|point| EcKey::from_public_key(&group, &point))
        .and_then(|key| {
            key.check_key()?;
            PKey::from_ec_key(key)?.public_key_to_der()
        })
        .map_err(&failed)
}

/// The uncompressed point (`04 X Y`) of a DER SubjectPublicKeyInfo.
pub(crate) fn point(spki: &[u8]) -> Result<Vec<u8>, KeyError> {
    let failed = crypto("encode a public point");
    let key = EcKey::public_key_from_der(spki).map_err(&failed)?;
    let mut context = BigNumContext::new().map_err(&failed)?;
    key.public_key()
        .to_bytes(
            key.group(),
            openssl::ec::PointConversionForm::UNCOMPRESSED,
            &mut context,
        )
        .map_err(&failed)
}

/// The digest that belongs to a curve.
pub(crate) fn digest(algorithm: KeyAlgorithm, message: &[u8]) -> Result<Vec<u8>, KeyError> {
    let kind = match algorithm {
        KeyAlgorithm::P256 => MessageDigest::sha256(),
        KeyAlgorithm::P521 => MessageDigest::sha512(),
        KeyAlgorithm::Ed448 => return Err(KeyError::Unsupported),
    };
    hash(kind, message)
        .map(|digest| digest.to_vec())
        .map_err(crypto("hash a message"))
}

/// The part of a digest that a curve signs: as many octets as its order has, from the left.
pub(crate) fn cut(algorithm: KeyAlgorithm, digest: &[u8]) -> &[u8] {
    let most = size(algorithm).unwrap_or(0);
    digest.get(..most).unwrap_or(digest)
}

/// DER `ECDSA-Sig-Value` of `r` and `s`, big-endian of any length.
pub(crate) fn signature(r: &[u8], s: &[u8]) -> Result<Vec<u8>, KeyError> {
    BigNum::from_slice(r)
        .and_then(|r| EcdsaSig::from_private_components(r, BigNum::from_slice(s)?)?.to_der())
        .map_err(crypto("encode a signature"))
}

/// Whether `signature` over `digest` was made by `spki`.
pub(crate) fn verifies(spki: &[u8], digest: &[u8], signature: &[u8]) -> bool {
    EcKey::public_key_from_der(spki)
        .and_then(|key| EcdsaSig::from_der(signature)?.verify(digest, &key))
        .unwrap_or(false)
}
