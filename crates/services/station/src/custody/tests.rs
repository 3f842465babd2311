mod listener;
mod tokens;
mod world;

use std::sync::Arc;

use gridlatch_keys::{OpensslVerifier, Signer as _};
use gridlatch_tls::Credential;
use gridlatch_trust::profile::Kind;
use gridlatch_trust::{certificate, csr};
use gridlatch_vocab::catalogue::{custody as codes, pki};

use super::*;
use world::{NAME, World, certify, key, later, now, pem};

fn shown(custody: &Custody, at: Timestamp) -> Vec<String> {
    custody
        .vehicle_credentials(at)
        .iter()
        .map(|credential| credential.label.clone())
        .collect()
}

#[test]
fn a_renewed_certificate_is_shown_first_survives_a_restart_and_the_old_one_goes_after_48_hours() {
    let folder = tempfile::tempdir().unwrap();
    let world = World::new("A");
    let config = world.config(folder.path());
    let custody = Custody::open(config.clone(), now()).unwrap();
    assert_eq!(shown(&custody, now()), ["delivered"]);
    let request = custody.request(CertificateUse::Vehicle).unwrap();
    let named = custody
        .install(
            CertificateUse::Vehicle,
            &world.answer(&request, (later(-1), None)),
            now(),
        )
        .unwrap();
    assert_eq!(named.issuer, "A sub 2");
    let label = format!("vehicle-2/{}", named.serial);
    assert_eq!(shown(&custody, now()), [label, "delivered".to_owned()]);
    assert_eq!(custody.due(now()), []);

    let again = Custody::open(config.clone(), now()).unwrap();
    let both = shown(&again, now());
    assert_eq!(both.len(), 2);
    assert_eq!(both[1], "delivered");
    again.tick(later(CROSSOVER - 1));
    assert_eq!(shown(&again, now()).len(), 2, "47 hours: both");
    again.tick(later(CROSSOVER + 1));
    assert_eq!(
        shown(&again, now()),
        [both[0].clone()],
        "49 hours: the new one alone"
    );
    // What is left still answers after another restart.
    assert_eq!(
        shown(&Custody::open(config, later(CROSSOVER + 1)).unwrap(), now()).len(),
        1
    );
}

#[test]
fn a_certificate_delivered_ahead_of_its_time_is_held_but_not_preferred() {
    let folder = tempfile::tempdir().unwrap();
    let world = World::new("A");
    let custody = Custody::open(world.config(folder.path()), now()).unwrap();
    let request = custody.request(CertificateUse::Vehicle).unwrap();
    let answer = world.answer(&request, (later(24), None));
    custody.install(CertificateUse::Vehicle, &answer, now()).unwrap();
    assert_eq!(shown(&custody, now())[0], "delivered");
    assert_ne!(shown(&custody, later(25))[0], "delivered");
    custody.tick(later(CROSSOVER + 2));
    assert_eq!(
        shown(&custody, later(26)).len(),
        2,
        "the crossover begins with the new one's validity"
    );
}

#[test]
fn a_request_repeats_its_key_until_it_is_answered_even_across_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let world = World::new("A");
    let config = world.config(folder.path());
    let first = Custody::open(config.clone(), now())
        .unwrap()
        .request(CertificateUse::Vehicle)
        .unwrap();
    let custody = Custody::open(config, now()).unwrap();
    assert_eq!(custody.due(now()), [CertificateUse::Vehicle]);
    let spki = |request: &SigningRequest| {
        csr::parse(&csr::from_pem(request.csr.as_bytes()).unwrap(), &OpensslVerifier)
            .unwrap()
            .spki
    };
    assert_eq!(
        spki(&custody.request(CertificateUse::Vehicle).unwrap()),
        spki(&first)
    );
    let answer = world.answer(&first, (later(-1), None));
    custody.install(CertificateUse::Vehicle, &answer, now()).unwrap();
    let twice = custody
        .install(CertificateUse::Vehicle, &answer, now())
        .unwrap_err();
    assert_eq!(twice.code, codes::NOT_ASKED, "an answer counts once");
    assert_ne!(
        spki(&custody.request(CertificateUse::Vehicle).unwrap()),
        spki(&first)
    );
}

