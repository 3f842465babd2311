//! Where a PIN comes from: a private file or the environment, never the command line.

use std::fmt;
use std::fs;
use std::io::Read as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use gridlatch_vocab::catalogue::key;

use crate::KeyError;

/// The longest PIN, bytes.
const MAX_PIN: usize = 256;

/// Where a token's PIN is found. It is read when it is needed and not kept.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum PinSource {
    /// There is none: the key needs no PIN, or its URI names a file (`pin-source`).
    #[default]
    None,
    /// An environment variable.
    Env(String),
    /// A file of mode 600; its first line.
    File(PathBuf),
}

/// A PIN in memory; never printed.
pub(crate) struct Pin(String);

impl Pin {
    pub(crate) fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Pin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Pin")
    }
}

impl PinSource {
    /// The PIN, or nothing where none is configured.
    pub(crate) fn read(&self, of: &str) -> Result<Option<Pin>, KeyError> {
        let refused = |reason: String| KeyError::Hardware {
            code: key::PIN_REFUSED,
            key: of.to_owned(),
            reason,
        };
        let text = match self {
            Self::None => return Ok(None),
            Self::Env(name) => std::env::var(name)
                .map_err(|_| refused(format!("the variable {name} with its PIN is not set")))?,
            Self::File(path) => from_file(path)?,
        };
        let pin = text.lines().next().unwrap_or_default();
        if pin.is_empty() || pin.len() > MAX_PIN {
            return Err(refused(format!(
                "its PIN is empty or longer than {MAX_PIN} bytes"
            )));
        }
        Ok(Some(Pin(pin.to_owned())))
    }
}

fn from_file(path: &Path) -> Result<String, KeyError> {
    let wrap = |source| KeyError::File {
        operation: "read the PIN file",
        path: path.to_owned(),
        source,
    };
    let file = fs::File::open(path).map_err(wrap)?;
    let mode = file.metadata().map_err(wrap)?.permissions().mode() & 0o777;
    if mode & 0o077 != 0 {
        return Err(KeyError::Exposed {
            path: path.to_owned(),
            mode,
        });
    }
    let mut text = String::new();
    // One byte more than allowed shows that it is too long.
    file.take(MAX_PIN as u64 + 2)
        .read_to_string(&mut text)
        .map_err(wrap)?;
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pin_comes_from_a_private_file_only() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("pin");
        fs::write(&path, "1234\nnot this\n").unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
        let source = PinSource::File(path.clone());
        assert!(matches!(
            source.read("k"),
            Err(KeyError::Exposed { mode: 0o644, .. })
        ));
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
        let pin = source.read("k").unwrap().unwrap();
        assert_eq!(pin.reveal(), "1234");
        assert!(!format!("{pin:?}").contains("1234"));
        for bad in [String::new(), "\n1234".into(), "9".repeat(MAX_PIN + 1)] {
            fs::write(&path, bad).unwrap();
            assert_eq!(source.read("k").unwrap_err().code(), key::PIN_REFUSED);
        }
        let unset = PinSource::Env("GRIDLATCH_NO_SUCH_PIN".into());
        let error = unset.read("pkcs11:token=a").unwrap_err();
        assert!(error.to_string().contains("GRIDLATCH_NO_SUCH_PIN"), "{error}");
        assert!(PinSource::None.read("k").unwrap().is_none());
    }
}
