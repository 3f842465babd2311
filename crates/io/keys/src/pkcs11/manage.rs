//! Making, importing and listing keys on a token.

use cryptoki::error::Error;
use cryptoki::mechanism::Mechanism;
use cryptoki::object::{Attribute, AttributeType, KeyType, ObjectClass};
use gridlatch_trust::KeyAlgorithm;
use gridlatch_vocab::catalogue::key;

use super::held::{hardware, template};
use super::judged;
use super::token::Token;
use crate::open::Listed;
use crate::pin::PinSource;
use crate::uri::{KeyUri, Pkcs11Uri};
use crate::{FileKey, KeyError, Signer as _, ec};

/// Keys listed of one token.
const MAX_LISTED: usize = 1000;

/// Makes a key pair inside the token. It cannot be exported.
pub(crate) fn generate(uri: &Pkcs11Uri, algorithm: KeyAlgorithm, pin: &PinSource) -> Result<(), KeyError> {
    let name = uri.to_string();
    let Some(parameters) = ec::parameters(algorithm) else {
        return Err(no_ed448(&name));
    };
    let (label, id) = names(uri, &name)?;
    let token = Token::of(uri)?;
    let open = token.open_for_writing(&source(uri, pin), &name)?;
    let session = &open.session;
    let failed = |error: Error| {
        let (code, reason) = judged(&error);
        hardware(code, &name, reason)
    };
    if !session
        .find_objects(&template(uri, ObjectClass::PRIVATE_KEY))
        .map_err(failed)?
        .is_empty()
    {
        return Err(taken(&name));
    }
    session
        .generate_key_pair(
            &Mechanism::EccKeyPairGen,
            &[
                Attribute::Token(true),
                Attribute::Private(false),
                Attribute::Verify(true),
                Attribute::Label(label.clone()),
                Attribute::Id(id.clone()),
                Attribute::EcParams(parameters.to_vec()),
            ],
            &[
                Attribute::Token(true),
                Attribute::Private(true),
                Attribute::Sensitive(true),
                Attribute::Extractable(false),
                Attribute::Sign(true),
                Attribute::Label(label),
                Attribute::Id(id),
            ],
        )
        .map_err(failed)?;
    Ok(())
}

/// Copies a key from a file into the token. The file is not touched.
pub(crate) fn import(uri: &Pkcs11Uri, from: &FileKey, pin: &PinSource) -> Result<(), KeyError> {
    let name = uri.to_string();
    let Some(parameters) = ec::parameters(from.algorithm()) else {
        return Err(no_ed448(&name));
    };
    let (label, id) = names(uri, &name)?;
    let point = octet_string(&ec::point(from.public_key_der())?);
    let token = Token::of(uri)?;
    let open = token.open_for_writing(&source(uri, pin), &name)?;
    let session = &open.session;
    let failed = |error: Error| {
        let (code, reason) = judged(&error);
        hardware(code, &name, reason)
    };
    if !session
        .find_objects(&template(uri, ObjectClass::PRIVATE_KEY))
        .map_err(failed)?
        .is_empty()
    {
        return Err(taken(&name));
    }
    let private = session
        .create_object(&[
            Attribute::Class(ObjectClass::PRIVATE_KEY),
            Attribute::KeyType(KeyType::EC),
            Attribute::Token(true),
            Attribute::Private(true),
            Attribute::Sensitive(true),
            Attribute::Extractable(false),
            Attribute::Sign(true),
            Attribute::Label(label.clone()),
            Attribute::Id(id.clone()),
            Attribute::EcParams(parameters.to_vec()),
            Attribute::Value(from.scalar()?),
        ])
        .map_err(failed)?;
    let public = session.create_object(&[
        Attribute::Class(ObjectClass::PUBLIC_KEY),
        Attribute::KeyType(KeyType::EC),
        Attribute::Token(true),
        Attribute::Private(false),
        Attribute::Verify(true),
        Attribute::Label(label),
        Attribute::Id(id),
        Attribute::EcParams(parameters.to_vec()),
        Attribute::EcPoint(point),
    ]);
    if let Err(error) = public {
        // Half a key would be found and not be usable.
        let _ = session.destroy_object(private);
        return Err(failed(error));
    }
    Ok(())
}

