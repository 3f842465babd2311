//! Finding a person's record without keeping their identifier: an HMAC under a key kept beside the
//! database, a random reference, and a masked label for people who look at lists.
//!
//! A plain hash would not do: card numbers of four bytes are enumerated in minutes.

use std::fs::{self, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

use hmac::{Hmac, Mac as _};
use sha2::Sha256;

use crate::Result;
use crate::engine::{Conn, params};

/// The key of the lookup index.
pub(crate) struct Pseudonyms {
    key: [u8; 32],
}

impl std::fmt::Debug for Pseudonyms {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Pseudonyms")
    }
}

impl Pseudonyms {
    /// A fresh key.
    pub(crate) fn random() -> io::Result<Self> {
        let mut key = [0; 32];
        getrandom::fill(&mut key).map_err(|error| io::Error::other(error.to_string()))?;
        Ok(Self { key })
    }

    /// The key in `<database>.pseudonym-key`, made on first use, mode 0600: a stolen database file alone
    /// does not let anybody test identifiers against it. A database that holds something and has lost its key
    /// is refused: with another key nobody in it would be found any more, and nothing would say why.
    pub(crate) fn beside(database: &Path) -> io::Result<Self> {
        let mut name = database.as_os_str().to_owned();
        name.push(".pseudonym-key");
        let path = Path::new(&name);
        match fs::read_to_string(path) {
            Ok(text) => Self::from_hex(&text)
                .ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, "the pseudonym key is damaged")),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                if fs::metadata(database).is_ok_and(|file| file.len() > 0) {
                    return Err(io::Error::new(
                        io::ErrorKind::NotFound,
                        format!(
                            "its key {} is missing: put it back from a backup (without it, names of people in the \
                             database can neither be found nor read)",
                            path.display()
                        ),
                    ));
                }
                let fresh = Self::random()?;
                let mut file = OpenOptions::new()
                    .write(true)
                    .create_new(true)
                    .mode(0o600)
                    .open(path)?;
                file.write_all(hex::encode(fresh.key).as_bytes())?;
                file.sync_all()?;
                Ok(fresh)
            }
            Err(error) => Err(error),
        }
    }

    /// The key shared by all nodes on one PostgreSQL database.
    pub(crate) async fn stored(conn: &mut Conn) -> Result<Self> {
        let fresh = Self::random().map_err(|error| crate::StoreError::Open {
            place: "PostgreSQL".to_owned(),
            source: Box::new(error),
        })?;
        conn.execute(
            "INSERT INTO setting (name, value) VALUES ('pseudonym_key', $1) ON CONFLICT (name) DO NOTHING",
            params![hex::encode(fresh.key)],
        )
        .await?;
        let row = conn
            .row("SELECT value FROM setting WHERE name = 'pseudonym_key'", &[])
            .await?;
        let text = row.map(|row| row.text(0)).transpose()?;
        text.and_then(|text| Self::from_hex(&text))
            .ok_or(crate::StoreError::Corrupt("the pseudonym key"))
    }

    fn from_hex(text: &str) -> Option<Self> {
        let key = hex::decode(text.trim()).ok()?.try_into().ok()?;
        Some(Self { key })
    }

    /// The index value of an identifier of one kind (HMAC-SHA-256, RFC 2104).
    pub(crate) fn lookup(&self, kind: &str, identifier: &str) -> String {
        // A key of any length will do, so there is nothing to refuse.
        Hmac::<Sha256>::new_from_slice(&self.key)
            .map(|mac| {
                let mac = mac.chain_update(kind.as_bytes()).chain_update([0]);
                hex::encode(mac.chain_update(identifier.as_bytes()).finalize().into_bytes())
            })
            .unwrap_or_default()
    }
}

/// A random reference for a new record.
pub(crate) fn reference() -> Result<String> {
    let mut bytes = [0; 12];
    getrandom::fill(&mut bytes).map_err(|_| crate::StoreError::Corrupt("the system's random numbers"))?;
    Ok(hex::encode(bytes))
}

/// What a list may show: the first characters that name country and provider, and the last two.
pub(crate) fn label(identifier: &str) -> String {
    let characters: Vec<char> = identifier.chars().collect();
    if characters.len() < 10 {
        let tail: String = characters.iter().rev().take(2).rev().collect();
        return format!("…{tail}");
    }
    let head: String = characters.iter().take(5).collect();
    let tail: String = characters.iter().skip(characters.len() - 2).collect();
    format!("{head}…{tail}")
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    /// Databases are found by these values: they must never change. Computed with `openssl dgst -mac HMAC`.
    #[test]
    fn the_index_of_an_identifier_is_the_hmac_that_earlier_versions_wrote() {
        let known = Pseudonyms { key: [7; 32] };
        let digest = std::process::Command::new("sh")
            .arg("-c")
            .arg(format!(
                "printf 'pcid\\0GLD1' | openssl dgst -sha256 -mac HMAC -macopt hexkey:{}",
                "07".repeat(32)
            ))
            .output();
        assert_eq!(known.lookup("pcid", "GLD1").len(), 64);
        if let Ok(said) = digest
            && said.status.success()
        {
            let said = String::from_utf8(said.stdout).unwrap();
            assert!(said.trim().ends_with(&known.lookup("pcid", "GLD1")), "{said}");
        }
    }
}
