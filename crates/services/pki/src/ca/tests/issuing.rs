//! Issuing, renewing, revoking, and what is refused.

use gridlatch_trust::build::AltName;
use gridlatch_trust::certificate;

use super::*;

#[tokio::test]
async fn what_was_issued_is_found_listed_and_reported() {
    let bench = Bench::small().await;
    let (order, key) = order(World::Iso2, Kind::ContractLeaf, "mo-sub2", "DEGDLC12345678");
    let issued = bench.ca.issue(order).await.unwrap();
    assert_eq!(
        certificate::public_key_der(&issued.der).unwrap(),
        key.public_key_der()
    );
    assert_eq!(issued.chain.len(), 3);
    let record = bench
        .ca
        .find("iso2/mo-sub2", issued.serial)
        .await
        .unwrap()
        .unwrap();
    assert_eq!(record.der, issued.der);
    assert_eq!(record.label, "DEGDL…78", "a contract id is masked in lists");
    assert_eq!(record.requester, "operator:tester");
    assert_eq!(record.status(now()), "good");
    assert!(
        bench
            .ca
            .find("iso2/mo-sub1", issued.serial)
            .await
            .unwrap()
            .is_none()
    );
    let query = CertificateQuery {
        common_name: Some(gridlatch_vocab::Personal::new("DEGDLC12345678".into())),
        limit: 10,
        ..CertificateQuery::default()
    };
    assert_eq!(bench.ca.list(&query).await.unwrap(), [record]);
    let text = format!("{:?}", bench.events.0.lock().unwrap());
    assert!(text.contains("ca.certificate_issued"));
    assert!(!text.contains("DEGDLC12345678"), "no event holds the contract id");
}

#[tokio::test]
async fn the_wrong_ca_name_key_or_role_is_refused_by_name_and_nothing_is_issued() {
    let bench = Bench::small().await;
    let before = bench.ca.store().pki_count().await.unwrap();
    let refused = async |change: &dyn Fn(&mut Order)| {
        let (mut order, _) = order(World::Iso2, Kind::SeccLeaf, "cpo-sub2", "DE*GDL*E1");
        change(&mut order);
        let error = bench.ca.issue(order).await.unwrap_err();
        (error.code().as_str(), error.to_string())
    };
    for (code, change) in [
        (
            "ca.unknown_authority",
            (&|order: &mut Order| order.authority = "iso2/nobody".into()) as &dyn Fn(&mut Order),
        ),
        ("ca.wrong_issuer", &|order| {
            order.authority = "iso2/v2g-root".into()
        }),
        ("ca.wrong_issuer", &|order| {
            order.authority = "iso2/mo-sub2".into()
        }),
        ("ca.wrong_issuer", &|order| {
            order.profile = World::Iso20.profile(Kind::SeccLeaf)
        }),
        ("ca.wrong_issuer", &|order| {
            order.profile = World::Iso2.profile(Kind::CpoSub2)
        }),
        ("ca.wrong_issuer", &|order| {
            order.spki = bench.ca.signer("iso2/mo-root").unwrap().public_key_der().to_vec();
        }),
        ("ca.policy_refused", &|order| order.requester.role = Role::Mo),
        ("ca.policy_refused", &|order| {
            order.requester = Requester {
                role: Role::Station,
                id: "GL-2".into(),
            };
        }),
        ("pki.lint_refused", &|order| {
            order.subject.common_name = "a/b".into()
        }),
        ("pki.lint_refused", &|order| {
            order.subject.common_name = "DE\0GDL".into()
        }),
        ("pki.lint_refused", &|order| {
            order.subject.common_name = "x".repeat(65)
        }),
        ("pki.lint_refused", &|order| {
            order.subject.common_name = String::new()
        }),
        ("pki.lint_refused", &|order| {
            order.subject.organization = Some("O".repeat(400))
        }),
        ("pki.lint_refused", &|order| {
            order.spki = FileKey::generate(gridlatch_keys::KeyAlgorithm::P521)
                .unwrap()
                .public_key_der()
                .to_vec();
        }),
        ("pki.lint_refused", &|order| order.spki = vec![0x30, 0x80]),
        ("pki.lint_refused", &|order| {
            order.not_after = Some(Timestamp(now().0 - time::Duration::DAY))
        }),
        ("pki.lint_refused", &|order| {
            order.not_after = Some(Timestamp(now().0 + time::Duration::days(300)))
        }),
    ] {
        let (found, message) = refused(change).await;
        assert_eq!(found, code, "{message}");
        assert!(bench.events.codes().contains(&code), "the refusal is an event");
    }
    let (mut order, _) = order(World::Ocpp, Kind::StationClient, "csms-sub", "GL-1");
    order.requester.role = Role::Csms;
    order.alt_names = vec![AltName::Dns("platform.example".into())];
    let error = bench.ca.issue(order).await.unwrap_err();
    assert_eq!(error.code().as_str(), "ca.policy_refused", "{error}");
    assert_eq!(bench.ca.store().pki_count().await.unwrap(), before);
}

