//! A key in a TPM, as a [`Signer`].

use std::fmt;
use std::sync::{Arc, Mutex};

use gridlatch_trust::KeyAlgorithm;
use gridlatch_vocab::catalogue::key;
use tss_esapi::Context;
use tss_esapi::constants::tss::{TPM2_RH_NULL, TPM2_ST_HASHCHECK};
use tss_esapi::handles::KeyHandle;
use tss_esapi::interface_types::algorithm::HashingAlgorithm;
use tss_esapi::interface_types::ecc::EccCurve;
use tss_esapi::interface_types::session_handles::AuthSession;
use tss_esapi::structures::{Digest, HashScheme, HashcheckTicket, Public, Signature, SignatureScheme};
use tss_esapi::tss2_esys::TPMT_TK_HASHCHECK;

use super::device::{Device, Fault, hardware, locked, object};
use crate::pin::PinSource;
use crate::quiet::Quiet;
use crate::uri::TpmUri;
use crate::{KeyError, Signer, ec};

/// A P-256 or P-521 key that its TPM keeps.
pub(crate) struct TpmKey {
    name: String,
    number: u32,
    pin: PinSource,
    device: Arc<Device>,
    algorithm: KeyAlgorithm,
    spki: Vec<u8>,
    /// The connection's name for the key, and which connection that was.
    handle: Mutex<Option<(u64, KeyHandle)>>,
}

impl TpmKey {
    /// Finds the key in its TPM and makes sure that it signs.
    pub(crate) fn open(uri: &TpmUri, pin: &PinSource) -> Result<Self, KeyError> {
        let name = uri.to_string();
        let number = uri.handle.ok_or_else(|| {
            hardware(
                key::INVALID_URI,
                &name,
                "it names a TPM but no key: write tpm:0x81010002".into(),
            )
        })?;
        let device = Device::of(&uri.tcti);
        let (algorithm, spki) = device.with(&name, |context, _| {
            let handle = object(context, number)?;
            let (public, ..) = context.execute_without_session(|context| context.read_public(handle))?;
            Ok(readable(&public, &name)?)
        })?;
        let this = Self {
            name,
            number,
            pin: pin.clone(),
            device,
            algorithm,
            spki,
            handle: Mutex::new(None),
        };
        this.sign(b"gridlatch: does this key match its public half?")?;
        Ok(this)
    }

    /// The key on this connection; on a new one it must still be the same key.
    fn known(&self, context: &mut Context, epoch: u64) -> Result<KeyHandle, Fault> {
        if let Some((at, handle)) = *locked(&self.handle)
            && at == epoch
        {
            return Ok(handle);
        }
        let handle = object(context, self.number)?;
        let (public, ..) = context.execute_without_session(|context| context.read_public(handle))?;
        if readable(&public, &self.name)?.1 != self.spki {
            return Err(hardware(
                key::MISMATCH,
                &self.name,
                "the TPM came back with another key at this handle".into(),
            )
            .into());
        }
        *locked(&self.handle) = Some((epoch, handle));
        Ok(handle)
    }
}

impl Signer for TpmKey {
    fn algorithm(&self) -> KeyAlgorithm {
        self.algorithm
    }

    fn public_key_der(&self) -> &[u8] {
        &self.spki
    }

    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, KeyError> {
        self.sign_digest(&ec::digest(self.algorithm, message)?)
    }

    fn sign_digest(&self, digest: &[u8]) -> Result<Vec<u8>, KeyError> {
        let _quiet = Quiet;
        let digest = ec::cut(self.algorithm, digest);
        // A TPM wants to know the hash; what counts for the signature are the octets.
        let hash = match digest.len() {
            32 => HashingAlgorithm::Sha256,
            48 => HashingAlgorithm::Sha384,
            64 => HashingAlgorithm::Sha512,
            other => {
                return Err(hardware(
                    key::UNSUPPORTED,
                    &self.name,
                    format!("a TPM does not sign digests of {other} octets"),
                ));
            }
        };
        let auth = self.device.auth(self.number, &self.pin, &self.name)?;
        let signed = self.device.with(&self.name, |context, epoch| {
            let handle = self.known(context, epoch)?;
            if let Some(auth) = &auth {
                context.tr_set_auth(handle.into(), auth.clone())?;
            }
            // "Not hashed by this TPM", which an unrestricted key does not mind.
            let ticket = HashcheckTicket::try_from(TPMT_TK_HASHCHECK {
                tag: TPM2_ST_HASHCHECK,
                hierarchy: TPM2_RH_NULL,
                digest: Default::default(),
            })?;
            let scheme = SignatureScheme::EcDsa {
                hash_scheme: HashScheme::new(hash),
            };
            let digest = Digest::try_from(digest)?;
            let signature = context.execute_with_session(Some(AuthSession::Password), |context| {
                context.sign(handle, digest, scheme, ticket)
            })?;
            match signature {
                Signature::EcDsa(signature) => Ok(ec::signature(
                    signature.signature_r().value(),
                    signature.signature_s().value(),
                )?),
                _ => Err(hardware(
                    key::UNSUPPORTED,
                    &self.name,
                    "it made a signature that is no ECDSA".into(),
                )
                .into()),
            }
        });
        let signed = signed.inspect_err(|error| {
            *locked(&self.handle) = None;
            if error.code() == key::PIN_REFUSED {
                self.device.refuse(self.number, &self.pin, &self.name);
            }
        })?;
        // Beside the TPM's own time this costs nothing. It finds a TPM that was exchanged or wiped while nobody
        // looked, and a fault in the chip, whose faulty signatures could give the key away.
        if !ec::verifies(&self.spki, digest, &signed) {
            *locked(&self.handle) = None;
            return Err(hardware(
                key::MISMATCH,
                &self.name,
                "what the TPM signed does not verify with the key's public half".into(),
            ));
        }
        Ok(signed)
    }
}

impl fmt::Debug for TpmKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TpmKey")
            .field("uri", &self.name)
            .field("algorithm", &self.algorithm)
            .finish_non_exhaustive()
    }
}

/// The type of a signing key, if it is one of ours.
pub(super) fn kind(public: &Public) -> Option<KeyAlgorithm> {
    match public {
        Public::Ecc {
            parameters,
            object_attributes,
            ..
        } if object_attributes.sign_encrypt() && !object_attributes.restricted() => {
            match parameters.ecc_curve() {
                EccCurve::NistP256 => Some(KeyAlgorithm::P256),
                EccCurve::NistP521 => Some(KeyAlgorithm::P521),
                _ => None,
            }
        }
        _ => None,
    }
}

/// Type and public key in DER.
fn readable(public: &Public, name: &str) -> Result<(KeyAlgorithm, Vec<u8>), KeyError> {
    let (Some(algorithm), Public::Ecc { unique, .. }) = (kind(public), public) else {
        return Err(hardware(
            key::UNSUPPORTED,
            name,
            "the object there is no unrestricted signing key on P-256 or P-521".into(),
        ));
    };
    let size = ec::size(algorithm).unwrap_or(0);
    let mut point = vec![4];
    // A TPM may leave leading zeros out.
    for coordinate in [unique.x().value(), unique.y().value()] {
        point.resize(point.len() + size.saturating_sub(coordinate.len()), 0);
        point.extend_from_slice(coordinate);
    }
    Ok((algorithm, ec::spki(algorithm, &point)?))
}
