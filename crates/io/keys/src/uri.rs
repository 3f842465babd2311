//! Where a key lives, as one line of text: `file:PATH`, `pkcs11:...` (RFC 7512) or `tpm:HANDLE`.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

use gridlatch_vocab::catalogue::key;

use crate::KeyError;

/// The longest URI that is looked at, bytes.
const MAX_URI: usize = 2048;

/// The address of a private key.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum KeyUri {
    /// `file:PATH`: PKCS#8 PEM, mode 600.
    File(PathBuf),
    /// `pkcs11:token=NAME;object=NAME?module-path=PATH`: a key behind a PKCS#11 module.
    Pkcs11(Pkcs11Uri),
    /// `tpm:0x81010002?tcti=device:/dev/tpmrm0`: a persistent object of a TPM 2.0.
    Tpm(TpmUri),
}

/// A PKCS#11 token, and a key on it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub struct Pkcs11Uri {
    /// The module, a shared library.
    pub module: PathBuf,
    /// The token's label.
    pub token: Option<String>,
    /// The token's serial number.
    pub serial: Option<String>,
    /// The key's label.
    pub object: Option<String>,
    /// The key's identifier.
    pub id: Option<Vec<u8>>,
    /// The file with the PIN (`pin-source`), where the URI names one.
    pub pin_file: Option<PathBuf>,
}

/// A TPM, and a key in it.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct TpmUri {
    /// The persistent handle, 0x81000000 to 0x81FFFFFF; none where only the TPM is meant.
    pub handle: Option<u32>,
    /// How the TPM is reached, in the words of the TSS: `device:/dev/tpmrm0`, `swtpm:host=...,port=...`.
    pub tcti: String,
}

impl TpmUri {
    /// The kernel's resource manager.
    pub const DEFAULT_TCTI: &'static str = "device:/dev/tpmrm0";
}

impl FromStr for KeyUri {
    type Err = KeyError;

    fn from_str(text: &str) -> Result<Self, KeyError> {
        let wrong = |reason: &str| KeyError::Hardware {
            code: key::INVALID_URI,
            key: shown(text),
            reason: reason.to_owned(),
        };
        if text.len() > MAX_URI {
            return Err(wrong("the URI is longer than 2048 bytes"));
        }
        if text.chars().any(char::is_control) {
            return Err(wrong("the URI holds control characters"));
        }
        let (scheme, rest) = text
            .split_once(':')
            .ok_or_else(|| wrong("it begins with none of file:, pkcs11:, tpm:"))?;
        match scheme {
            "file" => {
                let path = rest.strip_prefix("//").unwrap_or(rest);
                if path.is_empty() {
                    return Err(wrong("it names no file"));
                }
                Ok(Self::File(PathBuf::from(path)))
            }
            "pkcs11" => pkcs11(rest).map(Self::Pkcs11).map_err(|reason| wrong(&reason)),
            "tpm" => tpm(rest).map(Self::Tpm).map_err(|reason| wrong(&reason)),
            _ => Err(wrong("it begins with none of file:, pkcs11:, tpm:")),
        }
    }
}

/// A text that may be no URI at all, for a message: cut where a PIN could begin.
fn shown(text: &str) -> String {
    let end = text.find("pin-value").unwrap_or(text.len());
    text.chars()
        .take(text.get(..end).map_or(0, |head| head.chars().count()).min(128))
        .filter(|c| !c.is_control())
        .collect()
}

fn pkcs11(rest: &str) -> Result<Pkcs11Uri, String> {
    let (path, query) = rest.split_once('?').unwrap_or((rest, ""));
    let mut uri = Pkcs11Uri::default();
    let mut module = None;
    for (name, value) in attributes(path, ';')? {
        match name {
            "token" => set(&mut uri.token, text(&value)?, name)?,
            "serial" => set(&mut uri.serial, text(&value)?, name)?,
            "object" => set(&mut uri.object, text(&value)?, name)?,
            "id" => set(&mut uri.id, value, name)?,
            // Only private keys are looked for; what p11-kit and others print as the rest of a URI does
            // not change which token it is.
            "type" if value == b"private" => {}
            "type" => return Err("only type=private can be used".into()),
            "manufacturer"
            | "model"
            | "library-manufacturer"
            | "library-description"
            | "library-version"
            | "slot-description"
            | "slot-manufacturer" => {}
            "slot-id" => return Err("slot-id changes between starts; name the token or its serial".into()),
            other => return Err(format!("unknown attribute {other:?}")),
        }
    }
    for (name, value) in attributes(query, '&')? {
        match name {
            "module-path" => set(&mut module, PathBuf::from(text(&value)?), name)?,
            "pin-source" => {
                let source = text(&value)?;
                let path = source.strip_prefix("file:").unwrap_or(&source);
                let path = path.strip_prefix("//").unwrap_or(path);
                if path.starts_with('|') || path.is_empty() {
                    return Err("pin-source must be a file".into());
                }
                set(&mut uri.pin_file, PathBuf::from(path), name)?;
            }
            "pin-value" => {
                return Err(
                    "a PIN in the URI ends up in logs and process lists; use pin-source or a variable".into(),
                );
            }
            "module-name" => return Err("name the module by module-path".into()),
            other => return Err(format!("unknown attribute {other:?}")),
        }
    }
    uri.module = module.ok_or("it does not say which module: add ?module-path=PATH")?;
    if !uri.module.is_absolute() {
        // A relative name would be searched for along paths that the environment sets.
        return Err("module-path must be absolute".into());
    }
    if uri.token.is_none() && uri.serial.is_none() {
        return Err("it names no token: add token=NAME or serial=NUMBER".into());
    }
    Ok(uri)
}

