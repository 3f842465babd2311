//! `run.json` in the data folder: what a running `gridlatch up` tells other commands about itself.

use std::net::SocketAddrV6;
use std::path::{Path, PathBuf};

use gridlatch_vocab::{EvseId, StationId};
use serde::{Deserialize, Serialize};

/// The name of the file within the data folder.
pub(crate) const NAME: &str = "run.json";

/// What runs, and where.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct RunFile {
    /// The process that wrote the file; the file is stale when it is gone.
    pub(crate) pid: u32,
    /// Base address of the console, ending in `/`.
    pub(crate) console: String,
    /// Base address of the REST interface, without a trailing `/`.
    pub(crate) rest: String,
    /// The file that holds the operator token for both.
    pub(crate) token_file: PathBuf,
    /// Base address stations connect to, without their id.
    pub(crate) ocpp: String,
    /// Base address of enrolment, without a trailing `/`.
    pub(crate) est: String,
    /// Base address of the Plug & Charge pools, without a trailing `/`.
    pub(crate) pools: String,
    /// Where OCSP answers.
    pub(crate) ocsp: String,
    /// Where revocation lists are; `{authority}` stands for the CA's name.
    pub(crate) crl: String,
    /// The simulated stations.
    pub(crate) stations: Vec<RunStation>,
}

impl RunFile {
    /// The operator token.
    pub(crate) fn token(&self) -> Result<String, RunFileError> {
        match std::fs::read_to_string(&self.token_file) {
            Ok(text) => Ok(text.trim().to_owned()),
            Err(error) => Err(RunFileError::Unreadable(self.token_file.clone(), error)),
        }
    }
}

/// One simulated station.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct RunStation {
    /// Its identity.
    pub(crate) id: StationId,
    /// Its EVSEs.
    pub(crate) evses: Vec<RunEvse>,
}

/// One EVSE of a simulated station.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct RunEvse {
    /// Its number.
    pub(crate) evse: EvseId,
    /// What it delivers.
    pub(crate) kind: Supply,
    /// Where it answers discovery.
    pub(crate) sdp: SocketAddrV6,
    /// The socket that stands for its charging cable.
    pub(crate) cable: PathBuf,
}

/// What an EVSE delivers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Supply {
    /// Alternating current.
    Ac,
    /// Direct current, both directions.
    Dc,
}

/// Why there is nothing to talk to.
#[derive(Debug, thiserror::Error)]
pub(crate) enum RunFileError {
    /// Nothing was ever started on this data folder, or it was stopped in order.
    #[error("nothing runs on the data folder {0}; start it with `gridlatch up --data {0}`")]
    NotRunning(PathBuf),
    /// A file is there, but its process is gone.
    #[error(
        "the last `gridlatch up` on {0} (process {1}) is gone; start it again with `gridlatch up --data {0}`"
    )]
    Stale(PathBuf, u32),
    /// The file cannot be read.
    #[error("cannot read {0}")]
    Unreadable(PathBuf, #[source] std::io::Error),
    /// The file is not what this version writes.
    #[error(
        "{0} was not written by this version of gridlatch; stop the old `gridlatch up` and start it again"
    )]
    Malformed(PathBuf, #[source] serde_json::Error),
}

/// Reads the run file of a data folder and checks that its process is alive.
pub(crate) fn read(data: &Path) -> Result<RunFile, RunFileError> {
    let path = data.join(NAME);
    let text = match std::fs::read(&path) {
        Ok(text) => text,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            return Err(RunFileError::NotRunning(data.to_owned()));
        }
        Err(error) => return Err(RunFileError::Unreadable(path, error)),
    };
    let run: RunFile = serde_json::from_slice(&text).map_err(|error| RunFileError::Malformed(path, error))?;
    if Path::new("/proc").join(run.pid.to_string()).exists() {
        Ok(run)
    } else {
        Err(RunFileError::Stale(data.to_owned(), run.pid))
    }
}
