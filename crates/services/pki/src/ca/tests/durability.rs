//! What survives kill -9 and a full disk. The process that dies is this test binary, started again.

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader, Write as _};
use std::process::{Command, Stdio};
use std::time::Duration;

use sha2::{Digest as _, Sha256};

use super::*;

/// Tells the second process where to work.
const FOLDER: &str = "GRIDLATCH_TEST_CA_FOLDER";

fn child_folder() -> Option<std::path::PathBuf> {
    std::env::var_os(FOLDER).map(Into::into)
}

fn this_test(name: &str) -> Command {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command
        .args([
            &format!("ca::tests::durability::{name}"),
            "--exact",
            "--nocapture",
        ])
        .stderr(Stdio::null());
    command
}

/// Straight to the descriptor: the test harness would keep it.
fn say(line: &str) {
    let mut out = std::io::stdout().lock();
    let _ = writeln!(out, "{line}");
    let _ = out.flush();
}

async fn reopened(dir: &Path) -> Ca {
    let keys = KeyRing::in_folder(dir);
    Ca::open(store_in(dir).await, keys, Arc::new(Events::default()))
        .await
        .unwrap()
}

/// The second process of the test below: issues until it is killed, and says what it handed out.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn issues_until_it_is_killed() {
    let Some(dir) = child_folder() else { return };
    let ca = reopened(&dir).await;
    let tasks: Vec<_> = (0..8)
        .map(|_| {
            let ca = ca.clone();
            tokio::spawn(async move {
                loop {
                    let (order, _) = order(World::Ocpp, Kind::StationClient, "csms-sub", "GL-1");
                    let issued = ca.issue(order).await.unwrap();
                    say(&format!(
                        "issued {} {}",
                        issued.serial,
                        hex::encode(Sha256::digest(&issued.der))
                    ));
                }
            })
        })
        .collect();
    if let Some(task) = tasks.into_iter().next() {
        task.await.unwrap();
    }
}

#[tokio::test]
async fn whatever_left_before_kill_9_is_in_the_store_once_and_the_same() {
    let dir = tempfile::tempdir().unwrap();
    let plan = Plan {
        worlds: vec![World::Ocpp],
        ..Plan::single("Test")
    };
    let keys = KeyRing::in_folder(dir.path());
    Ca::init(
        store_in(dir.path()).await,
        keys,
        Arc::new(Events::default()),
        &plan,
    )
    .await
    .unwrap();
    let mut handed_out: BTreeMap<String, String> = BTreeMap::new();
    for round in 0..5_u64 {
        let mut child = this_test("issues_until_it_is_killed")
            .env(FOLDER, dir.path())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let out = child.stdout.take().unwrap();
        let (tell, mut issued) = tokio::sync::mpsc::unbounded_channel();
        let reader = std::thread::spawn(move || {
            BufReader::new(out)
                .lines()
                .map_while(Result::ok)
                .inspect(|line| {
                    if line.starts_with("issued ") {
                        let _ = tell.send(());
                    }
                })
                .collect::<Vec<_>>()
        });
        // How long starting takes is the machine's affair; it is killed at work.
        for _ in 0..5 {
            let one = tokio::time::timeout(Duration::from_secs(60), issued.recv()).await;
            one.expect("it issues in a minute")
                .expect("it issues before it ends");
        }
        let mut random = [0; 1];
        getrandom::fill(&mut random).unwrap();
        tokio::time::sleep(Duration::from_millis(40 * round + 2 * u64::from(random[0]))).await;
        child.kill().unwrap();
        child.wait().unwrap();
        for line in reader.join().unwrap() {
            // A line that was cut off by the kill says nothing.
            let words: Vec<&str> = line.split(' ').collect();
            if let ["issued", serial, digest] = words.as_slice()
                && digest.len() == 64
            {
                let before = handed_out.insert((*serial).to_owned(), (*digest).to_owned());
                assert_eq!(before, None, "serial number {serial} was handed out twice");
            }
        }
        let ca = reopened(dir.path()).await;
        for (serial, digest) in &handed_out {
            let record = ca.find("ocpp/csms-sub", serial.parse().unwrap()).await.unwrap();
            let der = record
                .unwrap_or_else(|| panic!("{serial} left and is not in the store"))
                .der;
            assert_eq!(&hex::encode(Sha256::digest(&der)), digest);
        }
        // What is in the store is whole: every certificate is one of this CA's.
        let query = CertificateQuery {
            limit: 10_000,
            ..CertificateQuery::default()
        };
        let all = ca.list(&query).await.unwrap();
        assert!(all.len() >= handed_out.len());
        for record in all.iter().take(200) {
            assert_eq!(ca.issuer_of(&record.der).unwrap().1, record.serial);
        }
    }
    assert!(
        handed_out.len() >= 20,
        "only {} certificates before the kills",
        handed_out.len()
    );
}

