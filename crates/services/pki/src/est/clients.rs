//! Who may enrol without a certificate: names with a secret, for the first certificate of a device and for
//! the systems that enrol on behalf of many.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{PoisonError, RwLock};
use std::time::SystemTime;

use gridlatch_keys::write_atomically;
use gridlatch_vocab::{Secret, Timestamp};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use thiserror::Error;

use crate::ca::Requester;

/// How many clients there may be.
const MAX_CLIENTS: usize = 10_000;
/// The largest file that is read, bytes.
const MAX_FILE: u64 = 4 * 1024 * 1024;
/// Random octets of a secret: far beyond guessing, so that a plain digest keeps it.
const SECRET: usize = 20;

/// One client as it is kept: the secret itself is not.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Client {
    /// What it calls itself.
    pub name: String,
    /// What it may ask for, by the issuing policy.
    pub role: String,
    /// Its name within the role, a station id for example.
    pub id: String,
    /// Whether a person has to approve each of its requests.
    #[serde(default)]
    pub supervised: bool,
    /// SHA-256 over name and secret, lower-case hex.
    digest: String,
    /// When it was added.
    pub added: Timestamp,
}

/// The file of clients could not be used.
#[derive(Debug, Error)]
pub enum ClientsError {
    /// The file system refused.
    #[error("cannot {operation} {path}", path = .path.display())]
    File {
        /// What was attempted.
        operation: &'static str,
        /// Which file.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The file is not what this program writes.
    #[error("{path} is not a list of clients", path = .path.display())]
    Malformed {
        /// Which file.
        path: PathBuf,
        /// Why.
        #[source]
        source: serde_json::Error,
    },
    /// The name is taken or is none.
    #[error("{0}")]
    Name(&'static str),
    /// The system gave no random numbers.
    #[error("the system gave no random numbers")]
    Entropy,
}

/// The clients of one file, read again when it has changed.
#[derive(Debug)]
pub struct Clients {
    path: PathBuf,
    loaded: RwLock<Loaded>,
}

#[derive(Debug, Default)]
struct Loaded {
    stamp: Option<(SystemTime, u64)>,
    clients: Vec<Client>,
}

impl Clients {
    /// The clients of `path`; none while there is no such file.
    ///
    /// # Errors
    /// There is a file, and it cannot be read.
    pub fn open(path: &Path) -> Result<Self, ClientsError> {
        let this = Self {
            path: path.to_owned(),
            loaded: RwLock::default(),
        };
        this.refresh()?;
        Ok(this)
    }

    /// Everybody in the file.
    #[must_use]
    pub fn list(&self) -> Vec<Client> {
        self.loaded
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .clients
            .clone()
    }

    /// Adds a client and returns its secret, which is kept nowhere.
    ///
    /// # Errors
    /// The name is taken, or is not 1 to 64 of letters, digits, `.`, `-` and `_`; the file cannot be written.
    pub fn add(
        &self,
        name: &str,
        requester: &Requester,
        supervised: bool,
        now: Timestamp,
    ) -> Result<Secret<String>, ClientsError> {
        let id = requester.id.as_str();
        let plain = |text: &str, more: &str| {
            (1..=64).contains(&text.len())
                && text
                    .chars()
                    .all(|c| c.is_ascii_alphanumeric() || more.contains(c))
        };
        if !plain(name, ".-_") {
            return Err(ClientsError::Name(
                "a client's name is 1 to 64 of letters, digits, `.`, `-` and `_`",
            ));
        }
        if !plain(id, ".-_*=:+|@") {
            return Err(ClientsError::Name(
                "an id is 1 to 64 of letters, digits and .-_*=:+|@",
            ));
        }
        self.refresh()?;
        let mut clients = self.list();
        if clients.iter().any(|client| client.name == name) {
            return Err(ClientsError::Name(
                "there is a client of this name; remove it first",
            ));
        }
        if clients.len() >= MAX_CLIENTS {
            return Err(ClientsError::Name("there are 10,000 clients; remove some first"));
        }
        let mut random = [0; SECRET];
        getrandom::fill(&mut random).map_err(|_| ClientsError::Entropy)?;
        let secret: String = random.iter().map(|octet| format!("{octet:02x}")).collect();
        clients.push(Client {
            name: name.to_owned(),
            role: requester.role.as_str().to_owned(),
            id: id.to_owned(),
            supervised,
            digest: digest(name, &secret),
            added: now,
        });
        self.save(&clients)?;
        Ok(Secret::new(secret))
    }

    /// Removes a client; `false` if there is none of this name.
    ///
    /// # Errors
    /// The file cannot be read or written.
    pub fn remove(&self, name: &str) -> Result<bool, ClientsError> {
        self.refresh()?;
        let mut clients = self.list();
        let before = clients.len();
        clients.retain(|client| client.name != name);
        let removed = clients.len() < before;
        if removed {
            self.save(&clients)?;
        }
        Ok(removed)
    }

    /// The client with this name and secret, and whether it is supervised.
    #[must_use]
    pub(super) fn by_password(&self, name: &str, secret: &str) -> Option<(Requester, bool)> {
        let wanted = digest(name, secret);
        self.find(|client| client.name == name && same(&client.digest, &wanted))
    }

    /// The client that a bearer token names and proves: `name:secret`, or the secret alone.
    #[must_use]
    pub(super) fn by_token(&self, token: &str) -> Option<(Requester, bool)> {
        match token.split_once(':') {
            Some((name, secret)) => self.by_password(name, secret),
            None => self.find(|client| same(&client.digest, &digest(&client.name, token))),
        }
    }

    fn find(&self, wanted: impl Fn(&Client) -> bool) -> Option<(Requester, bool)> {
        // A file that cannot be read now leaves those in force who were.
        let _ = self.refresh();
        let loaded = self.loaded.read().unwrap_or_else(PoisonError::into_inner);
        let client = loaded.clients.iter().find(|client| wanted(client))?;
        let requester = Requester {
            role: client.role.parse().ok()?,
            id: client.id.clone(),
        };
        Some((requester, client.supervised))
    }

    fn refresh(&self) -> Result<(), ClientsError> {
        let wrap = |source| ClientsError::File {
            operation: "read",
            path: self.path.clone(),
            source,
        };
        let stamp = match fs::metadata(&self.path) {
            Ok(metadata) if metadata.len() > MAX_FILE => {
                return Err(wrap(io::Error::new(
                    io::ErrorKind::FileTooLarge,
                    "it is too large",
                )));
            }
            Ok(metadata) => Some((metadata.modified().map_err(wrap)?, metadata.len())),
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            Err(error) => return Err(wrap(error)),
        };
        if self.loaded.read().unwrap_or_else(PoisonError::into_inner).stamp == stamp {
            return Ok(());
        }
        let clients = match stamp {
            None => Vec::new(),
            Some(_) => {
                let text = fs::read(&self.path).map_err(wrap)?;
                serde_json::from_slice(&text).map_err(|source| ClientsError::Malformed {
                    path: self.path.clone(),
                    source,
                })?
            }
        };
        *self.loaded.write().unwrap_or_else(PoisonError::into_inner) = Loaded { stamp, clients };
        Ok(())
    }

    fn save(&self, clients: &[Client]) -> Result<(), ClientsError> {
        let text = serde_json::to_vec_pretty(clients).map_err(|source| ClientsError::Malformed {
            path: self.path.clone(),
            source,
        })?;
        write_atomically(&self.path, &text, 0o600).map_err(|source| ClientsError::File {
            operation: "write",
            path: self.path.clone(),
            source,
        })?;
        self.refresh()
    }
}

fn digest(name: &str, secret: &str) -> String {
    Sha256::new()
        .chain_update(name)
        .chain_update([0])
        .chain_update(secret)
        .finalize()
        .iter()
        .map(|octet| format!("{octet:02x}"))
        .collect()
}

/// Compares in time that does not depend on where two texts differ.
fn same(a: &str, b: &str) -> bool {
    a.len() == b.len() && a.bytes().zip(b.bytes()).fold(0, |sum, (a, b)| sum | (a ^ b)) == 0
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ca::Role;

    #[test]
    fn a_secret_opens_for_its_name_only_and_no_longer_than_it_is_kept() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("clients.json");
        let clients = Clients::open(&path).unwrap();
        let other = Clients::open(&path).unwrap();
        let now = gridlatch_host::now();
        let acme = |id: &str| Requester {
            role: Role::Cpo,
            id: id.to_owned(),
        };
        let secret = clients.add("cpo-1", &acme("acme"), false, now).unwrap();
        let secret = secret.expose();
        assert_eq!(secret.len(), 2 * SECRET);
        assert!(!fs::read_to_string(&path).unwrap().contains(secret.as_str()));
        for clients in [&clients, &other] {
            let found = clients.by_password("cpo-1", secret).unwrap();
            assert_eq!(found, (acme("acme"), false));
            assert_eq!(clients.by_token(secret), Some(found.clone()));
            assert_eq!(clients.by_token(&format!("cpo-1:{secret}")), Some(found));
            assert_eq!(clients.by_password("cpo-2", secret), None);
            assert_eq!(clients.by_password("cpo-1", "x"), None);
            assert_eq!(clients.by_token("cpo-1"), None);
        }
        assert!(clients.add("cpo-1", &acme("acme"), false, now).is_err());
        assert!(clients.add("a b", &acme("acme"), false, now).is_err());
        assert!(clients.add("b", &acme("a\nb"), false, now).is_err());
        assert!(clients.remove("cpo-1").unwrap());
        assert!(!clients.remove("cpo-1").unwrap());
        assert_eq!(other.by_password("cpo-1", secret), None);
        fs::write(&path, "{").unwrap();
        assert!(Clients::open(&path).is_err());
    }
}