#[test]
fn what_a_vehicle_would_refuse_is_not_installed_and_the_old_one_stays() {
    let folder = tempfile::tempdir().unwrap();
    let (world, stranger) = (World::new("A"), World::new("B"));
    let custody = Custody::open(world.config(folder.path()), now()).unwrap();
    let request = custody.request(CertificateUse::Vehicle).unwrap();
    let der = csr::from_pem(request.csr.as_bytes()).unwrap();
    let spki = csr::parse(&der, &OpensslVerifier).unwrap().spki;
    let life = (later(-1), None);
    let cases = [
        (pki::NO_PATH, stranger.answer(&request, life)),
        (
            pki::COMMON_NAME,
            world.chain(&world.secc("DE*GDL*E000002", &spki, life)),
        ),
        (
            codes::NOT_ASKED,
            world.chain(&world.secc(NAME, key().public_key_der(), life)),
        ),
        (
            pki::EXPIRED,
            world.chain(&world.secc(NAME, &spki, (later(-48), Some(later(-24))))),
        ),
        (pki::NO_PATH, pem(&[&world.secc(NAME, &spki, life)])),
        (
            pki::DOMAIN_COMPONENT,
            pem(&[&certify(
                Kind::StationClient,
                NAME,
                &spki,
                Some((&world.csms, &world.csms_key)),
                None,
                life,
            )]),
        ),
        (pki::MALFORMED, "no certificate".to_owned()),
        (
            pki::MALFORMED,
            "-----BEGIN CERTIFICATE-----\n!!\n-----END CERTIFICATE-----\n".to_owned(),
        ),
    ];
    for (code, answer) in cases {
        let error = custody
            .install(CertificateUse::Vehicle, &answer, now())
            .expect_err(code.as_str());
        assert_eq!(error.code, code, "{error}");
        assert_eq!(shown(&custody, now()), ["delivered"]);
    }
    // After all of that the right answer still counts.
    let answer = world.answer(&request, life);
    custody.install(CertificateUse::Vehicle, &answer, now()).unwrap();
}

#[test]
fn a_leaf_from_a_second_pki_is_held_beside_the_first_for_good() {
    let folder = tempfile::tempdir().unwrap();
    let (world, other) = (World::new("A"), World::new("B"));
    let custody = Custody::open(world.config(folder.path()), now()).unwrap();
    let request = custody.request(CertificateUse::Vehicle).unwrap();
    let answer = other.answer(&request, (later(-1), None));
    custody
        .install(CertificateUse::Vehicle, &answer, now())
        .unwrap_err();
    custody
        .install_root(RootUse::V2g, &certificate::to_pem(&other.root), now())
        .unwrap();
    custody.install(CertificateUse::Vehicle, &answer, now()).unwrap();
    custody.tick(later(CROSSOVER * 2));
    assert_eq!(shown(&custody, now()).len(), 2);
    // The root above it cannot be pulled out from under it.
    let hash = certificate::hash_data(&other.root, &other.root).unwrap();
    assert_eq!(custody.remove_root(&hash, now()).unwrap_err().code, codes::IN_USE);
    let listed = custody.installed(now());
    assert_eq!(
        listed
            .iter()
            .filter(|row| row.usage == "V2GRootCertificate")
            .count(),
        2
    );
    let chains: Vec<_> = listed
        .iter()
        .filter(|row| row.usage == "V2GCertificateChain")
        .collect();
    assert_eq!(chains.len(), 2);
    assert!(
        chains.iter().all(|row| row.others.len() == 2),
        "leaf, and both sub-CAs as children"
    );
}

#[test]
fn only_a_root_is_installed_as_a_root_and_what_is_delivered_cannot_be_removed() {
    let folder = tempfile::tempdir().unwrap();
    let world = World::new("A");
    let config = world.config(folder.path());
    let custody = Custody::open(config.clone(), now()).unwrap();
    let leaf = world.secc(NAME, key().public_key_der(), (later(-1), None));
    let expired_key = key();
    let expired = certify(
        Kind::V2gRoot,
        "old",
        expired_key.public_key_der(),
        None,
        Some(&expired_key),
        (later(-48), Some(later(-24))),
    );
    for der in [&leaf, &world.sub1, &world.sub2, &expired] {
        let error = custody
            .install_root(RootUse::V2g, &certificate::to_pem(der), now())
            .unwrap_err();
        assert_eq!(error.code, codes::NO_ROOT, "{error}");
    }
    let two = pem(&[&world.root, &world.csms]);
    assert_eq!(
        custody.install_root(RootUse::V2g, &two, now()).unwrap_err().code,
        pki::MALFORMED
    );
    let hash = certificate::hash_data(&world.root, &world.root).unwrap();
    assert_eq!(custody.remove_root(&hash, now()).unwrap_err().code, codes::IN_USE);

    let mo_key = key();
    let mo = certify(
        Kind::MoRoot,
        "MO",
        mo_key.public_key_der(),
        None,
        Some(&mo_key),
        (later(-1), None),
    );
    custody
        .install_root(RootUse::Mo, &certificate::to_pem(&mo), now())
        .unwrap();
    custody
        .install_root(RootUse::Mo, &certificate::to_pem(&mo), now())
        .unwrap();
    assert_eq!(custody.roots(RootUse::Mo), std::slice::from_ref(&mo));
    let again = Custody::open(config, now()).unwrap();
    assert_eq!(
        again.roots(RootUse::Mo),
        std::slice::from_ref(&mo),
        "a root survives a restart"
    );
    let hash = certificate::hash_data(&mo, &mo).unwrap();
    assert_eq!(again.remove_root(&hash, now()).unwrap(), RootUse::Mo);
    assert_eq!(again.remove_root(&hash, now()).unwrap_err().code, codes::UNKNOWN);
}

