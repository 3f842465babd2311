//! A private key on a token, as a [`Signer`].

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use cryptoki::error::Error;
use cryptoki::mechanism::Mechanism;
use cryptoki::object::{Attribute, AttributeType, KeyType, ObjectClass, ObjectHandle};
use cryptoki::session::Session;
use gridlatch_trust::KeyAlgorithm;
use gridlatch_vocab::Code;
use gridlatch_vocab::catalogue::key;

use super::token::Token;
use super::{final_, judged};
use crate::pin::PinSource;
use crate::quiet::Quiet;
use crate::uri::Pkcs11Uri;
use crate::{KeyError, Signer, ec};

/// A P-256 or P-521 key that its token keeps.
pub(crate) struct Pkcs11Key {
    name: String,
    uri: Pkcs11Uri,
    pin: PinSource,
    token: Arc<Token>,
    algorithm: KeyAlgorithm,
    spki: Vec<u8>,
    /// The key's handle, and the epoch of the token in which it is valid.
    handle: Mutex<(u64, ObjectHandle)>,
}

/// Why a call on a session failed: what the module said, or what we make of its answer.
enum Fault {
    Module(Error),
    Key(KeyError),
}

impl From<Error> for Fault {
    fn from(error: Error) -> Self {
        Self::Module(error)
    }
}

impl From<KeyError> for Fault {
    fn from(error: KeyError) -> Self {
        Self::Key(error)
    }
}

impl Pkcs11Key {
    /// Finds the key on its token and makes sure that it signs as its public half says.
    pub(crate) fn open(uri: &Pkcs11Uri, pin: &PinSource) -> Result<Self, KeyError> {
        let name = uri.to_string();
        let pin = match &uri.pin_file {
            Some(path) => PinSource::File(path.clone()),
            None => pin.clone(),
        };
        let token = Token::of(uri)?;
        let place = token
            .gate
            .enter()
            .map_err(|reason| hardware(key::BUSY, &name, reason))?;
        let open = token.open(&pin, &name)?;
        let found = find(&open.session, uri, &name)
            .and_then(|handle| Ok((handle, public(&open.session, handle, uri, &name)?)));
        let (handle, (algorithm, spki)) = match found {
            Ok(found) => found,
            Err(fault) => {
                let epoch = open.epoch;
                drop(open);
                token.reset(epoch);
                return Err(blame(fault, &name));
            }
        };
        let this = Self {
            uri: uri.clone(),
            pin,
            token: Arc::clone(&token),
            algorithm,
            spki,
            handle: Mutex::new((open.epoch, handle)),
            name,
        };
        token.close(open);
        drop(place);
        let digest = ec::digest(algorithm, b"gridlatch: does this key match its public half?")?;
        if !ec::verifies(&this.spki, &digest, &this.sign_digest(&digest)?) {
            return Err(hardware(
                key::MISMATCH,
                &this.name,
                "what it signs does not verify with the public key beside it".into(),
            ));
        }
        Ok(this)
    }

    fn signed(&self, session: &Session, epoch: u64, digest: &[u8]) -> Result<Vec<u8>, Fault> {
        let handle = {
            let mut known = self.handle.lock().unwrap_or_else(PoisonError::into_inner);
            if known.0 != epoch {
                let handle = find(session, &self.uri, &self.name)?;
                if public(session, handle, &self.uri, &self.name)?.1 != self.spki {
                    return Err(hardware(
                        key::MISMATCH,
                        &self.name,
                        "the token came back with another key by this name".into(),
                    )
                    .into());
                }
                *known = (epoch, handle);
            }
            known.1
        };
        let raw = session.sign(&Mechanism::Ecdsa, handle, ec::cut(self.algorithm, digest))?;
        if raw.is_empty() || raw.len() % 2 != 0 {
            let reason = format!("its signature has {} octets", raw.len());
            return Err(hardware(key::UNAVAILABLE, &self.name, reason).into());
        }
        let (r, s) = raw.split_at(raw.len() / 2);
        Ok(ec::signature(r, s)?)
    }
}

impl Signer for Pkcs11Key {
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
        let _place = self
            .token
            .gate
            .enter()
            .map_err(|reason| hardware(key::BUSY, &self.name, reason))?;
        let mut again = true;
        loop {
            let open = self.token.open(&self.pin, &self.name)?;
            let epoch = open.epoch;
            let fault = match self.signed(&open.session, epoch, digest) {
                Ok(signature) => {
                    self.token.close(open);
                    return Ok(signature);
                }
                Err(fault) => fault,
            };
            // A session that failed is not used again; nor are its neighbours.
            drop(open);
            self.token.reset(epoch);
            match fault {
                // A token that was reset has forgotten session, login and handles: once, all anew.
                Fault::Module(error) if again && !final_(&error) => again = false,
                fault => return Err(blame(fault, &self.name)),
            }
        }
    }
}

