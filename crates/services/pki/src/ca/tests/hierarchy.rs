//! Every certificate of every tree, judged by others.

use std::process::Command;

use gridlatch_trust::Generation;
use gridlatch_trust::profile::{Authority as ProfileAuthority, ROWS, World as ProfileWorld};
use iso15118::pnc::pki as foreign;

use super::*;
use crate::store::to_pem;

/// A name that the grammar of the kind accepts.
fn name_for(kind: Kind) -> &'static str {
    match kind {
        Kind::SeccLeaf => "DE*GDL*E1",
        Kind::ContractLeaf => "DEGDLC12345678",
        Kind::OemProvisioning | Kind::VehicleLeaf => "GLDABCDEFGHJKLMNP",
        Kind::StationClient => "GL-DC-1",
        _ => "Some service",
    }
}

/// Every leaf that every CA may sign: label, profile, chain, root.
async fn everything(ca: &Ca) -> Vec<(String, gridlatch_trust::Profile, Vec<Vec<u8>>, Vec<u8>)> {
    let mut all = Vec::new();
    for authority in ca.authorities() {
        for row in ROWS {
            let leaf = row.authority == ProfileAuthority::Leaf;
            if !leaf || !row.issuers.contains(&authority.profile.kind) {
                continue;
            }
            let short = authority.name.split_once('/').unwrap().1;
            let (order, _) = order(authority.world, row.kind, short, name_for(row.kind));
            let issued = ca.issue(order).await.unwrap();
            let root = ca.root_of(&authority.name).unwrap().der.clone();
            let label = format!("{} by {}", row.name, authority.name);
            all.push((label, authority.world.profile(row.kind), issued.chain, root));
        }
        let signer = ca.ocsp_signer(&authority.name).await.unwrap();
        let mut chain = vec![signer.der];
        chain.extend(ca.chain(&authority.name).unwrap());
        let root = ca.root_of(&authority.name).unwrap().der.clone();
        let profile = authority.world.profile(Kind::OcspSigner);
        all.push((
            format!("own OCSP signer of {}", authority.name),
            profile,
            chain,
            root,
        ));
    }
    all
}

#[tokio::test]
async fn openssl_and_iso15118_accept_every_certificate_of_the_whole_hierarchy() {
    let mut plan = Plan::single("Test");
    // Addresses as long as real ones: they count towards the 800 octets of ISO 15118-2.
    plan.policy = Some(policy::DEFAULT.replace(
        "[urls]\n",
        "[urls]\nocsp = \"http://ocsp.pki.charging.example/ocsp\"\n\
         crl = \"http://crl.pki.charging.example/{authority}.crl\"\n",
    ));
    let bench = Bench::new(&plan).await;
    let all = everything(&bench.ca).await;
    let kinds = ROWS.iter().filter(|row| row.authority == ProfileAuthority::Leaf);
    for row in kinds {
        let worlds = if row.world == ProfileWorld::V2g { 3 } else { 1 };
        let count = all
            .iter()
            .filter(|(_, profile, ..)| profile.kind == row.kind)
            .count();
        assert!(count >= worlds, "{}: {count}", row.name);
    }

    let work = tempfile::tempdir().unwrap();
    let write = |name: &str, certificates: &[Vec<u8>]| {
        let path = work.path().join(name);
        let text: String = certificates.iter().map(|der| to_pem(der)).collect();
        std::fs::write(&path, text).unwrap();
        path
    };
    let mut known = 0;
    for (label, profile, chain, root) in &all {
        let mut command = Command::new("openssl");
        command
            .args([
                "verify",
                "-x509_strict",
                "-policy_check",
                "-check_ss_sig",
                "-CAfile",
            ])
            .arg(write("root.pem", std::slice::from_ref(root)));
        if chain.len() > 1 {
            command.arg("-untrusted").arg(write("subs.pem", &chain[1..]));
        }
        let output = command.arg(write("leaf.pem", &chain[..1])).output().unwrap();
        assert!(output.status.success(), "{label}: {output:?}");
        let octets = chain.iter().map(Vec::len).max().unwrap();
        assert!(octets <= profile.max_octets(), "{label}: {octets}");

        let anchors = [foreign::TrustAnchor::new(root, "test")];
        let links: Vec<&[u8]> = chain.iter().map(Vec::as_slice).collect();
        let verdict = foreign::validate(
            &links,
            &foreign::TrustAnchors::new(&anchors),
            foreign::Policy {
                profile: match profile.kind {
                    Kind::SeccLeaf => foreign::Profile::SeccCertificate,
                    Kind::ContractLeaf => foreign::Profile::ContractCertificate,
                    Kind::OemProvisioning => foreign::Profile::OemProvisioningCertificate,
                    _ => foreign::Profile::Unchecked,
                },
                rules: match profile.generation {
                    Generation::Iso2 => foreign::Rules::Iso2,
                    Generation::Iso20 => foreign::Rules::Iso20,
                },
            },
            now().0.unix_timestamp(),
            &iso15118::pnc::rustcrypto::Backend,
        );
        if label.contains("iso20-ed448/") {
            // The crate does not know Ed448 and says so; what it does know has to pass.
            let text = format!("{verdict:?}");
            assert!(text.contains("UnsupportedSignatureAlgorithm"), "{label}: {text}");
        } else {
            assert!(verdict.is_ok(), "{label}: {verdict:?}");
            known += 1;
        }
    }
    assert!(known >= 40, "{known}");
    let text = Command::new("openssl")
        .args(["x509", "-noout", "-text", "-in"])
        .arg(write("leaf.pem", &all[0].2[..1]))
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&text.stdout).into_owned();
    assert!(
        text.contains("OCSP - URI:http://ocsp.pki.charging.example/ocsp"),
        "{text}"
    );
    assert!(text.contains("URI:http://crl.pki.charging.example/"), "{text}");
}