/// The second process of the test below: fills its disk, makes room, and goes on.
#[tokio::test]
async fn issues_until_the_disk_is_full() {
    let Some(dir) = child_folder() else { return };
    let ballast = dir.join("ballast");
    std::fs::write(&ballast, vec![0; 700_000]).unwrap();
    let plan = Plan {
        worlds: vec![World::Ocpp],
        ..Plan::single("Test")
    };
    let keys = KeyRing::in_folder(&dir);
    let ca = Ca::init(store_in(&dir).await, keys, Arc::new(Events::default()), &plan)
        .await
        .unwrap();
    let issue = async || {
        let (order, _) = order(World::Ocpp, Kind::StationClient, "csms-sub", "GL-1");
        ca.issue(order).await
    };
    let mut issued = Vec::new();
    let error = loop {
        match issue().await {
            Ok(one) => issued.push(one),
            Err(error) => break error,
        }
        assert!(issued.len() < 20_000, "the disk never fills up");
    };
    assert_eq!(error.code().as_str(), "ca.disk_full", "{error:?}");
    let to = dir.join("backup");
    let backup = ca.backup(&to, "battery staple 42").await.unwrap_err();
    assert_eq!(backup.code().as_str(), "ca.disk_full", "{backup:?}");
    assert!(!to.exists());
    std::fs::remove_file(&ballast).unwrap();
    issued.push(issue().await.unwrap());
    let query = CertificateQuery {
        authority: Some("ocpp/csms-sub".into()),
        limit: 10_000,
        ..CertificateQuery::default()
    };
    // And the OCSP signer. The one that was refused is not there.
    assert_eq!(ca.list(&query).await.unwrap().len(), issued.len() + 1);
    for one in &issued {
        assert!(ca.find("ocpp/csms-sub", one.serial).await.unwrap().is_some());
    }
    say(&format!("survived {}", issued.len()));
}

#[test]
fn a_full_disk_is_a_coded_refusal_with_nothing_half_issued() {
    let dir = tempfile::tempdir().unwrap();
    // A file system of 3 MB that only the second process sees.
    let script = "mount -t tmpfs -o size=3m none \"$1\" && shift && exec \"$@\"";
    let isolated = |command: &mut Command| {
        let program = command.get_program().to_owned();
        let arguments: Vec<_> = command.get_args().map(ToOwned::to_owned).collect();
        Command::new("unshare")
            .args(["--mount", "sh", "-c", script, "sh"])
            .arg(dir.path())
            .arg(program)
            .args(arguments)
            .env(FOLDER, dir.path())
            .output()
    };
    let able = isolated(&mut Command::new("true")).is_ok_and(|output| output.status.success());
    if !able {
        let required = std::env::var("CI").is_ok_and(|value| value == "true" || value == "1");
        assert!(!required, "needs root for a small file system of its own");
        let _ = writeln!(
            std::io::stderr(),
            "skipped: a_full_disk_is_a_coded_refusal_with_nothing_half_issued: needs root (mount)"
        );
        return;
    }
    let output = isolated(&mut this_test("issues_until_the_disk_is_full")).unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && text.contains("survived "), "{text}");
}