#[tokio::test]
async fn the_same_request_is_served_once() {
    let bench = Bench::small().await;
    let (order, _) = order(World::Iso2, Kind::SeccLeaf, "cpo-sub2", "DE*GDL*E1");
    bench
        .ca
        .issue_for_request(order.clone(), b"octets")
        .await
        .unwrap();
    let error = bench
        .ca
        .issue_for_request(order.clone(), b"octets")
        .await
        .unwrap_err();
    assert_eq!(error.code().as_str(), "ca.request_replayed");
    bench.ca.issue_for_request(order, b"other octets").await.unwrap();
}

#[tokio::test]
async fn a_leaf_is_renewed_with_its_names_and_never_outlives_its_ca() {
    let bench = Bench::small().await;
    let (mut order, _) = order(World::Ocpp, Kind::CsmsServer, "csms-sub", "platform");
    order.alt_names = vec![AltName::Dns("localhost".into()), AltName::Ip(vec![127, 0, 0, 1])];
    let old = bench.ca.issue(order).await.unwrap();
    let key = FileKey::generate(World::Ocpp.algorithm()).unwrap();
    let new = bench
        .ca
        .renew(
            "ocpp/csms-sub",
            old.serial,
            Some(key.public_key_der().to_vec()),
            operator(),
        )
        .await
        .unwrap();
    assert_ne!(old.serial, new.serial);
    assert_eq!(
        certificate::public_key_der(&new.der).unwrap(),
        key.public_key_der()
    );
    let names = |der: &[u8]| {
        let parsed = certificate::parse(der).unwrap();
        let names = parsed
            .tbs_certificate
            .get::<x509_cert::ext::pkix::SubjectAltName>()
            .unwrap();
        (parsed.tbs_certificate.subject, names)
    };
    assert_eq!(names(&old.der), names(&new.der));
    bench
        .ca
        .revoke(
            "ocpp/csms-sub",
            old.serial,
            Reason::Superseded,
            now(),
            &operator(),
        )
        .await
        .unwrap();
    let error = bench
        .ca
        .renew("ocpp/csms-sub", old.serial, None, operator())
        .await
        .unwrap_err();
    assert_eq!(error.code().as_str(), "ca.already_revoked");

    // A sub-CA of two years, asked near its end: the leaf ends with it; after it, nothing is signed.
    let start = now();
    let offset = Arc::new(Mutex::new(time::Duration::ZERO));
    let clock: Clock = {
        let offset = Arc::clone(&offset);
        Arc::new(move || Timestamp(start.0 + *offset.lock().unwrap()))
    };
    let plan = Plan {
        worlds: vec![World::Iso2],
        ..Plan::single("Test")
    };
    let old = Bench::at(&plan, clock).await;
    let secc = || super::order(World::Iso2, Kind::SeccLeaf, "cpo-sub2", "DE*GDL*E1").0;
    *offset.lock().unwrap() = time::Duration::days(700);
    let leaf = certificate::summary(&old.ca.issue(secc()).await.unwrap().der).unwrap();
    let sub = old.ca.authority("iso2/cpo-sub2").unwrap();
    assert_eq!(leaf.not_after, sub.not_after);
    *offset.lock().unwrap() = time::Duration::days(731);
    let error = old.ca.issue(secc()).await.unwrap_err();
    assert_eq!(error.code().as_str(), "ca.authority_unusable", "{error}");
    // Renewed under the same key it issues again.
    let der = old
        .ca
        .renew_authority("iso2/cpo-sub2", &operator())
        .await
        .unwrap();
    assert_eq!(certificate::public_key_der(&der).unwrap(), sub.spki);
    let leaf = old.ca.issue(secc()).await.unwrap();
    assert_eq!(leaf.chain[1], der);
    let copy = std::fs::read(old.dir.path().join("iso2/cpo-sub2.crt.pem")).unwrap();
    assert_eq!(certificate::from_pem(&copy).unwrap(), [der]);
}

#[tokio::test]
async fn a_revoked_ca_and_everything_below_it_sign_nothing() {
    let bench = Bench::small().await;
    let sub1 = bench.ca.authority("iso2/cpo-sub1").unwrap();
    let (leaf, _) = order(World::Iso2, Kind::SeccLeaf, "cpo-sub2", "DE*GDL*E1");
    let issued = bench.ca.issue(leaf.clone()).await.unwrap();
    let revoke = async |authority: &str, serial| {
        bench
            .ca
            .revoke(authority, serial, Reason::KeyCompromise, now(), &operator())
            .await
    };
    let unknown = revoke("iso2/cpo-sub2", "1".parse().unwrap()).await.unwrap_err();
    assert_eq!(unknown.code().as_str(), "ca.unknown_certificate");
    revoke("iso2/cpo-sub2", issued.serial).await.unwrap();
    let twice = revoke("iso2/cpo-sub2", issued.serial).await.unwrap_err();
    assert_eq!(twice.code().as_str(), "ca.already_revoked");
    let status = bench.ca.status("iso2/cpo-sub2", issued.serial).await.unwrap();
    assert_eq!(
        status.flatten().map(|(_, reason)| reason),
        Some(Reason::KeyCompromise)
    );
    let list = bench
        .ca
        .revoked_since("iso2/cpo-sub2", 0, now(), 10)
        .await
        .unwrap();
    assert_eq!(
        list.iter().map(|entry| entry.serial).collect::<Vec<_>>(),
        [issued.serial]
    );

    revoke("iso2/v2g-root", sub1.serial.unwrap()).await.unwrap();
    let error = bench.ca.issue(leaf).await.unwrap_err();
    assert_eq!(error.code().as_str(), "ca.authority_unusable", "{error}");
    assert!(bench.events.codes().contains(&"ca.certificate_revoked"));
}

