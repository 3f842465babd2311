//! What the forecast says, against verdicts on the dates it names, and inventories from outside.
#![allow(
    clippy::unwrap_used,
    reason = "a test that meets what it did not expect stops there"
)]

use std::collections::BTreeMap;
use std::sync::OnceLock;

use gridlatch_keys::{FileKey, KeyAlgorithm, OpensslVerifier, Signer as _};
use gridlatch_pki::rollover::inventory::{Inventory, InventoryError};
use gridlatch_trust::build::{Issuer, Request, Subject, build};
use gridlatch_trust::forecast::{Held, Holder, Role, breaks, drift};
use gridlatch_trust::profile::Kind;
use gridlatch_trust::verdict::check_with;
use gridlatch_trust::{Profile, certificate};
use gridlatch_vocab::Timestamp;
use gridlatch_vocab::catalogue::rollover;
use proptest::prelude::*;

/// 2026-11-21T00:00:00Z.
const EPOCH: i64 = 1_795_219_200_000;

fn day(days: i64) -> Timestamp {
    Timestamp::from_unix_millis(EPOCH + days * 86_400_000)
}

fn key() -> &'static FileKey {
    static KEY: OnceLock<FileKey> = OnceLock::new();
    KEY.get_or_init(|| FileKey::generate(KeyAlgorithm::P256).unwrap())
}

/// A certificate by and for one key: names tell the CAs apart, and signing is quick.
fn issue(kind: Kind, name: &str, issuer: Option<&[u8]>, days: (i64, i64)) -> Vec<u8> {
    build(
        &Request {
            profile: Profile::iso2(kind),
            subject: Subject {
                common_name: name.to_owned(),
                organization: None,
                country: None,
            },
            spki: key().public_key_der(),
            serial: &[1, kind as u8, 3],
            not_before: day(days.0),
            not_after: Some(day(days.1)),
            alt_names: Vec::new(),
            ocsp_url: None,
            crl_url: None,
        },
        issuer.map_or(Issuer::Itself, Issuer::Ca),
        KeyAlgorithm::P256,
        &|message| key().sign(message).map_err(Into::into),
    )
    .unwrap()
}

struct World {
    root: Vec<u8>,
    sub1: Vec<u8>,
    sub2: Vec<u8>,
}

fn world(name: &str, ends: (i64, i64, i64)) -> World {
    let root = issue(Kind::V2gRoot, &format!("{name} root"), None, (-10, ends.0));
    let sub1 = issue(Kind::CpoSub1, &format!("{name} sub1"), Some(&root), (-10, ends.1));
    let sub2 = issue(Kind::CpoSub2, &format!("{name} sub2"), Some(&sub1), (-10, ends.2));
    World { root, sub1, sub2 }
}

impl World {
    fn leaf(&self, days: (i64, i64)) -> Held {
        let leaf = issue(Kind::SeccLeaf, "DE*TST*E1", Some(&self.sub2), days);
        Held {
            profile: Profile::iso2(Kind::SeccLeaf),
            chain: vec![leaf, self.sub2.clone(), self.sub1.clone()],
        }
    }
}

fn station(name: &str, shows: Vec<Held>) -> Holder {
    Holder {
        name: name.to_owned(),
        role: Role::Station,
        shows,
        trusts: BTreeMap::new(),
    }
}

fn vehicle(name: &str, roots: &[&[u8]]) -> Holder {
    Holder {
        name: name.to_owned(),
        role: Role::Vehicle,
        shows: Vec::new(),
        trusts: BTreeMap::from([(Kind::V2gRoot, roots.iter().map(|root| root.to_vec()).collect())]),
    }
}

#[test]
fn the_first_end_on_the_path_breaks_and_is_named() {
    let a = world("A", (4000, 700, 60));
    let holders = [
        station("s1", vec![a.leaf((-1, 80))]),
        station("s2", vec![a.leaf((-1, 40))]),
        vehicle("v1", &[&a.root]),
        vehicle("v2", &[&a.root]),
    ];
    let found = breaks(&holders, day(0), day(400), &OpensslVerifier);
    assert_eq!(found.len(), 2, "{found:#?}");
    assert_eq!(found[0].at.0.date(), day(40).0.date());
    assert_eq!(found[0].shown_by.iter().collect::<Vec<_>>(), ["s2"]);
    assert_eq!(found[0].refused_by.len(), 2);
    assert_eq!(found[0].code, rollover::BREAK_AHEAD);
    // The leaf of s1 was cut to its sub-CA's end: both end in the same second.
    assert_eq!(found[1].at.0.date(), day(60).0.date());
    assert_eq!(found[1].cause.as_str(), "pki.expired");
    assert!(breaks(&holders, day(0), day(39), &OpensslVerifier).is_empty());
}

