//! A fleet's certificates issued again while the command is killed: every certificate once, none lost.
#![allow(
    clippy::unwrap_used,
    reason = "a test that meets what it did not expect stops there"
)]

use std::collections::BTreeMap;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use gridlatch_keys::{FileKey, KeyAlgorithm, Signer as _};
use gridlatch_pki::ca::{Ca, CertificateQuery, DATABASE, KeyRing, Order, Requester, Role};
use gridlatch_store::Store;
use gridlatch_trust::Profile;
use gridlatch_trust::build::Subject;
use gridlatch_trust::profile::Kind;
use gridlatch_vocab::{Event, EventSink};
use serde_json::Value;

const BINARY: &str = env!("CARGO_BIN_EXE_gridlatch");
const FLEET: usize = 500;

struct Nowhere;

impl EventSink for Nowhere {
    fn emit(&self, _: Event) {}
}

async fn open(data: &Path) -> Ca {
    let folder = data.join("pki");
    let store = Store::open(folder.join(DATABASE).to_str().unwrap())
        .await
        .unwrap();
    Ca::open(store, KeyRing::in_folder(&folder), Arc::new(Nowhere))
        .await
        .unwrap()
}

async fn issue_fleet(data: &Path) {
    let ca = open(data).await;
    // One key for all: what is tested is the CA, not the making of keys.
    let key = FileKey::generate(KeyAlgorithm::P256).unwrap();
    let mut running = tokio::task::JoinSet::new();
    for number in 0..FLEET {
        let (ca, spki) = (ca.clone(), key.public_key_der().to_vec());
        running.spawn(async move {
            ca.issue(Order {
                authority: "iso2/cpo-sub2".to_owned(),
                profile: Profile::iso2(Kind::SeccLeaf),
                subject: Subject {
                    common_name: format!("DE*GDL*E{number:06}"),
                    organization: None,
                    country: None,
                },
                spki,
                alt_names: Vec::new(),
                not_before: None,
                not_after: None,
                requester: Requester {
                    role: Role::Operator,
                    id: "test".to_owned(),
                },
            })
            .await
            .unwrap();
        });
    }
    while let Some(one) = running.join_next().await {
        one.unwrap();
    }
}

fn reissue(data: &Path, journal: &Path) -> Command {
    let mut command = Command::new(BINARY);
    command
        .args([
            "pki",
            "reissue",
            "--format",
            "json",
            "--from",
            "iso2/cpo-sub2",
            "--data",
        ])
        .arg(data)
        .arg("--journal")
        .arg(journal);
    command
}

/// Certificates done by the journal; 0 where there is none yet.
fn done(journal: &Path) -> u64 {
    std::fs::read(journal)
        .ok()
        .and_then(|text| serde_json::from_slice::<Value>(&text).ok())
        .and_then(|value| value["issued"].as_u64())
        .unwrap_or(0)
}

#[test]
fn a_killed_bulk_issue_goes_on_and_issues_every_certificate_once() {
    let dir = tempfile::tempdir().unwrap();
    let (data, journal) = (dir.path().join("data"), dir.path().join("reissue.json"));
    let init = Command::new(BINARY)
        .args(["pki", "init", "--single-operator", "--data"])
        .arg(&data)
        .output()
        .unwrap();
    assert!(init.status.success(), "{init:?}");
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(issue_fleet(&data));

    let mut kills = 0;
    for _ in 0..3 {
        let before = done(&journal);
        let mut child = reissue(&data, &journal)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let began = Instant::now();
        while done(&journal) < before + 64 && began.elapsed() < Duration::from_secs(60) {
            if child.try_wait().unwrap().is_some() {
                break;
            }
            std::thread::sleep(Duration::from_millis(1));
        }
        if child.try_wait().unwrap().is_none() {
            child.kill().unwrap();
            kills += 1;
        }
        child.wait().unwrap();
    }
    assert!(
        kills >= 1,
        "it was always quicker than its killer: make the fleet larger"
    );
    let left = FLEET as u64 - done(&journal);
    let last = reissue(&data, &journal).output().unwrap();
    assert_eq!(last.status.code(), Some(0), "{last:?}");
    let said: Value = serde_json::from_slice(&last.stdout).unwrap();
    assert_eq!(
        (
            said["total"].as_u64(),
            said["issued"].as_u64(),
            said["failed"].as_u64()
        ),
        (Some(500), Some(500), Some(0))
    );
    // Once more: nothing is left to do.
    let again = reissue(&data, &journal).output().unwrap();
    assert_eq!(again.status.code(), Some(0), "{again:?}");

    let records = runtime.block_on(async {
        open(&data)
            .await
            .list(&CertificateQuery {
                authority: Some("iso2/cpo-sub2".to_owned()),
                limit: 10_000,
                ..CertificateQuery::default()
            })
            .await
            .unwrap()
    });
    let mut by_name: BTreeMap<String, usize> = BTreeMap::new();
    for record in records
        .iter()
        .filter(|record| record.kind == Some(Kind::SeccLeaf))
    {
        *by_name.entry(record.label.clone()).or_default() += 1;
    }
    assert_eq!(by_name.len(), FLEET);
    assert!(
        by_name.values().all(|count| *count == 2),
        "one old and one new of each; {left} were left after {kills} kills"
    );
}

#[test]
fn a_journal_of_another_job_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let (data, journal) = (dir.path().join("data"), dir.path().join("reissue.json"));
    let init = Command::new(BINARY)
        .args(["pki", "init", "--single-operator", "--data"])
        .arg(&data)
        .output()
        .unwrap();
    assert!(init.status.success(), "{init:?}");
    for bad in ["", "{}", "[1]"] {
        std::fs::write(&journal, bad).unwrap();
        let refused = reissue(&data, &journal).output().unwrap();
        assert_eq!(refused.status.code(), Some(1), "{refused:?}");
        assert!(
            String::from_utf8_lossy(&refused.stdout).contains("rollover.journal_damaged"),
            "{refused:?}"
        );
    }
}
