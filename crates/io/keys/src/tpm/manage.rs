//! Making, importing and listing keys in a TPM.

use gridlatch_trust::KeyAlgorithm;
use gridlatch_vocab::catalogue::key;
use tss_esapi::attributes::ObjectAttributesBuilder;
use tss_esapi::constants::CapabilityType;
use tss_esapi::constants::tss::TPM2_ALG_ECC;
use tss_esapi::handles::{KeyHandle, PersistentTpmHandle, TpmHandle};
use tss_esapi::interface_types::algorithm::{HashingAlgorithm, PublicAlgorithm};
use tss_esapi::interface_types::dynamic_handles::Persistent;
use tss_esapi::interface_types::ecc::EccCurve;
use tss_esapi::interface_types::resource_handles::{Hierarchy, Provision};
use tss_esapi::interface_types::session_handles::AuthSession;
use tss_esapi::structures::{
    Auth, CapabilityData, EccParameter, EccPoint, EccScheme, EncryptedSecret, KeyDerivationFunctionScheme,
    Private, Public, PublicBuilder, PublicEccParametersBuilder, SymmetricDefinitionObject,
};
use tss_esapi::{Context, Error};
use zeroize::Zeroizing;

use super::device::{Device, Fault, hardware, object};
use super::held::kind;
use crate::open::Listed;
use crate::pin::PinSource;
use crate::pkcs11::no_ed448;
use crate::uri::{KeyUri, TpmUri};
use crate::{FileKey, KeyError, Signer as _, ec};

/// Persistent handles asked for: more than any TPM can hold.
const MAX_HANDLES: u32 = 254;
/// The first persistent handle.
const FIRST_PERSISTENT: u32 = 0x8100_0000;

/// Makes a key inside the TPM, below a storage key of the owner's, and keeps it at its handle.
pub(crate) fn generate(uri: &TpmUri, algorithm: KeyAlgorithm, pin: &PinSource) -> Result<(), KeyError> {
    let name = uri.to_string();
    let (number, curve) = wanted(uri, algorithm, &name)?;
    let device = Device::of(&uri.tcti);
    let auth = device.auth(number, pin, &name)?;
    device.with(&name, |context, _| {
        let public = template(curve, auth.is_none(), true, EccPoint::default())?;
        keep(context, number, |context, primary| {
            let made = context.create(primary, public.clone(), auth.clone(), None, None, None)?;
            context.load(primary, made.out_private, made.out_public)
        })
    })
}

/// Copies a key from a file into the TPM. The file is not touched.
pub(crate) fn import(uri: &TpmUri, from: &FileKey, pin: &PinSource) -> Result<(), KeyError> {
    let name = uri.to_string();
    let (number, curve) = wanted(uri, from.algorithm(), &name)?;
    let device = Device::of(&uri.tcti);
    let auth = device.auth(number, pin, &name)?;
    let point = ec::point(from.public_key_der())?;
    let (x, y) = point[1..].split_at((point.len() - 1) / 2);
    let sensitive = sensitive(auth.as_ref(), &from.scalar()?);
    device.with(&name, |context, _| {
        let point = EccPoint::new(EccParameter::try_from(x)?, EccParameter::try_from(y)?);
        let public = template(curve, auth.is_none(), false, point)?;
        keep(context, number, |context, primary| {
            // No wrapping: the key comes from a file on this machine, over this machine's own bus.
            let private = context.import(
                primary.into(),
                None,
                public.clone(),
                Private::try_from(sensitive.to_vec())?,
                EncryptedSecret::default(),
                SymmetricDefinitionObject::Null,
            )?;
            context.load(primary, private, public.clone())
        })
    })
}

/// Gives the place of a persistent object free; the key is gone with it.
pub(crate) fn remove(uri: &TpmUri) -> Result<(), KeyError> {
    let name = uri.to_string();
    let number = place(uri, &name)?;
    let device = Device::of(&uri.tcti);
    device.with(&name, |context, _| {
        let known = object(context, number)?;
        let place = Persistent::Persistent(PersistentTpmHandle::new(number)?);
        context.execute_with_session(Some(AuthSession::Password), |context| {
            context.evict_control(Provision::Owner, known.into(), place)
        })?;
        Ok(())
    })
}

/// The persistent objects of the TPM.
pub(crate) fn list(uri: &TpmUri) -> Result<Vec<Listed>, KeyError> {
    let device = Device::of(&uri.tcti);
    device.with(&uri.to_string(), |context, _| {
        let (CapabilityData::Handles(handles), _) = context.execute_without_session(|context| {
            context.get_capability(CapabilityType::Handles, FIRST_PERSISTENT, MAX_HANDLES)
        })?
        else {
            return Ok(Vec::new());
        };
        let mut listed = Vec::new();
        for handle in handles.into_inner() {
            let TpmHandle::Persistent(_) = handle else {
                continue;
            };
            let number = u32::from(handle);
            let known = object(context, number)?;
            let (public, ..) = context.execute_without_session(|context| context.read_public(known))?;
            listed.push(Listed {
                uri: KeyUri::Tpm(TpmUri {
                    handle: Some(number),
                    tcti: uri.tcti.clone(),
                }),
                algorithm: kind(&public),
            });
        }
        Ok(listed)
    })
}

