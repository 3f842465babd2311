//! A development PKI on the disk, and the command on its files.

use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::Arc;

use gridlatch_pki::dev::{self, DevPki};
use gridlatch_trust::{KeyAlgorithm, certificate};
use gridlatch_vocab::{Event, EventSink, Timestamp};
use serde_json::Value;

struct Nobody;

impl EventSink for Nobody {
    fn emit(&self, _: Event) {}
}
pub(crate) struct World {
    pub(crate) dir: tempfile::TempDir,
    pub(crate) chain: Vec<Vec<u8>>,
    pub(crate) key: Vec<u8>,
    pub(crate) root: Vec<u8>,
}

pub(crate) fn now() -> Timestamp {
    Timestamp(time::OffsetDateTime::now_utc())
}

impl World {
    /// The SECC chain of ISO 15118-2 of a development PKI.
    pub(crate) fn new() -> Self {
        Self::asking(None)
    }

    /// As [`Self::new`]; the leaf names a responder and a list at `place`.
    pub(crate) fn asking(place: Option<&str>) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let mut pki: DevPki = dev::ensure(&dir.path().join("pki"), &Nobody, now()).unwrap();
        if let Some(place) = place {
            pki = pki.publishing_at(
                format!("http://{place}/ocsp"),
                format!("http://{place}/{{authority}}.crl"),
            );
        }
        let credentials = pki.station_credentials(&"GL-1".parse().unwrap()).unwrap();
        let secc = credentials
            .into_iter()
            .find(|credential| credential.key.algorithm() == KeyAlgorithm::P256)
            .unwrap();
        let key = Arc::clone(&secc.key).as_file().unwrap().to_pem().unwrap();
        Self {
            chain: secc.chain,
            key,
            root: pki.v2g_roots()[0].clone(),
            dir,
        }
    }

    pub(crate) fn file(&self, name: &str, content: &[u8]) -> PathBuf {
        let path = self.dir.path().join(name);
        std::fs::write(&path, content).unwrap();
        path
    }

    pub(crate) fn pem(&self, name: &str, chain: &[Vec<u8>]) -> PathBuf {
        let text: String = chain.iter().map(|der| certificate::to_pem(der)).collect();
        self.file(name, text.as_bytes())
    }

    pub(crate) fn root(&self) -> PathBuf {
        self.pem("root.pem", std::slice::from_ref(&self.root))
    }
}

pub(crate) fn why(what: &Path, arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_gridlatch"))
        .args(["pki", "why"])
        .arg(what)
        .args(arguments)
        .env("GRIDLATCH_DATA", "/nonexistent")
        .stdin(Stdio::null())
        .output()
        .unwrap()
}

pub(crate) fn json(what: &Path, arguments: &[&str], exit: i32) -> Value {
    let output = why(what, &[arguments, &["--format", "json"]].concat());
    assert_eq!(output.status.code(), Some(exit), "{output:?}");
    serde_json::from_slice(&output.stdout).unwrap()
}

pub(crate) fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

pub(crate) fn odd(value: &Value) -> Vec<&str> {
    let list = value["odd"].as_array().unwrap();
    list.iter()
        .map(|finding| finding["code"].as_str().unwrap())
        .collect()
}
pub(crate) fn openssl(arguments: &[&str]) {
    let done = Command::new("openssl").args(arguments).output().unwrap();
    assert!(done.status.success(), "{arguments:?}: {done:?}");
}