/// Destroys both halves of one key pair.
pub(crate) fn remove(uri: &Pkcs11Uri, pin: &PinSource) -> Result<(), KeyError> {
    let name = uri.to_string();
    let token = Token::of(uri)?;
    let open = token.open_for_writing(&source(uri, pin), &name)?;
    let session = &open.session;
    let failed = |error: Error| {
        let (code, reason) = judged(&error);
        hardware(code, &name, reason)
    };
    if uri.object.is_none() && uri.id.is_none() {
        return Err(hardware(
            key::INVALID_URI,
            &name,
            "which key? add object=NAME".into(),
        ));
    }
    let private = session
        .find_objects(&template(uri, ObjectClass::PRIVATE_KEY))
        .map_err(failed)?;
    let [private] = private[..] else {
        let (code, reason) = match private.len() {
            0 => (
                key::NOT_FOUND,
                "the token has no private key by this name".to_owned(),
            ),
            many => (
                key::MISMATCH,
                format!("the token has {many} private keys by this name; add id="),
            ),
        };
        return Err(hardware(code, &name, reason));
    };
    // The public half by the identifier they share, where there is one: other keys may have the same label.
    let mut halves = template(uri, ObjectClass::PUBLIC_KEY);
    for attribute in session
        .get_attributes(private, &[AttributeType::Id])
        .map_err(failed)?
    {
        if let Attribute::Id(id) = attribute
            && !id.is_empty()
        {
            halves = vec![Attribute::Class(ObjectClass::PUBLIC_KEY), Attribute::Id(id)];
        }
    }
    let public = session.find_objects(&halves).map_err(failed)?;
    session.destroy_object(private).map_err(failed)?;
    for half in public {
        session.destroy_object(half).map_err(failed)?;
    }
    Ok(())
}

/// The private keys of a token.
pub(crate) fn list(uri: &Pkcs11Uri, pin: &PinSource) -> Result<Vec<Listed>, KeyError> {
    let name = uri.to_string();
    let token = Token::of(uri)?;
    let _place = token
        .gate
        .enter()
        .map_err(|reason| hardware(key::BUSY, &name, reason))?;
    let open = token.open(&source(uri, pin), &name)?;
    let failed = |error: Error| {
        let (code, reason) = judged(&error);
        hardware(code, &name, reason)
    };
    let mut listed = Vec::new();
    let handles = open
        .session
        .find_objects(&template(uri, ObjectClass::PRIVATE_KEY))
        .map_err(failed)?;
    for handle in handles.into_iter().take(MAX_LISTED) {
        let wanted = [AttributeType::Label, AttributeType::Id, AttributeType::EcParams];
        let attributes = open.session.get_attributes(handle, &wanted).map_err(failed)?;
        let mut found = Pkcs11Uri {
            object: None,
            id: None,
            ..uri.clone()
        };
        let mut algorithm = None;
        for attribute in attributes {
            match attribute {
                Attribute::Label(label) => {
                    found.object = String::from_utf8(label)
                        .ok()
                        .filter(|label| !label.is_empty() && !label.chars().any(char::is_control));
                }
                Attribute::Id(id) if !id.is_empty() => found.id = Some(id),
                Attribute::EcParams(parameters) => algorithm = ec::algorithm_of(&parameters),
                _ => {}
            }
        }
        listed.push(Listed {
            uri: KeyUri::Pkcs11(found),
            algorithm,
        });
    }
    token.close(open);
    Ok(listed)
}

fn source(uri: &Pkcs11Uri, pin: &PinSource) -> PinSource {
    match &uri.pin_file {
        Some(path) => PinSource::File(path.clone()),
        None => pin.clone(),
    }
}

/// Label and identifier for a new key; the identifier joins its halves, so it is never left out.
fn names(uri: &Pkcs11Uri, name: &str) -> Result<(Vec<u8>, Vec<u8>), KeyError> {
    let Some(label) = &uri.object else {
        return Err(hardware(
            key::INVALID_URI,
            name,
            "a new key needs a name: add object=NAME".into(),
        ));
    };
    let id = match &uri.id {
        Some(id) => id.clone(),
        None => {
            let mut id = vec![0; 8];
            openssl::rand::rand_bytes(&mut id).map_err(crate::file::crypto("draw an identifier"))?;
            id
        }
    };
    Ok((label.as_bytes().to_vec(), id))
}

pub(crate) fn no_ed448(name: &str) -> KeyError {
    hardware(
        key::UNSUPPORTED,
        name,
        "Ed448 keys live in files only: neither TPM 2.0 nor the PKCS#11 tokens known can make or use them"
            .into(),
    )
}

fn taken(name: &str) -> KeyError {
    hardware(
        key::MISMATCH,
        name,
        "the token has a key by this name already; it is not replaced".into(),
    )
}

/// DER OCTET STRING of at most 255 octets.
fn octet_string(inner: &[u8]) -> Vec<u8> {
    let len = inner.len() as u8;
    let mut out = if len < 0x80 {
        vec![4, len]
    } else {
        vec![4, 0x81, len]
    };
    out.extend_from_slice(inner);
    out
}
