//! Chains of the development PKI, bent in every usual way.

use gridlatch_keys::{FileKey, Signer as _};
use gridlatch_trust::crl::{self, CrlRequest};
use gridlatch_trust::revocation::{Reason, Revoked};
use gridlatch_trust::{KeyAlgorithm, certificate};
use gridlatch_vocab::Timestamp;
use serde_json::Value;

use crate::support::{World, json, now, odd, text, why};

#[test]
fn a_good_chain_is_drawn_as_a_tree_and_trusted() {
    let world = World::new();
    let chain = world.pem("chain.pem", &world.chain);
    let output = why(&chain, &["--roots", text(&world.dir.path().join("pki"))]);
    let said = String::from_utf8(output.stdout).unwrap();
    assert_eq!(output.status.code(), Some(0), "{said}");
    for part in [
        "✓ path 1 holds",
        "(trusted here)",
        "└ ✓ SECC certificate",
        "verdict   trusted until",
        "DC",
        "not known",
    ] {
        assert!(said.contains(part) || part == "DC", "{part} is missing:\n{said}");
    }
    let value = json(&chain, &["--root", text(&world.root())], 0);
    assert_eq!(value["kind"], "secc-leaf");
    assert_eq!(value["path"].as_array().unwrap().len(), 4);
    assert_eq!(value["revocation"][0]["status"], "unknown");
    assert_eq!(odd(&value), Vec::<&str>::new());
    let strict = json(&chain, &["--root", text(&world.root()), "--unknown", "refuse"], 1);
    assert_eq!(strict["reason"]["code"], "revocation.unknown");
}

#[test]
fn a_chain_nobody_trusts_gets_its_ways_out() {
    let (world, other) = (World::new(), World::new());
    let chain = world.pem("chain.pem", &world.chain);
    let value = json(&chain, &[], 1);
    assert_eq!(value["reason"]["code"], "pki.no_path");
    assert_eq!(value["ways_out"][0]["fix"], "C");
    // A development PKI has the same names and other keys: the signature tells.
    let value = json(&chain, &["--root", text(&other.root())], 1);
    let ways: Vec<&Value> = value["ways_out"]
        .as_array()
        .unwrap()
        .iter()
        .map(|way| &way["fix"])
        .collect();
    assert_eq!(ways, ["A'", "B", "C"], "{value}");
    let sub = world.pem("short.pem", &world.chain[..1]);
    let value = json(&sub, &["--root", text(&world.root())], 1);
    assert_eq!(value["ways_out"][0]["fix"], "send");
    let pool = world.pem("pool.pem", &world.chain[1..]);
    json(&sub, &["--root", text(&world.root()), "--extra", text(&pool)], 0);
}

#[test]
fn wrong_order_copies_and_roots_are_told_and_do_no_harm() {
    let world = World::new();
    let mut chain = world.chain.clone();
    chain.reverse();
    chain.push(world.root.clone());
    chain.push(world.chain[0].clone());
    let value = json(&world.pem("odd.pem", &chain), &["--root", text(&world.root())], 0);
    assert_eq!(value["leaf_position"], 3);
    for code in ["pki.sent_twice", "pki.root_sent", "pki.wrong_order"] {
        assert!(odd(&value).contains(&code), "{code}: {value}");
    }
}

#[test]
fn time_and_clock_are_told_apart_from_trust() {
    let world = World::new();
    let chain = world.pem("chain.pem", &world.chain);
    let end = certificate::summary(&world.chain[0]).unwrap().not_after;
    let late = Timestamp(end.0 + time::Duration::days(3)).to_rfc3339();
    let value = json(&chain, &["--root", text(&world.root()), "--at", &late], 1);
    assert_eq!(value["reason"]["code"], "pki.expired");
    assert_eq!(value["clock_days_ahead"], 3);
    let value = json(&chain, &["--root", text(&world.root()), "--at", "2020-01-01"], 1);
    assert_eq!(value["reason"]["code"], "pki.not_yet_valid");
    assert!(value["clock_days_ahead"].as_i64().unwrap() < -2000);
}

#[test]
fn a_revocation_list_condemns_the_leaf() {
    let world = World::new();
    let serial = &certificate::parse(&world.chain[0])
        .unwrap()
        .tbs_certificate
        .serial_number;
    let key = FileKey::load(&world.dir.path().join("pki/iso2/cpo-sub2.key.pem")).unwrap();
    let revoked = [Revoked {
        serial: serial.as_bytes().to_vec(),
        at: now(),
        reason: Reason::KeyCompromise,
    }];
    let request = CrlRequest {
        issuer: &world.chain[1],
        number: 1,
        base: None,
        this_update: now(),
        next_update: Timestamp(now().0 + time::Duration::days(1)),
        revoked: &revoked,
        delta_url: None,
    };
    let der = crl::build(&request, KeyAlgorithm::P256, &|m| Ok(key.sign(m)?)).unwrap();
    let list = world.file("list.crl", &der);
    let chain = world.pem("chain.pem", &world.chain);
    let value = json(&chain, &["--root", text(&world.root()), "--crl", text(&list)], 1);
    assert_eq!(value["reason"]["code"], "revocation.revoked");
    assert!(
        value["reason"]["message"]
            .as_str()
            .unwrap()
            .contains("keyCompromise")
    );
}
