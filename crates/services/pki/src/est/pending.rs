//! Requests that wait for a person: one file each, so that the service and the command that approves never
//! write the same one.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use gridlatch_keys::write_atomically;
use gridlatch_vocab::Timestamp;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use crate::store::make_dir;

/// How many requests may wait at once.
const MAX_WAITING: usize = 1_000;

/// A request that waits, as lists show it. The common name is masked where it stands for a person.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Waiting {
    /// By which it is approved: the SHA-256 of the request, hex.
    pub id: String,
    /// The CA that would issue.
    pub authority: String,
    /// The kind's word.
    pub kind: String,
    /// For whom.
    pub label: String,
    /// `role:id` of who asks.
    pub requester: String,
    /// Since when.
    pub since: Timestamp,
}

/// What became of a request so far.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    Approved,
    Waits,
    /// A person said no.
    Denied,
    /// [`MAX_WAITING`] others wait already.
    Full,
}

/// The folder of requests that wait.
#[derive(Debug, Clone)]
pub struct Pending {
    folder: PathBuf,
}

impl Pending {
    /// Requests in `folder`, which is made when the first has to wait.
    #[must_use]
    pub fn in_folder(folder: &Path) -> Self {
        Self {
            folder: folder.to_owned(),
        }
    }

    /// Requests that wait, longest first.
    ///
    /// # Errors
    /// The folder cannot be read.
    pub fn list(&self) -> io::Result<Vec<Waiting>> {
        let entries = match fs::read_dir(&self.folder) {
            Ok(entries) => entries,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(error),
        };
        let mut waiting: Vec<Waiting> = entries
            .flatten()
            .filter(|entry| entry.path().extension().is_some_and(|name| name == "json"))
            .take(MAX_WAITING)
            .filter_map(|entry| serde_json::from_slice(&fs::read(entry.path()).ok()?).ok())
            .collect();
        waiting.sort_by_key(|request| request.since);
        Ok(waiting)
    }

    /// Approves the one request whose id begins with `id`; `None` if there is none or more than one.
    ///
    /// # Errors
    /// The folder cannot be written.
    pub fn approve(&self, id: &str) -> io::Result<Option<Waiting>> {
        self.decide(id, "approved")
    }

    /// Refuses the one request whose id begins with `id`, for good: its client is told so when it asks again,
    /// and has to make another. `None` if there is none or more than one.
    ///
    /// # Errors
    /// The folder cannot be written.
    pub fn deny(&self, id: &str) -> io::Result<Option<Waiting>> {
        self.decide(id, "denied")
    }

    fn decide(&self, id: &str, word: &str) -> io::Result<Option<Waiting>> {
        let waiting = self.list()?;
        let mut fitting = waiting.into_iter().filter(|request| request.id.starts_with(id));
        let (Some(request), None) = (fitting.next(), fitting.next()) else {
            return Ok(None);
        };
        fs::rename(self.path(&request.id, "json"), self.path(&request.id, word))?;
        Ok(Some(request))
    }

    /// Whether a request has been approved; files it if it has not been seen.
    pub(super) fn judge(&self, waiting: &Waiting) -> io::Result<Verdict> {
        if self.path(&waiting.id, "approved").try_exists()? {
            return Ok(Verdict::Approved);
        }
        if self.path(&waiting.id, "denied").try_exists()? {
            return Ok(Verdict::Denied);
        }
        let path = self.path(&waiting.id, "json");
        if path.try_exists()? {
            return Ok(Verdict::Waits);
        }
        if self.list()?.len() >= MAX_WAITING {
            return Ok(Verdict::Full);
        }
        make_dir(&self.folder).map_err(io::Error::other)?;
        write_atomically(&path, &serde_json::to_vec_pretty(waiting)?, 0o600)?;
        Ok(Verdict::Waits)
    }

    /// Forgets an approval once it was used.
    pub(super) fn used(&self, id: &str) {
        // Left over it does no harm: the CA takes no request twice.
        let _ = fs::remove_file(self.path(id, "approved"));
    }

    fn path(&self, id: &str, extension: &str) -> PathBuf {
        self.folder.join(format!("{id}.{extension}"))
    }
}

/// The id of a request.
pub(super) fn id(request: &[u8]) -> String {
    Sha256::digest(request)
        .iter()
        .map(|octet| format!("{octet:02x}"))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_waits_until_it_is_approved_and_is_then_forgotten() {
        let dir = tempfile::tempdir().unwrap();
        let pending = Pending::in_folder(&dir.path().join("waiting"));
        assert!(pending.list().unwrap().is_empty());
        let request = |body: &[u8]| Waiting {
            id: id(body),
            authority: "iso2/cpo-sub2".into(),
            kind: "secc-leaf".into(),
            label: "DE*TST*E1".into(),
            requester: "station:1".into(),
            since: gridlatch_host::now(),
        };
        let (one, two) = (request(b"one"), request(b"two"));
        for _ in 0..2 {
            assert_eq!(pending.judge(&one).unwrap(), Verdict::Waits);
            assert_eq!(pending.judge(&two).unwrap(), Verdict::Waits);
        }
        assert_eq!(pending.list().unwrap().len(), 2);
        assert_eq!(pending.approve("").unwrap(), None, "two begin with nothing");
        assert_eq!(pending.approve("zz").unwrap(), None);
        assert_eq!(pending.approve(&one.id[..12]).unwrap().unwrap().id, one.id);
        assert_eq!(pending.judge(&one).unwrap(), Verdict::Approved);
        assert_eq!(pending.judge(&two).unwrap(), Verdict::Waits);
        pending.used(&one.id);
        assert_eq!(pending.judge(&one).unwrap(), Verdict::Waits);
        assert_eq!(pending.deny(&two.id).unwrap().unwrap().id, two.id);
        assert_eq!(pending.judge(&two).unwrap(), Verdict::Denied, "and it stays so");
        assert_eq!(
            pending.approve(&two.id).unwrap(),
            None,
            "it does not wait any more"
        );
        assert_eq!(pending.list().unwrap().len(), 1);
    }
}
