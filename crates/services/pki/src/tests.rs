use std::path::Path;
use std::process::Command;
use std::sync::Mutex;

use gridlatch_keys::Signer as _;
use gridlatch_trust::{Generation, certificate};
use gridlatch_vocab::catalogue::pki;
use gridlatch_vocab::{Event, EventSink, StationId, Timestamp};

use crate::dev::{self, DevPki, VehicleName};
use crate::{PkiError, store, tree};

/// Keeps what was reported.
#[derive(Default)]
struct Events(Mutex<Vec<Event>>);

impl EventSink for Events {
    fn emit(&self, event: Event) {
        self.0.lock().unwrap().push(event);
    }
}

impl Events {
    fn codes(&self) -> Vec<&'static str> {
        self.0
            .lock()
            .unwrap()
            .iter()
            .map(|event| event.code.as_str())
            .collect()
    }
}

fn now() -> Timestamp {
    Timestamp(time::OffsetDateTime::now_utc())
}

fn fresh() -> (tempfile::TempDir, DevPki) {
    let dir = tempfile::tempdir().unwrap();
    let pki = dev::ensure(dir.path(), &Events::default(), now()).unwrap();
    (dir, pki)
}

fn station() -> StationId {
    "GL-AC-1".parse().unwrap()
}

fn car() -> VehicleName {
    "blue".parse().unwrap()
}

/// Every leaf the PKI can issue: its chain, and the root it must lead to.
fn everything(pki: &DevPki) -> Vec<(String, Vec<Vec<u8>>, Vec<u8>)> {
    let (v2g, oem, mo, csms) = (pki.v2g_roots(), pki.oem_roots(), pki.mo_roots(), pki.csms_roots());
    let of = |generation| usize::from(generation == Generation::Iso20);
    let mut all = Vec::new();
    for credential in pki.station_credentials(&station()).unwrap() {
        let generation = usize::from(credential.label.starts_with("iso20"));
        all.push((credential.label, credential.chain, v2g[generation].clone()));
    }
    for generation in [Generation::Iso2, Generation::Iso20] {
        let g = of(generation);
        let credential = pki.provisioning(&car(), generation).unwrap();
        all.push((credential.label, credential.chain, oem[g].clone()));
        let credential = pki.provisioning_service(generation).unwrap();
        all.push((credential.label, credential.chain, v2g[g].clone()));
        let contract = pki.contract(&car(), generation).unwrap();
        all.push((format!("{generation} contract"), contract.chain, mo[g].clone()));
    }
    {
        let credential = pki.vehicle(&car()).unwrap();
        all.push((credential.label, credential.chain, oem[1].clone()));
    }
    for credential in [
        pki.station_client(&station()).unwrap(),
        pki.platform_server().unwrap(),
        pki.bill_signer().unwrap(),
    ] {
        all.push((credential.label, credential.chain, csms[0].clone()));
    }
    all
}

#[test]
fn openssl_accepts_every_certificate_strictly() {
    let (_dir, pki) = fresh();
    let work = tempfile::tempdir().unwrap();
    let write = |name: &str, certificates: &[Vec<u8>]| {
        let path = work.path().join(name);
        std::fs::write(
            &path,
            certificates
                .iter()
                .map(|der| store::to_pem(der))
                .collect::<String>(),
        )
        .unwrap();
        path
    };
    let all = everything(&pki);
    assert_eq!(all.len(), 12);
    for (label, chain, root) in all {
        let output = Command::new("openssl")
            .args([
                "verify",
                "-x509_strict",
                "-policy_check",
                "-check_ss_sig",
                "-CAfile",
            ])
            .arg(write("root.pem", &[root]))
            .arg("-untrusted")
            .arg(write("subs.pem", &chain[1..]))
            .arg(write("leaf.pem", &chain[..1]))
            .output()
            .unwrap();
        assert!(output.status.success(), "{label}: {output:?}");
    }
}