impl fmt::Debug for Pkcs11Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pkcs11Key")
            .field("uri", &self.name)
            .field("algorithm", &self.algorithm)
            .finish_non_exhaustive()
    }
}

pub(super) fn hardware(code: Code, name: &str, reason: String) -> KeyError {
    KeyError::Hardware {
        code,
        key: name.to_owned(),
        reason,
    }
}

fn blame(fault: Fault, name: &str) -> KeyError {
    match fault {
        Fault::Key(error) => error,
        Fault::Module(error) => {
            let (code, reason) = judged(&error);
            hardware(code, name, reason)
        }
    }
}

/// What tells the key from others on its token.
pub(super) fn template(uri: &Pkcs11Uri, class: ObjectClass) -> Vec<Attribute> {
    let mut template = vec![Attribute::Class(class)];
    if let Some(label) = &uri.object {
        template.push(Attribute::Label(label.as_bytes().to_vec()));
    }
    if let Some(id) = &uri.id {
        template.push(Attribute::Id(id.clone()));
    }
    template
}

fn find(session: &Session, uri: &Pkcs11Uri, name: &str) -> Result<ObjectHandle, Fault> {
    if uri.object.is_none() && uri.id.is_none() {
        return Err(hardware(
            key::INVALID_URI,
            name,
            "it names a token but no key: add object=NAME or id=".into(),
        )
        .into());
    }
    match session.find_objects(&template(uri, ObjectClass::PRIVATE_KEY))?[..] {
        [one] => Ok(one),
        [] => Err(hardware(
            key::NOT_FOUND,
            name,
            "the token has no private key by this name".into(),
        )
        .into()),
        ref many => Err(hardware(
            key::MISMATCH,
            name,
            format!("the token has {} private keys by this name; add id=", many.len()),
        )
        .into()),
    }
}

/// Algorithm and public key of a private key's other half, which shares its identifier.
fn public(
    session: &Session,
    private: ObjectHandle,
    uri: &Pkcs11Uri,
    name: &str,
) -> Result<(KeyAlgorithm, Vec<u8>), Fault> {
    let mut curve = None;
    let mut id = None;
    for attribute in session.get_attributes(
        private,
        &[AttributeType::KeyType, AttributeType::EcParams, AttributeType::Id],
    )? {
        match attribute {
            Attribute::KeyType(kind) if kind != KeyType::EC => {
                return Err(hardware(
                    key::UNSUPPORTED,
                    name,
                    "it is no key on P-256 or P-521; neither RSA nor Edwards keys can be used from a token"
                        .into(),
                )
                .into());
            }
            Attribute::EcParams(parameters) => curve = Some(parameters),
            Attribute::Id(value) if !value.is_empty() => id = Some(value),
            _ => {}
        }
    }
    let curve = curve.unwrap_or_default();
    let Some(algorithm) = ec::algorithm_of(&curve) else {
        return Err(hardware(
            key::UNSUPPORTED,
            name,
            format!(
                "its curve is neither P-256 nor P-521 (parameters {})",
                hex(&curve)
            ),
        )
        .into());
    };
    let halves = match id {
        Some(id) => vec![Attribute::Class(ObjectClass::PUBLIC_KEY), Attribute::Id(id)],
        None => template(uri, ObjectClass::PUBLIC_KEY),
    };
    for half in session.find_objects(&halves)? {
        for attribute in session.get_attributes(half, &[AttributeType::EcPoint])? {
            if let Attribute::EcPoint(point) = attribute {
                return Ok((algorithm, ec::spki(algorithm, bare(&point))?));
            }
        }
    }
    Err(hardware(
        key::NOT_FOUND,
        name,
        "the token has no public key beside the private one".into(),
    )
    .into())
}

/// The point inside `CKA_EC_POINT`: a DER OCTET STRING, or on older tokens the point itself.
fn bare(point: &[u8]) -> &[u8] {
    match point {
        // Also where 128 octets or more are not counted in DER's long form: libtpm2_pkcs11 1.9 on P-521.
        [4, len, inner @ ..] if usize::from(*len) == inner.len() => inner,
        [4, 0x81, len, inner @ ..] if usize::from(*len) == inner.len() => inner,
        _ => point,
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().take(16).map(|byte| format!("{byte:02x}")).collect()
}