#[test]
fn a_key_without_its_certificate_is_not_used_and_a_damaged_pair_stops_the_start() {
    let folder = tempfile::tempdir().unwrap();
    let world = World::new("A");
    let config = world.config(folder.path());
    let custody = Custody::open(config.clone(), now()).unwrap();
    let request = custody.request(CertificateUse::Vehicle).unwrap();
    let answer = world.answer(&request, (later(-1), None));
    custody.install(CertificateUse::Vehicle, &answer, now()).unwrap();
    let pair = folder.path().join("vehicle-2");
    let file = |extension: &str| {
        std::fs::read_dir(&pair)
            .unwrap()
            .map(|entry| entry.unwrap().path())
            .find(|path| path.extension().is_some_and(|found| found == extension))
    };
    let pem_file = file("pem").unwrap();
    let text = std::fs::read(&pem_file).unwrap();
    std::fs::write(&pem_file, &text[text.len() / 2..]).unwrap();
    let error = Custody::open(config.clone(), now()).unwrap_err();
    assert_eq!(error.code, pki::STORE_DAMAGED, "{error}");
    std::fs::remove_file(&pem_file).unwrap();
    assert_eq!(
        shown(&Custody::open(config, now()).unwrap(), now()),
        ["delivered"]
    );
    assert_eq!(file("key"), None, "the lone key is gone");
}

#[test]
fn a_folder_that_cannot_be_written_refuses_the_certificate_instead_of_showing_it_once() {
    let folder = tempfile::tempdir().unwrap();
    let world = World::new("A");
    let custody = Custody::open(world.config(folder.path()), now()).unwrap();
    let request = custody.request(CertificateUse::Vehicle).unwrap();
    // Root may write anywhere; a folder that is gone stops everybody.
    std::fs::remove_dir_all(folder.path().join("vehicle-2")).unwrap();
    let answer = world.answer(&request, (later(-1), None));
    let error = custody
        .install(CertificateUse::Vehicle, &answer, now())
        .unwrap_err();
    assert_eq!(error.code, codes::NOT_KEPT, "{error}");
    assert_eq!(shown(&custody, now()), ["delivered"]);
}

#[test]
fn a_certificate_is_due_in_the_last_third_of_its_life() {
    let folder = tempfile::tempdir().unwrap();
    let world = World::new("A");
    // Delivered 200 hours ago for 90 days.
    let custody = Custody::open(world.config(folder.path()), now()).unwrap();
    assert_eq!(custody.due(later(60 * 24 - 201)), []);
    assert_eq!(custody.due(later(60 * 24 - 199)), [CertificateUse::Vehicle]);
}

#[test]
fn a_delivered_root_goes_with_its_chains_once_the_latest_stands_below_another_and_stays_away() {
    let folder = tempfile::tempdir().unwrap();
    let (world, other) = (World::new("A"), World::new("B"));
    let config = world.config(folder.path());
    let custody = Custody::open(config.clone(), now()).unwrap();
    let hash = certificate::hash_data(&world.root, &world.root).unwrap();
    custody
        .install_root(RootUse::V2g, &pem(&[&other.root]), now())
        .unwrap();
    // The new root alone is not enough: what the station shows leads to the old one.
    assert_eq!(custody.remove_root(&hash, now()).unwrap_err().code, codes::IN_USE);
    let request = custody.request(CertificateUse::Vehicle).unwrap();
    let answer = other.answer(&request, (later(-1), None));
    custody.install(CertificateUse::Vehicle, &answer, now()).unwrap();
    assert_eq!(shown(&custody, now()).len(), 2);

    assert_eq!(custody.remove_root(&hash, now()).unwrap(), RootUse::V2g);
    assert_eq!(custody.roots(RootUse::V2g), std::slice::from_ref(&other.root));
    // Labels change with a start, chains do not.
    let leaves = |custody: &Custody| -> Vec<Vec<u8>> {
        let shown = custody.vehicle_credentials(now());
        shown
            .iter()
            .map(|credential| credential.chain[0].clone())
            .collect()
    };
    let left = leaves(&custody);
    assert_eq!(left.len(), 1);
    assert_eq!(
        custody.remove_root(&hash, now()).unwrap_err().code,
        codes::UNKNOWN
    );
    // The delivery is still on the disk; it does not come back.
    drop(custody);
    let again = Custody::open(config, now()).unwrap();
    assert_eq!(again.roots(RootUse::V2g), std::slice::from_ref(&other.root));
    assert_eq!(leaves(&again), left);
    // Installed again on purpose it is there again, its old chain is not.
    again
        .install_root(RootUse::V2g, &pem(&[&world.root]), now())
        .unwrap();
    assert_eq!(again.roots(RootUse::V2g).len(), 2);
    assert_eq!(leaves(&again), left);
}
