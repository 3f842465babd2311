//! What simulated vehicles and stations are called, and what follows from it.

use core::fmt;
use core::str::FromStr;

use gridlatch_vocab::{Emaid, Personal, StationId};
use sha2::{Digest as _, Sha256};

/// The name a simulated vehicle goes by on this machine: 1 to 32 of a-z, 0-9 and `-`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct VehicleName(String);

impl VehicleName {
    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Its provisioning certificate id: maker code `GLD` and 14 characters that follow from the name.
    #[must_use]
    pub fn pcid(&self) -> Personal<String> {
        Personal::new(format!(
            "GLD{}",
            derived("pcid", &self.0, 14, b"ABCDEFGHJKLMNPRSTUVWXYZ0123456789")
        ))
    }

    /// Its contract: operator `DE-GDL` and eight digits that follow from the name.
    #[must_use]
    pub fn emaid(&self) -> Personal<Emaid> {
        let text = format!("DEGDLC{}", derived("emaid", &self.0, 8, b"0123456789"));
        Personal::new(
            text.parse()
                .expect("14 letters and digits, country first, are an EMAID"),
        )
    }
}

impl FromStr for VehicleName {
    type Err = InvalidName;

    fn from_str(text: &str) -> Result<Self, InvalidName> {
        let ok = (1..=32).contains(&text.len())
            && text
                .bytes()
                .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-');
        if ok {
            Ok(Self(text.to_owned()))
        } else {
            Err(InvalidName)
        }
    }
}

impl fmt::Display for VehicleName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A text is no vehicle name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a valid vehicle name: 1 to 32 of a-z, 0-9 and -")]
pub struct InvalidName;

/// The EVSEID of a station for its certificate: `DE*GDL*E` and the station's letters and digits, or
/// characters derived from its identity where those do not fit.
pub(super) fn evse_id(station: &StationId) -> String {
    let text = station.as_str();
    let plain: String = text.chars().filter(char::is_ascii_alphanumeric).collect();
    let plain = if plain.is_empty() || plain.len() > 28 {
        derived("evse", text, 16, b"0123456789ABCDEFGHJKLMNPQRSTUVWX")
    } else {
        plain.to_ascii_uppercase()
    };
    format!("DE*GDL*E{plain}")
}

/// `length` characters of `alphabet` that follow from `text`, different per `purpose`.
pub(super) fn derived(purpose: &str, text: &str, length: usize, alphabet: &[u8]) -> String {
    Sha256::new()
        .chain_update(purpose)
        .chain_update([0])
        .chain_update(text)
        .finalize()
        .iter()
        .cycle()
        .take(length)
        .map(|octet| char::from(alphabet[usize::from(*octet) % alphabet.len()]))
        .collect()
}