#[tokio::test]
async fn a_ceremony_that_was_interrupted_is_completed_and_never_repeated() {
    let dir = tempfile::tempdir().unwrap();
    let plan = Plan {
        worlds: vec![World::Ocpp],
        ..Plan::single("Test")
    };
    let init = async || {
        Ca::init(
            store_in(dir.path()).await,
            KeyRing::in_folder(dir.path()),
            Arc::new(Events::default()),
            &plan,
        )
        .await
    };
    // The process died after the first key.
    let keys = KeyRing::in_folder(dir.path());
    let uri = keys.create("ocpp/csms-root", World::Ocpp.algorithm()).unwrap();
    let made = keys.open(&uri).unwrap().public_key_der().to_vec();
    let ca = init().await.unwrap();
    assert_eq!(ca.signer("ocpp/csms-root").unwrap().public_key_der(), made);
    let again = init().await.unwrap_err();
    assert_eq!(again.code().as_str(), "ca.exists", "{again}");

    let reopened = Ca::open(
        store_in(dir.path()).await,
        KeyRing::in_folder(dir.path()),
        Arc::new(Events::default()),
    )
    .await
    .unwrap();
    assert_eq!(reopened.authorities().len(), 2);
    assert_eq!(reopened.chain("ocpp/csms-sub").unwrap().len(), 1);
    let (order, _) = order(World::Ocpp, Kind::StationClient, "csms-sub", "GL-1");
    reopened.issue(order).await.unwrap();

    // Certificates this store does not know are not overwritten.
    let other = tempfile::tempdir().unwrap();
    std::fs::create_dir(other.path().join("ocpp")).unwrap();
    std::fs::write(other.path().join("ocpp/csms-root.crt.pem"), "somebody's").unwrap();
    let refused = Ca::init(
        store_in(other.path()).await,
        KeyRing::in_folder(other.path()),
        Arc::new(Events::default()),
        &plan,
    )
    .await
    .unwrap_err();
    assert_eq!(refused.code().as_str(), "ca.exists", "{refused}");
    assert!(!other.path().join("ocpp/csms-root.key.pem").exists());
}

#[tokio::test]
async fn the_development_pki_is_taken_over_with_what_it_issued() {
    let dir = tempfile::tempdir().unwrap();
    let dev = crate::dev::ensure(dir.path(), &Events::default(), now()).unwrap();
    let station: gridlatch_vocab::StationId = "GL-1".parse().unwrap();
    let before = dev.station_client(&station).unwrap();
    let events = Arc::new(Events::default());
    let adopt = async || {
        Ca::adopt(
            store_in(dir.path()).await,
            KeyRing::in_folder(dir.path()),
            events.clone(),
            &dev,
        )
        .await
        .unwrap()
    };
    let ca = adopt().await;
    assert_eq!(ca.authorities().len(), 24);
    let serial = |der: &[u8]| {
        let parsed = gridlatch_trust::certificate::parse(der).unwrap();
        Serial::from_octets(parsed.tbs_certificate.serial_number.as_bytes()).unwrap()
    };
    let found = ca.find("ocpp/csms-sub", serial(&before.chain[0])).await.unwrap();
    assert_eq!(found.unwrap().der, before.chain[0]);
    let after = dev.station_credentials(&station).unwrap();
    assert_eq!(ca.adopt_issued(&dev).await.unwrap(), 2);
    assert_eq!(ca.adopt_issued(&dev).await.unwrap(), 0);
    let known = ca
        .find("iso20/cpo-sub2", serial(&after[0].chain[0]))
        .await
        .unwrap();
    assert!(known.is_some());
    // Again: nothing new, and the same keys.
    let count = ca.store().pki_count().await.unwrap();
    let again = adopt().await;
    assert_eq!(again.store().pki_count().await.unwrap(), count);
    let (order, _) = order(World::Iso2, Kind::SeccLeaf, "cpo-sub2", "DE*GDL*E9");
    let issued = again.issue(order).await.unwrap();
    assert_eq!(issued.chain[1], before_ca(&dev));
    assert_eq!(
        events
            .codes()
            .iter()
            .filter(|code| **code == "ca.adopted")
            .count(),
        1
    );
}

fn before_ca(dev: &crate::dev::DevPki) -> Vec<u8> {
    dev.ca(World::Iso2, "cpo-sub2").der.clone()
}
