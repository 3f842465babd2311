//! Acknowledged means durable: a process that is killed at any instruction has lost nothing it promised.
#![allow(
    clippy::unwrap_used,
    missing_docs,
    reason = "a test that meets what it did not expect stops there; its parts need no documentation"
)]

use std::collections::BTreeSet;
use std::io::{BufRead as _, BufReader, Write as _};
use std::process::{Command, Stdio};

use gridlatch_store::Store;
use gridlatch_vocab::Timestamp;

const CHILD: &str = "GRIDLATCH_STORE_KILL_CHILD";

/// Not a test of its own: what the child process runs until it is killed.
#[tokio::test]
async fn child() {
    let Ok(place) = std::env::var(CHILD) else { return };
    let store = Store::open(&place).await.unwrap();
    let mut tasks = Vec::new();
    for task in 0..8 {
        let store = store.clone();
        tasks.push(tokio::spawn(async move {
            for count in 0.. {
                let payload = format!("{task}-{count}");
                store
                    .outbox_push("kill", &payload, Timestamp::from_unix_millis(0))
                    .await
                    .unwrap();
                // One write call per line, so that the kill cannot tear one.
                let line = format!("\nACK {payload}\n");
                std::io::stdout().lock().write_all(line.as_bytes()).unwrap();
            }
        }));
    }
    for task in tasks {
        task.await.unwrap();
    }
}

#[tokio::test]
async fn everything_acknowledged_survives_sigkill() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("store.db");
    let place = path.to_str().unwrap();
    let mut acknowledged = BTreeSet::new();
    for round in 1..=3 {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "child", "--nocapture"])
            .env(CHILD, place)
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let mut seen = 0;
        let mut killed = false;
        for line in lines {
            let Ok(line) = line else { break };
            if let Some(payload) = line.strip_prefix("ACK ") {
                acknowledged.insert(payload.to_owned());
                seen += 1;
            }
            if seen == 40 * round && !killed {
                // SIGKILL; what it wrote to the pipe before is still read to the end.
                child.kill().unwrap();
                killed = true;
            }
        }
        child.wait().unwrap();
        assert!(killed, "the child died by itself after {seen} writes");
    }

    let store = Store::open(place).await.unwrap();
    let mut kept = BTreeSet::new();
    loop {
        let items = store.outbox_peek("kill", 1000).await.unwrap();
        let Some(last) = items.last().map(|item| item.number) else {
            break;
        };
        kept.extend(items.iter().map(|item| item.payload.clone()));
        if items.len() < 1000 {
            break;
        }
        for item in items.iter().filter(|item| item.number <= last) {
            store.outbox_ack("kill", item.number).await.unwrap();
        }
    }
    let lost: Vec<_> = acknowledged.difference(&kept).collect();
    assert!(lost.is_empty(), "{} of {} lost", lost.len(), acknowledged.len());
}
