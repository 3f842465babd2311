//! Dual control.

use super::*;

struct Two {
    bench: Bench,
    alice: FileKey,
    bob: FileKey,
}

async fn two() -> Two {
    two_at(system_clock()).await
}

async fn two_at(clock: Clock) -> Two {
    let key = || FileKey::generate(gridlatch_keys::KeyAlgorithm::P256).unwrap();
    let (alice, bob) = (key(), key());
    let plan = Plan {
        worlds: vec![World::Iso2],
        control: Control::Dual,
        operators: vec![
            ("alice".into(), alice.public_key_der().to_vec()),
            ("bob".into(), bob.public_key_der().to_vec()),
        ],
        ..Plan::single("Test")
    };
    let bench = Bench::at(&plan, clock).await;
    Two { bench, alice, bob }
}

#[tokio::test]
async fn a_root_signs_once_after_two_different_operators_agreed() {
    let Two { bench, alice, bob } = two().await;
    let ca = &bench.ca;
    let (order, _) = order(World::Iso2, Kind::OcspSigner, "v2g-root", "Root OCSP");
    let refused = ca.issue(order.clone()).await.unwrap_err();
    assert_eq!(refused.code().as_str(), "ca.approval_needed", "{refused}");

    let request = ca.file(&Action::issue(&order), &operator()).await.unwrap();
    assert_eq!(request.state, "open");
    let sign = |key: &FileKey| key.sign(&request.message).unwrap();
    let first = ca.approve(&request.id, "alice", &sign(&alice)).await.unwrap();
    assert_eq!(first, Outcome::Waiting { given: 1, needed: 2 });
    for (who, signature, why) in [
        ("alice", sign(&alice), "the same one twice"),
        ("bob", sign(&alice), "another's key"),
        ("bob", bob.sign(b"something else").unwrap(), "another message"),
        ("mallory", sign(&bob), "not registered"),
        ("bob", Vec::new(), "nothing"),
    ] {
        let answer = ca.approve(&request.id, who, &signature).await;
        assert!(
            matches!(
                &answer,
                Err(CaError::ApprovalRefused(_)) | Ok(Outcome::Waiting { given: 1, .. })
            ),
            "{why}: {answer:?}"
        );
    }
    let Outcome::Issued(issued) = ca.approve(&request.id, "bob", &sign(&bob)).await.unwrap() else {
        panic!("the second operator carries it out");
    };
    assert!(ca.find("iso2/v2g-root", issued.serial).await.unwrap().is_some());
    let closed = ca.request(&request.id).await.unwrap();
    assert_eq!((closed.state.as_str(), closed.approved_by.len()), ("executed", 2));
    let late = ca.approve(&request.id, "bob", &sign(&bob)).await.unwrap_err();
    assert_eq!(late.code().as_str(), "ca.approval_refused");
    // A leaf needs nobody else.
    let (leaf, _) = super::order(World::Iso2, Kind::SeccLeaf, "cpo-sub2", "DE*GDL*E1");
    ca.issue(leaf).await.unwrap();
}

#[tokio::test]
async fn cas_policy_and_operators_change_by_two_only() {
    let Two { bench, alice, bob } = two().await;
    let ca = &bench.ca;
    let both = async |action: &Action| {
        let request = ca.file(action, &operator()).await?;
        ca.approve(&request.id, "alice", &alice.sign(&request.message).unwrap())
            .await?;
        ca.approve(&request.id, "bob", &bob.sign(&request.message).unwrap())
            .await
    };
    let needed = ca
        .renew_authority("iso2/cpo-sub1", &operator())
        .await
        .unwrap_err();
    assert_eq!(needed.code().as_str(), "ca.approval_needed");
    let action = Action::RenewAuthority {
        authority: "iso2/cpo-sub1".into(),
    };
    let Outcome::Renewed(der) = both(&action).await.unwrap() else {
        panic!("a new certificate");
    };
    assert_eq!(ca.authority("iso2/cpo-sub1").unwrap().der, der);
    // Below a sub-CA, one is enough.
    ca.renew_authority("iso2/cpo-sub2", &operator()).await.unwrap();

    let sub2 = ca.authority("iso2/cpo-sub2").unwrap().serial.unwrap();
    let needed = ca
        .revoke("iso2/cpo-sub1", sub2, Reason::Superseded, now(), &operator())
        .await
        .unwrap_err();
    assert_eq!(needed.code().as_str(), "ca.approval_needed");
    let action = Action::Revoke {
        authority: "iso2/cpo-sub1".into(),
        serial: sub2.to_string(),
        reason: "superseded".into(),
    };
    assert_eq!(both(&action).await.unwrap(), Outcome::Done);
    assert!(
        ca.status("iso2/cpo-sub1", sub2)
            .await
            .unwrap()
            .flatten()
            .is_some()
    );

    assert_eq!(
        ca.set_policy("version = 1").await.unwrap_err().code().as_str(),
        "ca.approval_needed"
    );
    assert!(
        both(&Action::Policy {
            text: "nonsense".into()
        })
        .await
        .is_err()
    );
    let empty = Action::Policy {
        text: "version = 1".into(),
    };
    assert_eq!(both(&empty).await.unwrap(), Outcome::Done);
    let (leaf, _) = order(World::Iso2, Kind::ContractLeaf, "mo-sub2", "DEGDLC12345678");
    assert_eq!(
        ca.issue(leaf).await.unwrap_err().code().as_str(),
        "ca.policy_refused"
    );

    let same = Action::Operator {
        name: "carol".into(),
        key: hex::encode(alice.public_key_der()),
    };
    assert_eq!(both(&same).await.unwrap_err().code().as_str(), "ca.exists");
    let carol = FileKey::generate(gridlatch_keys::KeyAlgorithm::Ed448).unwrap();
    let new = Action::Operator {
        name: "carol".into(),
        key: hex::encode(carol.public_key_der()),
    };
    assert_eq!(both(&new).await.unwrap(), Outcome::Done);
    assert_eq!(ca.operators().await.unwrap(), ["alice", "bob", "carol"]);
}