fn tpm(rest: &str) -> Result<TpmUri, String> {
    let (handle, query) = rest.split_once('?').unwrap_or((rest, ""));
    let handle = match handle {
        "" => None,
        _ => {
            let digits = handle
                .strip_prefix("0x")
                .ok_or("a handle is written 0x81010002")?;
            let number = u32::from_str_radix(digits, 16).map_err(|_| "a handle is written 0x81010002")?;
            if number >> 24 != 0x81 {
                return Err("a persistent handle lies between 0x81000000 and 0x81FFFFFF".into());
            }
            Some(number)
        }
    };
    let mut tcti = None;
    for (name, value) in attributes(query, '&')? {
        match name {
            "tcti" => set(&mut tcti, text(&value)?, name)?,
            other => return Err(format!("unknown attribute {other:?}")),
        }
    }
    Ok(TpmUri {
        handle,
        tcti: tcti.unwrap_or_else(|| TpmUri::DEFAULT_TCTI.to_owned()),
    })
}

fn set<T>(slot: &mut Option<T>, value: T, name: &str) -> Result<(), String> {
    match slot.replace(value) {
        None => Ok(()),
        Some(_) => Err(format!("{name} is given twice")),
    }
}

fn text(value: &[u8]) -> Result<String, String> {
    match String::from_utf8(value.to_vec()) {
        Ok(text) if text.is_empty() => Err("an attribute is empty".into()),
        Ok(text) if text.chars().any(char::is_control) => Err("an attribute holds control characters".into()),
        Ok(text) => Ok(text),
        Err(_) => Err("an attribute is not UTF-8".into()),
    }
}

fn attributes(text: &str, separator: char) -> Result<Vec<(&str, Vec<u8>)>, String> {
    text.split(separator)
        .filter(|pair| !pair.is_empty())
        .map(|pair| {
            let (name, value) = pair
                .split_once('=')
                .ok_or_else(|| format!("{pair:?} is not name=value"))?;
            Ok((name, percent_decoded(value)?))
        })
        .collect()
}

fn percent_decoded(value: &str) -> Result<Vec<u8>, String> {
    let mut out = Vec::with_capacity(value.len());
    let mut bytes = value.bytes();
    while let Some(byte) = bytes.next() {
        if byte != b'%' {
            out.push(byte);
            continue;
        }
        let digit = |byte: Option<u8>| byte.and_then(|b| char::from(b).to_digit(16));
        match (digit(bytes.next()), digit(bytes.next())) {
            (Some(high), Some(low)) => out.push((high * 16 + low) as u8),
            _ => return Err("a % is not followed by two hex digits".into()),
        }
    }
    Ok(out)
}

/// Escapes what RFC 7512 (and RFC 3986 below it) does not allow in a value.
fn escaped(f: &mut fmt::Formatter<'_>, value: &[u8], also: &[u8]) -> fmt::Result {
    for byte in value {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(byte) || also.contains(byte) {
            write!(f, "{}", char::from(*byte))?;
        } else {
            write!(f, "%{byte:02X}")?;
        }
    }
    Ok(())
}

impl fmt::Display for KeyUri {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            // Two slashes that begin the path would be read as those that may stand before it.
            Self::File(path) => {
                let path = path.display().to_string();
                let before = if path.starts_with("//") { "//" } else { "" };
                write!(f, "file:{before}{path}")
            }
            Self::Pkcs11(uri) => uri.fmt(f),
            Self::Tpm(uri) => uri.fmt(f),
        }
    }
}

impl fmt::Display for Pkcs11Uri {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("pkcs11:")?;
        let pairs = [
            ("token", self.token.as_deref().map(str::as_bytes)),
            ("serial", self.serial.as_deref().map(str::as_bytes)),
            ("object", self.object.as_deref().map(str::as_bytes)),
            ("id", self.id.as_deref()),
        ];
        let given = pairs.into_iter().filter_map(|(name, value)| Some((name, value?)));
        for (index, (name, value)) in given.enumerate() {
            write!(f, "{}{name}=", if index == 0 { "" } else { ";" })?;
            escaped(f, value, b":")?;
        }
        f.write_str("?module-path=")?;
        escaped(f, self.module.as_os_str().as_encoded_bytes(), b"/:")?;
        if let Some(path) = &self.pin_file {
            f.write_str("&pin-source=file:")?;
            escaped(f, path.as_os_str().as_encoded_bytes(), b"/:")?;
        }
        Ok(())
    }
}

impl fmt::Display for TpmUri {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("tpm:")?;
        if let Some(handle) = self.handle {
            write!(f, "0x{handle:08x}")?;
        }
        f.write_str("?tcti=")?;
        escaped(f, self.tcti.as_bytes(), b":/=,")
    }
}

#[cfg(test)]
mod tests;