#[test]
fn a_second_run_changes_nothing_and_a_half_written_tree_is_completed() {
    let dir = tempfile::tempdir().unwrap();
    let events = Events::default();
    let first = dev::ensure(dir.path(), &events, now()).unwrap();
    let leaf = first.contract(&car(), Generation::Iso2).unwrap().chain;
    assert_eq!(events.codes(), [pki::DEV_PKI_CREATED.as_str()]);

    let second = dev::ensure(dir.path(), &events, now()).unwrap();
    assert_eq!(events.codes().len(), 1, "nothing was made");
    assert_eq!(second.v2g_roots(), first.v2g_roots());
    assert_eq!(second.contract(&car(), Generation::Iso2).unwrap().chain, leaf);

    // The process died after the key and before the certificate of a sub-CA, and before a later CA.
    std::fs::remove_file(dir.path().join("iso20/mo-sub2.crt.pem")).unwrap();
    std::fs::remove_file(dir.path().join("ocpp/csms-sub.crt.pem")).unwrap();
    std::fs::remove_file(dir.path().join("ocpp/csms-sub.key.pem")).unwrap();
    let third = dev::ensure(dir.path(), &events, now()).unwrap();
    assert_eq!(events.codes().last(), Some(&pki::DEV_PKI_COMPLETED.as_str()));
    assert_eq!(third.v2g_roots(), first.v2g_roots());
    third.contract(&car(), Generation::Iso20).unwrap();
}

#[test]
fn keys_are_private_and_damage_is_named_not_repaired() {
    use std::os::unix::fs::PermissionsExt as _;
    let (dir, pki) = fresh();
    pki.vehicle(&car()).unwrap();
    let mut keys = 0;
    for folder in ["iso2", "iso20", "ocpp", "iso20/issued"] {
        for entry in std::fs::read_dir(dir.path().join(folder)).unwrap() {
            let entry = entry.unwrap();
            if entry.file_name().to_string_lossy().ends_with(".key.pem") {
                assert_eq!(entry.metadata().unwrap().permissions().mode() & 0o777, 0o600);
                keys += 1;
            }
        }
    }
    assert_eq!(keys, 2 * tree::V2G.len() + tree::OCPP.len() + 1);

    let root = dir.path().join("iso2/v2g-root.key.pem");
    std::fs::copy(dir.path().join("iso2/mo-root.key.pem"), &root).unwrap();
    let error = dev::ensure(dir.path(), &Events::default(), now()).unwrap_err();
    assert!(
        matches!(&error, PkiError::Damaged { .. }) && error.code() == pki::STORE_DAMAGED,
        "{error}"
    );
    std::fs::remove_file(&root).unwrap();
    assert!(matches!(
        dev::ensure(dir.path(), &Events::default(), now()),
        Err(PkiError::Damaged { .. })
    ));
}

#[test]
fn a_leaf_near_its_end_is_renewed() {
    let dir = tempfile::tempdir().unwrap();
    let early = dev::ensure(dir.path(), &Events::default(), now()).unwrap();
    let old = early.station_credentials(&station()).unwrap();
    let later = Timestamp(now().0 + time::Duration::days(70));
    let late = dev::ensure(dir.path(), &Events::default(), later).unwrap();
    let new = late.station_credentials(&station()).unwrap();
    for (old, new) in old.iter().zip(&new) {
        assert_ne!(old.chain[0], new.chain[0]);
        assert_ne!(old.key.public_key_der(), new.key.public_key_der());
        let (old, new) = (
            certificate::summary(&old.chain[0]).unwrap(),
            certificate::summary(&new.chain[0]).unwrap(),
        );
        assert_ne!(old.serial_hex, new.serial_hex);
        assert!(new.not_after > old.not_after);
    }
}

#[test]
fn names_follow_their_grammar_for_any_identity() {
    let (_dir, pki) = fresh();
    for id in [
        "x",
        "*",
        "A-very_long=identity:of+48|characters@that.is.full1",
        "GL-DC-2",
    ] {
        let station: StationId = id[..id.len().min(48)].parse().unwrap();
        pki.station_credentials(&station).unwrap();
        let client = pki.station_client(&station).unwrap();
        assert_eq!(
            certificate::summary(&client.chain[0]).unwrap().subject_cn,
            station.as_str()
        );
    }
    let contract = pki.contract(&car(), Generation::Iso2).unwrap();
    let emaid = certificate::emaid_of(&contract.chain[0]).unwrap();
    assert_eq!(emaid, contract.emaid);
    assert_eq!(emaid.reveal().as_str().len(), 14);
    assert!(certificate::emaid_of(&pki.vehicle(&car()).unwrap().chain[0]).is_err());
    for bad in ["", "Blue", "a/b", &"x".repeat(33)] {
        assert!(bad.parse::<VehicleName>().is_err());
    }
}

