//! Backup and restore, and a disk that fills up.

use super::*;
use crate::ca::backup::{self, restore_message};

const PASSPHRASE: &str = "battery staple 42";

async fn restore(
    from: &Path,
    to: &Path,
    passphrase: &str,
    consents: &[backup::Consent],
) -> Result<Ca, CaError> {
    Ca::restore(from, to, passphrase, consents, Arc::new(Events::default())).await
}

#[tokio::test]
async fn a_backup_brings_back_certificates_keys_and_revocations_and_overwrites_nothing() {
    let bench = Bench::small().await;
    let (leaf, _) = order(World::Iso2, Kind::ContractLeaf, "mo-sub2", "DEGDLC12345678");
    let issued = bench.ca.issue(leaf.clone()).await.unwrap();
    bench
        .ca
        .revoke(
            "iso2/mo-sub2",
            issued.serial,
            Reason::Superseded,
            now(),
            &operator(),
        )
        .await
        .unwrap();
    let out = tempfile::tempdir().unwrap();
    let file = out.path().join("ca.backup");
    let short = bench.ca.backup(&file, "short").await.unwrap_err();
    assert_eq!(short.code().as_str(), "ca.plan_invalid");
    let contents = bench.ca.backup(&file, PASSPHRASE).await.unwrap();
    assert_eq!(backup::check(&file, PASSPHRASE).unwrap(), contents);
    let again = bench.ca.backup(&file, PASSPHRASE).await.unwrap_err();
    assert_eq!(again.code().as_str(), "ca.exists");
    let sealed = std::fs::read(&file).unwrap();
    for secret in [&b"PRIVATE KEY"[..], b"DEGDLC12345678", b"SQLite format"] {
        assert!(!sealed.windows(secret.len()).any(|part| part == secret));
    }

    let target = out.path().join("restored");
    let wrong = restore(&file, &target, "another passphrase", &[])
        .await
        .unwrap_err();
    assert_eq!(wrong.code().as_str(), "ca.wrong_passphrase", "{wrong}");
    let cut = out.path().join("cut.backup");
    for length in [sealed.len() - 1, sealed.len() / 2, 100] {
        std::fs::write(&cut, &sealed[..length]).unwrap();
        let error = restore(&cut, &target, PASSPHRASE, &[]).await.unwrap_err();
        assert!(
            matches!(error.code().as_str(), "ca.backup_damaged" | "ca.wrong_passphrase"),
            "{error}"
        );
    }
    assert!(!target.exists(), "a refusal leaves nothing");

    let restored = restore(&file, &target, PASSPHRASE, &[]).await.unwrap();
    let record = restored
        .find("iso2/mo-sub2", issued.serial)
        .await
        .unwrap()
        .unwrap();
    assert_eq!(record.der, issued.der);
    assert_eq!(record.revoked.map(|(_, reason)| reason), Some(Reason::Superseded));
    let next = restored.issue(leaf).await.unwrap();
    assert_eq!(next.chain[1], issued.chain[1]);
    // The name is found again: the key of the lookup came along.
    let query = CertificateQuery {
        common_name: Some(gridlatch_vocab::Personal::new("DEGDLC12345678".into())),
        limit: 10,
        ..CertificateQuery::default()
    };
    assert_eq!(restored.list(&query).await.unwrap().len(), 2);
    let used = restore(&file, &target, PASSPHRASE, &[]).await.unwrap_err();
    assert_eq!(used.code().as_str(), "ca.exists");
}

#[tokio::test]
async fn a_ca_of_two_operators_is_restored_by_two() {
    let key = || FileKey::generate(gridlatch_keys::KeyAlgorithm::P256).unwrap();
    let (alice, bob) = (key(), key());
    let bench = Bench::new(&Plan {
        worlds: vec![World::Ocpp],
        control: Control::Dual,
        operators: vec![
            ("alice".into(), alice.public_key_der().to_vec()),
            ("bob".into(), bob.public_key_der().to_vec()),
        ],
        ..Plan::single("Test")
    })
    .await;
    let out = tempfile::tempdir().unwrap();
    let file = out.path().join("ca.backup");
    let contents = bench.ca.backup(&file, PASSPHRASE).await.unwrap();
    let message = restore_message(&contents.digest);
    let consent = |name: &str, key: &FileKey| (name.to_owned(), key.sign(&message).unwrap());
    let target = out.path().join("restored");
    for consents in [
        vec![],
        vec![consent("alice", &alice)],
        vec![consent("alice", &alice), consent("alice", &alice)],
        vec![consent("alice", &alice), consent("bob", &alice)],
    ] {
        let error = restore(&file, &target, PASSPHRASE, &consents).await.unwrap_err();
        assert_eq!(error.code().as_str(), "ca.approval_needed", "{error}");
        assert!(!target.exists());
    }
    let both = [consent("alice", &alice), consent("bob", &bob)];
    let restored = restore(&file, &target, PASSPHRASE, &both).await.unwrap();
    assert_eq!(restored.control(), Control::Dual);
}