#[tokio::test]
async fn a_key_that_is_away_is_an_error_only_when_it_is_needed() {
    let bench = Bench::small().await;
    let root = bench.dir.path().join("iso2/v2g-root.key.pem");
    std::fs::rename(&root, bench.dir.path().join("in-the-safe")).unwrap();
    let ca = Ca::open(
        store_in(bench.dir.path()).await,
        bench.ca.keys().clone(),
        bench.events.clone(),
    )
    .await
    .unwrap();
    let (leaf, _) = order(World::Iso2, Kind::SeccLeaf, "cpo-sub2", "DE*GDL*E1");
    ca.issue(leaf).await.unwrap();
    let error = ca
        .renew_authority("iso2/cpo-sub1", &operator())
        .await
        .unwrap_err();
    assert_eq!(error.code().as_str(), "key.file", "{error}");
    // Another key in its place is not taken.
    std::fs::copy(bench.dir.path().join("iso2/mo-root.key.pem"), &root).unwrap();
    let error = ca
        .renew_authority("iso2/cpo-sub1", &operator())
        .await
        .unwrap_err();
    assert_eq!(error.code().as_str(), "pki.store_damaged", "{error}");
    let unknown = bench.ca.keys().open("pkcs11:token=hsm;object=root").unwrap_err();
    assert_eq!(unknown.code().as_str(), "ca.key_scheme");
    for uri in ["file:../outside.pem", "file:", "no-scheme"] {
        assert!(bench.ca.keys().open(uri).is_err(), "{uri}");
    }
}

#[tokio::test]
async fn a_request_is_enrolled_once_and_only_with_proof_and_for_what_its_profile_gives() {
    use gridlatch_trust::csr;
    let bench = Bench::small().await;
    let csms = Requester {
        role: Role::Csms,
        id: "platform".into(),
    };
    let key = FileKey::generate(World::Iso2.algorithm()).unwrap();
    let request = |common_name: &str, dc: Option<&str>, signer: &FileKey| {
        let subject = Subject {
            common_name: common_name.into(),
            organization: None,
            country: None,
        };
        let sign = |message: &[u8]| signer.sign(message).map_err(Into::into);
        csr::build(&subject, dc, key.public_key_der(), World::Iso2.algorithm(), &sign).unwrap()
    };
    let profile = World::Iso2.profile(Kind::SeccLeaf);
    let enroll = async |der: &[u8]| {
        bench
            .ca
            .enroll(der, "iso2/cpo-sub2", profile, csms.clone())
            .await
            .map_err(|error| error.code().as_str())
    };
    let good = request("DE*GDL*E1", Some("CPO"), &key);
    let issued = enroll(&good).await.unwrap();
    let summary = certificate::summary(&issued.der).unwrap();
    assert_eq!(summary.domain_component.as_deref(), Some("CPO"));
    assert_eq!(
        certificate::public_key_der(&issued.der).unwrap(),
        key.public_key_der()
    );
    assert_eq!(enroll(&good).await, Err("ca.request_replayed"));

    let other = FileKey::generate(World::Iso2.algorithm()).unwrap();
    assert_eq!(
        enroll(&request("DE*GDL*E1", None, &other)).await,
        Err("pki.csr_possession")
    );
    assert_eq!(
        enroll(&request("DE*GDL*E1", Some("MO"), &key)).await,
        Err("pki.csr_name")
    );
    assert_eq!(
        enroll(&request("not/an/evse", None, &key)).await,
        Err("pki.lint_refused")
    );
    let mut bent = request("DE*GDL*E2", None, &key);
    let middle = bent.len() / 2;
    bent[middle] ^= 1;
    assert!(enroll(&bent).await.is_err());
    assert!(enroll(&good[..good.len() - 1]).await.is_err());
    assert!(enroll(&vec![0x30; 20_000]).await.is_err());
    let query = CertificateQuery {
        authority: Some("iso2/cpo-sub2".into()),
        limit: 10,
        ..CertificateQuery::default()
    };
    assert_eq!(
        bench.ca.list(&query).await.unwrap().len(),
        2,
        "the one that was served, and the OCSP signer"
    );
}