#[tokio::test]
async fn a_plan_without_two_operators_is_refused_unless_one_was_asked_for() {
    let dir = tempfile::tempdir().unwrap();
    let key = FileKey::generate(gridlatch_keys::KeyAlgorithm::P256).unwrap();
    let spki = key.public_key_der().to_vec();
    for operators in [
        vec![],
        vec![("alice".to_owned(), spki.clone())],
        vec![("alice".to_owned(), spki.clone()), ("bob".to_owned(), spki)],
    ] {
        let plan = Plan {
            control: Control::Dual,
            operators,
            ..Plan::single("Test")
        };
        let error = Ca::init(
            store_in(dir.path()).await,
            KeyRing::in_folder(dir.path()),
            Arc::new(Events::default()),
            &plan,
        )
        .await
        .unwrap_err();
        assert_eq!(error.code().as_str(), "ca.plan_invalid", "{error}");
    }
    assert!(!dir.path().join("iso2").exists(), "nothing was made");
    let missing = Ca::open(
        store_in(dir.path()).await,
        KeyRing::in_folder(dir.path()),
        Arc::new(Events::default()),
    )
    .await
    .unwrap_err();
    assert_eq!(missing.code().as_str(), "ca.not_initialised");
}

#[tokio::test]
async fn a_roots_ocsp_signer_that_ends_is_warned_of_each_day_and_renewed_by_two_operators() {
    let day = Arc::new(std::sync::atomic::AtomicI64::new(0));
    let clock = {
        let day = Arc::clone(&day);
        Arc::new(move || Timestamp(now().0 + time::Duration::days(day.load(Ordering::Relaxed))))
    };
    let Two { bench, alice, bob } = two_at(clock).await;
    let ca = &bench.ca;
    let warned = || {
        let codes = bench.events.codes();
        codes
            .iter()
            .filter(|code| **code == "enrolment.ocsp_signer_due")
            .count()
    };
    let root = "iso2/v2g-root";
    let first = ca.ocsp_signer(root).await.unwrap();
    day.store(59, Ordering::Relaxed);
    assert_eq!(ca.ocsp_signer(root).await.unwrap().serial, first.serial);
    assert_eq!(warned(), 0);

    for (today, warnings) in [(61, 1), (61, 1), (62, 2), (62, 2)] {
        day.store(today, Ordering::Relaxed);
        let signer = ca.ocsp_signer(root).await.unwrap();
        assert_eq!(signer.serial, first.serial, "the old one answers while it can");
        assert_eq!(warned(), warnings, "day {today}");
    }
    // A sub-CA needs nobody.
    let sub = ca.ocsp_signer("iso2/cpo-sub1").await.unwrap();
    assert!(certificate_ends(&sub.der) > certificate_ends(&first.der));
    let open = ca.requests(10).await.unwrap();
    assert_eq!(open.len(), 1, "asked once: {open:?}");
    let request = open[0].clone();
    assert_eq!(
        request.action.summary(),
        "issue a new OCSP signer for iso2/v2g-root"
    );

    day.store(91, Ordering::Relaxed);
    let ended = ca.ocsp_signer(root).await.unwrap_err();
    assert_eq!(ended.code().as_str(), "ca.approval_needed");
    ca.approve(&request.id, "alice", &alice.sign(&request.message).unwrap())
        .await
        .unwrap();
    ca.ocsp_signer(root).await.unwrap_err();
    let done = ca
        .approve(&request.id, "bob", &bob.sign(&request.message).unwrap())
        .await
        .unwrap();
    let Outcome::Issued(issued) = done else {
        panic!("a new signer: {done:?}");
    };
    let next = ca.ocsp_signer(root).await.unwrap();
    assert_eq!((next.serial, &next.der), (issued.serial, &issued.der));
    assert_eq!(
        next.key.public_key_der(),
        gridlatch_trust::certificate::public_key_der(&next.der).unwrap()
    );
    assert_eq!(ca.request(&request.id).await.unwrap().state, "executed");
}

fn certificate_ends(der: &[u8]) -> Timestamp {
    gridlatch_trust::certificate::summary(der).unwrap().not_after
}
