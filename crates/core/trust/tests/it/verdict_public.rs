//! A public set of V2G chains that nobody here made: the fixtures of the crate `iso15118`, minted with
//! OpenSSL by its authors, whose own verdicts (its tests) are the expectation.

use std::path::{Path, PathBuf};
use std::process::Command;

use gridlatch_trust::profile::{Kind, Profile};
use gridlatch_trust::verdict::{Fix, check};
use gridlatch_vocab::Timestamp;
use gridlatch_vocab::catalogue::pki;

use crate::support::at;
use crate::verdict::judged;

/// Where cargo keeps the sources of the crate.
fn fixtures() -> PathBuf {
    let output = Command::new(env!("CARGO"))
        .args(["metadata", "--offline", "--locked", "--format-version", "1"])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let manifest = text
        .split('"')
        .find(|part| part.contains("/iso15118-") && part.ends_with("/Cargo.toml"))
        .expect("the workspace depends on the crate iso15118");
    Path::new(manifest).with_file_name("tests/fixtures/pki")
}

fn certificates(names: &[&str]) -> Vec<Vec<u8>> {
    let folder = fixtures();
    names
        .iter()
        .map(|name| std::fs::read(folder.join(format!("{name}.der"))).unwrap())
        .collect()
}

const SECC: Profile = Profile::iso2(Kind::SeccLeaf);

/// The code of the refusal, or nothing.
fn code(chain: &[&str], roots: &[&str], profile: Profile, when: Timestamp) -> Option<&'static str> {
    check(&certificates(chain), &certificates(roots), profile, when)
        .err()
        .map(|rejected| rejected.code.as_str())
}

#[test]
fn the_chains_of_the_crate_iso15118_are_judged_as_its_authors_judge_them() {
    let in_2030 = at("2030-01-01T00:00:00Z");
    let secc = ["secc", "sub2", "sub1"];
    let contract = Profile::iso2(Kind::ContractLeaf);
    assert_eq!(code(&secc, &["root"], SECC, in_2030), None);
    assert_eq!(
        code(&["contract", "sub2", "sub1"], &["root"], contract, in_2030),
        None
    );
    assert_eq!(code(&secc, &["other"], SECC, in_2030), Some("pki.no_path"));
    assert_eq!(code(&secc, &[], SECC, in_2030), Some("pki.no_path"));
    let expired = ["expired", "sub2", "sub1"];
    assert_eq!(
        code(&expired, &["root"], SECC, at("2022-01-01T00:00:00Z")),
        Some("pki.expired")
    );
    assert_eq!(code(&expired, &["root"], SECC, at("2020-09-13T12:26:40Z")), None);
    assert_eq!(
        code(&["rogue", "sub2", "sub1"], &["root"], SECC, in_2030),
        Some("pki.basic_constraints")
    );
    assert_eq!(
        code(&["contract", "sub2", "sub1"], &["root"], SECC, in_2030),
        Some("pki.domain_component")
    );
    // A root of the same name with another key does not hide the one that signed.
    assert!(code(&secc, &["decoy"], SECC, in_2030).is_some());
    assert_eq!(code(&secc, &["decoy", "root"], SECC, in_2030), None);
}

#[test]
fn its_cross_certificate_leads_from_one_ecosystem_to_the_other() {
    let in_2030 = at("2030-01-01T00:00:00Z");
    let chain = certificates(&["amd1/leaf-b", "amd1/sub-b"]);
    let (a, b, cross) = (
        certificates(&["amd1/root-a"]),
        certificates(&["amd1/root-b"]),
        certificates(&["amd1/cross-b"]),
    );
    assert!(judged(&chain, &b, &[], SECC, in_2030).0.accepted.is_some());
    let (judgement, fixes, _) = judged(&chain, &a, &[], SECC, in_2030);
    assert_eq!(judgement.reason().unwrap().code, pki::NO_PATH);
    assert!(
        fixes.contains(&Fix::CrossCertify) || fixes.contains(&Fix::SendSubCa),
        "{fixes:?}"
    );
    // Sent along, or found in the pool: the same path.
    let sent = [chain.clone(), cross.clone()].concat();
    for (chain, extra) in [(&sent, &[][..]), (&chain, &cross[..])] {
        let accepted = judged(chain, &a, extra, SECC, in_2030).0.accepted.unwrap();
        assert_eq!((accepted.anchor, accepted.path.len()), (a[0].clone(), 3));
    }
    assert_eq!(
        code(&["amd1/leaf", "amd1/sub"], &["amd1/root-a"], SECC, in_2030),
        None
    );
    // Under ISO 15118-20 this side insists on secp521r1 or Ed448, which these P-256 chains are not.
    let as_20 = Profile::iso20(Kind::SeccLeaf);
    assert_eq!(
        code(&["amd1/leaf", "amd1/sub"], &["amd1/root-a"], as_20, in_2030),
        Some("pki.wrong_curve")
    );
    assert_eq!(
        code(&["amd1/oversize", "amd1/sub"], &["amd1/root-a"], SECC, in_2030),
        Some("pki.too_large")
    );
}