#[test]
fn josevs_layout_is_complete() {
    let (_dir, pki) = fresh();
    let out = tempfile::tempdir().unwrap();
    pki.export_josev(out.path()).unwrap();
    let count = |path: &Path| std::fs::read_dir(path).unwrap().count();
    // create_certs.sh of iso15118 0.31.2 makes 36 certificate files and 21 key files.
    assert_eq!(count(&out.path().join("iso15118_2/certs")), 36);
    assert_eq!(count(&out.path().join("iso15118_2/private_keys")), 21);
}

#[test]
fn a_meter_keeps_its_key_and_each_station_has_its_own() {
    let (dir, pki) = fresh();
    let first = pki.meter_key(&station()).unwrap();
    assert_eq!(first.algorithm(), gridlatch_trust::KeyAlgorithm::P256);
    let again = dev::ensure(dir.path(), &Events::default(), now()).unwrap();
    assert_eq!(
        again.meter_key(&station()).unwrap().public_key_der(),
        first.public_key_der()
    );
    let other = pki.meter_key(&"GL-OTHER".parse().unwrap()).unwrap();
    assert_ne!(other.public_key_der(), first.public_key_der());
}

/// What each leaf is for, by its label.
fn profile_of(label: &str) -> gridlatch_trust::Profile {
    use gridlatch_trust::Profile;
    use gridlatch_trust::profile::Kind;
    let kind = [
        ("secc-", Kind::SeccLeaf),
        ("provisioning-", Kind::OemProvisioning),
        ("contract", Kind::ContractLeaf),
        ("vehicle-", Kind::VehicleLeaf),
        ("station-", Kind::StationClient),
        ("platform", Kind::CsmsServer),
        ("bills", Kind::BillSigner),
        ("cps", Kind::CpsLeaf),
    ]
    .into_iter()
    .find(|(part, _)| label.contains(part))
    .unwrap()
    .1;
    if label.contains("20") {
        Profile::iso20(kind)
    } else {
        Profile::iso2(kind)
    }
}

#[test]
fn our_verdict_accepts_every_chain_in_any_order_and_names_what_is_wrong() {
    use gridlatch_trust::verdict::check;
    let (_dir, pki) = fresh();
    let foreign = fresh();
    let anchors: Vec<Vec<u8>> = [pki.v2g_roots(), pki.oem_roots(), pki.mo_roots(), pki.csms_roots()].concat();
    for (label, chain, root) in everything(&pki) {
        let profile = profile_of(&label);
        let accepted =
            check(&chain, &anchors, profile, now()).unwrap_or_else(|error| panic!("{label}: {error}"));
        assert_eq!(accepted.anchor, root);
        let mut mixed = chain.clone();
        mixed[1..].reverse();
        mixed.push(root.clone());
        mixed.push(chain[0].clone());
        assert!(
            check(&mixed, &anchors, profile, now()).is_ok(),
            "{label}: wrong order, root and leaf sent again"
        );

        let code =
            |chain: &[Vec<u8>], anchors: &[Vec<u8>], at| check(chain, anchors, profile, at).unwrap_err();
        let rejected = code(&chain[..1], &anchors, now());
        assert_eq!(rejected.code, pki::NO_PATH, "{label}: missing sub-CA: {rejected}");
        let rejected = code(&chain, &foreign.1.v2g_roots(), now());
        assert!(
            matches!(rejected.code, c if c == pki::NO_PATH || c == pki::BAD_SIGNATURE),
            "{label}: {rejected}"
        );
        let late = Timestamp(now().0 + time::Duration::days(20_000));
        assert_eq!(code(&chain, &anchors, late).code, pki::EXPIRED, "{label}");
        let early = Timestamp(now().0 - time::Duration::days(20));
        assert_eq!(code(&chain, &anchors, early).code, pki::NOT_YET_VALID, "{label}");
        // One bit of the signature.
        let mut bent = chain.clone();
        let end = bent[0].len() - 1;
        bent[0][end] ^= 1;
        let rejected = code(&bent, &anchors, now());
        assert_eq!(rejected.code, pki::BAD_SIGNATURE, "{label}: {rejected}");
        let mut swapped = chain.clone();
        swapped.swap(0, 1);
        assert!(
            check(&swapped, &anchors, profile, now()).is_err(),
            "{label}: a CA is no leaf"
        );
    }
    let secc = &pki.station_credentials(&station()).unwrap()[1].chain;
    let as_contract = gridlatch_trust::Profile::iso2(gridlatch_trust::profile::Kind::ContractLeaf);
    assert_eq!(
        check(secc, &anchors, as_contract, now()).unwrap_err().code,
        pki::KEY_USAGE
    );
    let as_20 = gridlatch_trust::Profile::iso20(gridlatch_trust::profile::Kind::SeccLeaf);
    assert_eq!(
        check(secc, &anchors, as_20, now()).unwrap_err().code,
        pki::WRONG_CURVE
    );
    let contract = &pki.contract(&car(), Generation::Iso2).unwrap().chain;
    let as_secc = gridlatch_trust::Profile::iso2(gridlatch_trust::profile::Kind::SeccLeaf);
    assert_eq!(
        check(contract, &anchors, as_secc, now()).unwrap_err().code,
        pki::DOMAIN_COMPONENT
    );
    let flood = vec![secc[0].clone(); 9];
    assert_eq!(
        check(&flood, &anchors, as_secc, now()).unwrap_err().code,
        pki::TOO_LARGE
    );
}