#[test]
fn a_root_that_one_car_lacks_is_broken_now_and_drift() {
    let (a, b) = (world("A", (4000, 700, 600)), world("B", (4000, 700, 600)));
    let holders = [
        station("s1", vec![b.leaf((-1, 80))]),
        vehicle("v1", &[&a.root, &b.root]),
        vehicle("v2", &[&a.root, &b.root]),
        vehicle("v3", &[&a.root]),
    ];
    let found = breaks(&holders, day(0), day(30), &OpensslVerifier);
    assert_eq!(found.len(), 1, "{found:#?}");
    assert_eq!((found[0].at, found[0].code), (day(0), rollover::BROKEN_NOW));
    assert_eq!(found[0].cause.as_str(), "pki.no_path");
    assert_eq!(found[0].refused_by.iter().collect::<Vec<_>>(), ["v3"]);
    assert!(found[0].message.contains("B root"), "{}", found[0].message);
    let drifts = drift(&holders);
    assert_eq!(drifts.len(), 1);
    assert_eq!(drifts[0].holder, "v3");
    assert!(drifts[0].missing[0].starts_with("B root") && drifts[0].extra.is_empty());
}

#[test]
fn a_next_certificate_that_overlaps_keeps_everything_working() {
    let a = world("A", (4000, 700, 600));
    let gap = |next| {
        let holders = [
            station("s1", vec![a.leaf((-1, 20)), a.leaf((next, 90))]),
            vehicle("v1", &[&a.root]),
        ];
        breaks(&holders, day(0), day(80), &OpensslVerifier)
    };
    assert!(gap(18).is_empty(), "two days of overlap");
    let found = gap(25);
    assert_eq!(found.len(), 1);
    assert_eq!(found[0].at.0.date(), day(20).0.date(), "a hole of five days");
}

#[test]
fn a_chain_that_nobody_in_the_inventory_judges_breaks_by_its_own_dates() {
    let a = world("A", (4000, 700, 60));
    let holders = [station("s1", vec![a.leaf((-1, 40)), a.leaf((30, 80))])];
    let found = breaks(&holders, day(0), day(400), &OpensslVerifier);
    assert_eq!(found.len(), 1, "{found:#?}");
    assert_eq!(found[0].at.0.date(), day(60).0.date(), "the sub-CA ends first");
    assert!(found[0].refused_by.is_empty());
}

#[test]
fn who_does_not_speak_an_edition_does_not_refuse_it() {
    let a = world("A", (4000, 700, 600));
    let mut held = a.leaf((-1, 80));
    held.profile = Profile::iso20(Kind::SeccLeaf);
    let holders = [station("s1", vec![held]), vehicle("v1", &[&a.root])];
    // A secp256r1 leaf is unfit for -20 whoever judges it, and v1 is not among them.
    let found = breaks(&holders, day(0), day(30), &OpensslVerifier);
    assert!(found.iter().all(|one| one.refused_by.is_empty()), "{found:#?}");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    /// What is foretold is what happens: accepted the second before, refused on the date, nothing before.
    #[test]
    fn a_foretold_break_is_the_first_refusal(
        ends in (20_i64..300, 20_i64..300, 20_i64..300),
        leaves in proptest::collection::vec((-9_i64..100, 1_i64..90), 1..4),
        until in 1_i64..320,
    ) {
        let a = world("A", ends);
        let shows: Vec<Held> = leaves
            .iter()
            .filter(|(start, _)| *start < ends.0.min(ends.1).min(ends.2))
            .map(|(start, length)| a.leaf((*start, start + length)))
            .collect();
        let holders = [station("s", shows.clone()), vehicle("v", &[&a.root])];
        let found = breaks(&holders, day(0), day(until), &OpensslVerifier);
        let accepted = |at: Timestamp| shows.iter().any(|held| {
            check_with(&held.chain, std::slice::from_ref(&a.root), held.profile, at, &OpensslVerifier).is_ok()
        });
        prop_assert!(found.len() <= 1);
        let first = found.first().map(|one| one.at);
        // Every midday up to the break works; from the break's second on it does not.
        let mut at = day(0).0 + time::Duration::HOUR;
        while !shows.is_empty() && at < first.unwrap_or_else(|| day(until)).0 {
            prop_assert!(accepted(Timestamp(at)), "broken at {at}, foretold {first:?}");
            at += time::Duration::DAY;
        }
        if let Some(first) = first {
            prop_assert!(!accepted(first));
            prop_assert!(first == day(0) || accepted(Timestamp(first.0 - time::Duration::SECOND)));
            prop_assert!(first >= day(0) && first <= day(until));
        }
        // A longer look never unsays anything.
        let more = breaks(&holders, day(0), day(until + 200), &OpensslVerifier);
        prop_assert!(found.iter().all(|one| more.contains(one)));
    }
}