fn wanted(uri: &TpmUri, algorithm: KeyAlgorithm, name: &str) -> Result<(u32, EccCurve), KeyError> {
    let curve = match algorithm {
        KeyAlgorithm::P256 => EccCurve::NistP256,
        KeyAlgorithm::P521 => EccCurve::NistP521,
        KeyAlgorithm::Ed448 => return Err(no_ed448(name)),
    };
    Ok((place(uri, name)?, curve))
}

fn place(uri: &TpmUri, name: &str) -> Result<u32, KeyError> {
    uri.handle.ok_or_else(|| {
        hardware(
            key::INVALID_URI,
            name,
            "the key's place is missing: write tpm:0x81010002".into(),
        )
    })
}

/// A signing key. Without a PIN, wrong PINs cannot be counted against it (`noDA`).
fn template(curve: EccCurve, no_da: bool, made_inside: bool, point: EccPoint) -> Result<Public, Error> {
    let attributes = ObjectAttributesBuilder::new()
        .with_fixed_tpm(made_inside)
        .with_fixed_parent(made_inside)
        .with_sensitive_data_origin(made_inside)
        .with_user_with_auth(true)
        .with_sign_encrypt(true)
        .with_no_da(no_da)
        .build()?;
    PublicBuilder::new()
        .with_public_algorithm(PublicAlgorithm::Ecc)
        .with_name_hashing_algorithm(HashingAlgorithm::Sha256)
        .with_object_attributes(attributes)
        .with_ecc_parameters(
            // No scheme: which hash a signature is over is said with each signature.
            PublicEccParametersBuilder::new()
                .with_ecc_scheme(EccScheme::Null)
                .with_curve(curve)
                .with_key_derivation_function_scheme(KeyDerivationFunctionScheme::Null)
                .build()?,
        )
        .with_ecc_unique_identifier(point)
        .build()
}

/// Loads what `make` gives below a fresh storage key and keeps it at `number`. What was only needed
/// on the way is flushed, also after a failure: a TPM holds three such objects.
fn keep(
    context: &mut Context,
    number: u32,
    make: impl FnOnce(&mut Context, KeyHandle) -> Result<KeyHandle, Error>,
) -> Result<(), Fault> {
    let attributes = ObjectAttributesBuilder::new()
        .with_fixed_tpm(true)
        .with_fixed_parent(true)
        .with_sensitive_data_origin(true)
        .with_user_with_auth(true)
        .with_decrypt(true)
        .with_restricted(true)
        .with_no_da(true)
        .build()?;
    let storage = PublicBuilder::new()
        .with_public_algorithm(PublicAlgorithm::Ecc)
        .with_name_hashing_algorithm(HashingAlgorithm::Sha256)
        .with_object_attributes(attributes)
        .with_ecc_parameters(
            PublicEccParametersBuilder::new_restricted_decryption_key(
                SymmetricDefinitionObject::AES_128_CFB,
                EccCurve::NistP256,
            )
            .build()?,
        )
        .with_ecc_unique_identifier(EccPoint::default())
        .build()?;
    context.execute_with_session(Some(AuthSession::Password), |context| {
        let primary = context
            .create_primary(Hierarchy::Owner, storage, None, None, None, None)?
            .key_handle;
        let kept = make(context, primary).and_then(|loaded| {
            let place = Persistent::Persistent(PersistentTpmHandle::new(number)?);
            let kept = context.evict_control(Provision::Owner, loaded.into(), place);
            context.execute_without_session(|context| context.flush_context(loaded.into()))?;
            kept
        });
        context.execute_without_session(|context| context.flush_context(primary.into()))?;
        kept?;
        Ok(())
    })
}

/// A `TPM2B_SENSITIVE` of an EC key (TPM 2.0 part 2, section 12.3.2.4), as an unwrapped import takes it.
fn sensitive(auth: Option<&Auth>, scalar: &[u8]) -> Zeroizing<Vec<u8>> {
    let sized = |bytes: &[u8]| {
        let mut out = (bytes.len() as u16).to_be_bytes().to_vec();
        out.extend_from_slice(bytes);
        out
    };
    let mut inner = Zeroizing::new(TPM2_ALG_ECC.to_be_bytes().to_vec());
    inner.extend(sized(auth.map_or(&[], |auth| auth.value())));
    inner.extend(sized(&[]));
    inner.extend(sized(scalar));
    Zeroizing::new(sized(&inner))
}