// A second opinion from another implementation of Annex F. The rule that keeps this crate inside
// `core/session` is about what the product runs on; a test may ask anybody.
#[test]
fn the_profile_checker_of_iso15118_agrees() {
    use iso15118::pnc::pki::{Policy, Profile, Rules, TrustAnchor, TrustAnchors, validate};
    use iso15118::pnc::rustcrypto::Backend;
    let (_dir, pki) = fresh();
    let mut checked = 0;
    for (label, chain, root) in everything(&pki) {
        let profile = match profile_of(&label).kind.row().name {
            "SECC certificate" => Profile::SeccCertificate,
            "contract certificate" => Profile::ContractCertificate,
            "OEM provisioning certificate" => Profile::OemProvisioningCertificate,
            _ => Profile::Unchecked,
        };
        let rules = match profile_of(&label).generation {
            Generation::Iso2 => Rules::Iso2,
            Generation::Iso20 => Rules::Iso20,
        };
        let anchors = [TrustAnchor::new(&root, "test")];
        let chain: Vec<&[u8]> = chain.iter().map(Vec::as_slice).collect();
        let verdict = validate(
            &chain,
            &TrustAnchors::new(&anchors),
            Policy { profile, rules },
            now().0.unix_timestamp(),
            &Backend,
        );
        assert!(verdict.is_ok(), "{label}: {verdict:?}");
        checked += 1;
    }
    assert_eq!(checked, 12);
}

/// Josev's own loader reads every key and verifies every chain of the export. Needs Josev's
/// environment, which `scripts/peers.sh josev` makes; without it the test says so and passes.
#[test]
fn josev_loads_and_verifies_the_export() {
    use std::io::Write as _;
    let workspace = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../..");
    let found = Command::new("bash")
        .arg(workspace.join("scripts/peers.sh"))
        .arg("josev")
        .output()
        .unwrap();
    let answer = String::from_utf8_lossy(&found.stdout).into_owned();
    let Some(python) = answer
        .lines()
        .find_map(|line| line.strip_prefix("josev "))
        .filter(|_| found.status.success())
    else {
        writeln!(
            std::io::stderr(),
            "skipped: josev_loads_and_verifies_the_export: no Josev here"
        )
        .unwrap();
        return;
    };
    let (_dir, pki) = fresh();
    let out = tempfile::tempdir().unwrap();
    pki.export_josev(out.path()).unwrap();
    let output = Command::new(Path::new(python).join("bin/python"))
        .args(["-c", include_str!("tests/josev_load.py")])
        .env("PKI_PATH", format!("{}/", out.path().display()))
        .current_dir(out.path())
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(
        output.status.success() && text.contains("verified 4 chains"),
        "{output:?}"
    );
}