#[test]
fn an_inventory_in_json_is_read_and_ocpps_hashes_are_resolved() {
    let a = world("A", (4000, 700, 600));
    let pem = |chain: &[Vec<u8>]| {
        chain
            .iter()
            .map(|der| certificate::to_pem(der))
            .collect::<String>()
    };
    let hashes = certificate::hash_data(&a.root, &a.root).unwrap();
    let entry = |serial: &str| {
        serde_json::json!({
            "certificateType": "V2GRootCertificate",
            "certificateHashData": {
                "hashAlgorithm": "SHA256",
                "issuerNameHash": hashes.issuer_name_hash.to_uppercase(),
                "issuerKeyHash": hashes.issuer_key_hash,
                "serialNumber": serial,
            },
        })
    };
    let text = serde_json::json!({
        "known": pem(std::slice::from_ref(&a.root)),
        "holders": [
            { "name": "s1", "role": "station",
              "shows": [{ "as": "secc-leaf", "edition": "iso2", "chain": pem(&a.leaf((-1, 40)).chain) }] },
            { "name": "v1", "role": "vehicle", "installed": [entry(&format!("00{}", hashes.serial_number)), entry("ff")] },
        ],
    })
    .to_string();
    let inventory = Inventory::from_json(text.as_bytes()).unwrap();
    let read = inventory.read().unwrap();
    assert_eq!(
        read.holders[1].trusts[&Kind::V2gRoot],
        std::slice::from_ref(&a.root)
    );
    assert_eq!(
        read.unresolved,
        [("v1".to_owned(), "V2GRootCertificate".to_owned())]
    );
    let found = breaks(&read.holders, day(0), day(400), &OpensslVerifier);
    assert_eq!(found.len(), 1);
    // Written and read again it says the same.
    let again = Inventory::from_json(&serde_json::to_vec(&inventory).unwrap()).unwrap();
    assert_eq!(again.read().unwrap().holders, read.holders);
}

#[test]
fn a_broken_inventory_is_refused_with_the_holder() {
    for (text, part) in [
        ("{", "not an inventory"),
        ("{}", "not an inventory"),
        (r#"{"holders":[],"more":1}"#, "not an inventory"),
        (r#"{"holders":[{"name":"x","role":"ship"}]}"#, "role"),
        (
            r#"{"holders":[{"name":"x","role":"vehicle"},{"name":"x","role":"vehicle"}]}"#,
            "twice",
        ),
        (
            r#"{"holders":[{"name":"x","role":"vehicle","trusts":{"v2g-root":"?"}}]}"#,
            "not PEM",
        ),
        (
            r#"{"holders":[{"name":"x","role":"vehicle","trusts":{"secc-leaf":"?"}}]}"#,
            "unknown kind of root",
        ),
    ] {
        let error: InventoryError = match Inventory::from_json(text.as_bytes()) {
            Ok(inventory) => inventory.read().unwrap_err(),
            Err(error) => error,
        };
        assert!(error.to_string().contains(part), "{text}: {error}");
        assert_eq!(error.code(), rollover::INVENTORY_UNREADABLE);
    }
}

/// `openssl verify` at a time; what it has against the chain, if anything.
fn openssl_against(root: &[u8], extra: &[Vec<u8>], chain: &[Vec<u8>], at: Timestamp) -> Option<String> {
    let dir = tempfile::tempdir().unwrap();
    let write = |name: &str, all: &[Vec<u8>]| {
        let path = dir.path().join(name);
        let text: String = all.iter().map(|der| certificate::to_pem(der)).collect();
        std::fs::write(&path, text).expect("a file");
        path
    };
    let untrusted = [&chain[1..], extra].concat();
    let output = std::process::Command::new("openssl")
        .args([
            "verify",
            "-attime",
            &(at.unix_millis().div_euclid(1000)).to_string(),
        ])
        .arg("-CAfile")
        .arg(write("root.pem", &[root.to_vec()]))
        .arg("-untrusted")
        .arg(write("untrusted.pem", &untrusted))
        .arg(write("leaf.pem", &chain[..1]))
        .output()
        .expect("openssl runs");
    if output.status.success() {
        return None;
    }
    Some(format!(
        "{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    ))
}

/// Leaves whose end is their own, their sub-CA's, the one's above, the root's; and one that a
/// cross-certificate keeps alive. What the forecast names is what OpenSSL says at that date, and the two
/// seconds before it OpenSSL still says yes.
#[test]
fn openssl_says_at_the_foretold_date_what_was_foretold() {
    if let Some(reason) = gridlatch_testkit::missing(&[gridlatch_testkit::Need::openssl]) {
        return gridlatch_testkit::skip(&reason);
    }
    // Ends of root, sub 1, sub 2, leaf, in days; the first of them breaks the chain.
    let cases = [
        (900, 700, 600, 80),
        (900, 700, 50, 80),
        (900, 40, 600, 80),
        (30, 700, 600, 80),
        (900, 80, 80, 80),
        (71, 72, 73, 74),
    ];
    let long = world("A", (4000, 700, 650));
    for ends in cases {
        // A leaf is cut to its issuer's end: it is made below long-lived CAs, and shown with short ones
        // that have the same names and keys.
        let leaf = issue(Kind::SeccLeaf, "DE*TST*E1", Some(&long.sub2), (-1, ends.3));
        let root = issue(Kind::V2gRoot, "A root", None, (-10, ends.0));
        let sub1 = issue(Kind::CpoSub1, "A sub1", Some(&long.root), (-10, ends.1));
        let sub2 = issue(Kind::CpoSub2, "A sub2", Some(&long.sub1), (-10, ends.2));
        let held = Held {
            profile: Profile::iso2(Kind::SeccLeaf),
            chain: vec![leaf, sub2, sub1],
        };
        let holders = [station("s", vec![held.clone()]), vehicle("v", &[&root])];
        let found = breaks(&holders, day(0), day(1000), &OpensslVerifier);
        assert_eq!(found.len(), 1, "{ends:?}: {found:#?}");
        let at = found[0].at;
        let first = [ends.0, ends.1, ends.2, ends.3].into_iter().min().unwrap();
        assert!(at > day(first) && at <= day(first + 1), "{ends:?}: {at:?}");
        // OpenSSL ends a certificate at its last second, RFC 5280 after it: two seconds before, both believe.
        let before = Timestamp(at.0 - time::Duration::seconds(2));
        assert_eq!(openssl_against(&root, &[], &held.chain, before), None, "{ends:?}");
        let said = openssl_against(&root, &[], &held.chain, at).unwrap();
        assert!(said.contains("expired"), "{ends:?}: {said}");
    }

    // Two chains of one station: the sub-CA ends, its cross-certificate under another root goes on.
    let other = issue(Kind::V2gRoot, "B root", None, (-10, 4000));
    let leaf = issue(Kind::SeccLeaf, "DE*TST*E1", Some(&long.sub2), (-1, 90));
    let (sub1, cross) = (
        issue(Kind::CpoSub1, "A sub1", Some(&long.root), (-10, 40)),
        issue(Kind::CpoSub1, "A sub1", Some(&other), (-10, 70)),
    );
    let shown = |top: &Vec<u8>| Held {
        profile: Profile::iso2(Kind::SeccLeaf),
        chain: vec![leaf.clone(), long.sub2.clone(), top.clone()],
    };
    let holders = [
        station("s", vec![shown(&sub1), shown(&cross)]),
        vehicle("both", &[&long.root, &other]),
        vehicle("old", &[&long.root]),
    ];
    let found = breaks(&holders, day(0), day(1000), &OpensslVerifier);
    assert_eq!(found.len(), 2, "{found:#?}");
    assert!(found[0].refused_by.contains("old") && found[1].refused_by.contains("both"));
    for (one, root, chain) in [
        (&found[0], &long.root, shown(&sub1).chain),
        (&found[1], &other, shown(&cross).chain),
    ] {
        let before = Timestamp(one.at.0 - time::Duration::seconds(2));
        assert_eq!(openssl_against(root, &[], &chain, before), None);
        openssl_against(root, &[], &chain, one.at).unwrap();
    }
}
