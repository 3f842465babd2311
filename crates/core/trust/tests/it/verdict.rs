use std::cell::Cell;

use gridlatch_trust::profile::{Kind, Profile};
use gridlatch_trust::verdict::{
    self, Case, Evidence, Fix, Judgement, MAX_SIGNATURES, MAX_TRIED, Policy, Rejected, check, clock_hint,
    judge, proposals,
};
use gridlatch_trust::{Generation, KeyAlgorithm, RustCrypto, Verify};
use gridlatch_vocab::Timestamp;
use gridlatch_vocab::catalogue::pki;

use crate::support::{Cpo, Entity, Key, cross, from_now, now, openssl_any, pem, said, write};

const SECC: [Profile; 2] = [Profile::iso2(Kind::SeccLeaf), Profile::iso20(Kind::SeccLeaf)];

pub fn judged(
    chain: &[Vec<u8>],
    anchors: &[Vec<u8>],
    extra: &[Vec<u8>],
    profile: Profile,
    now: Timestamp,
) -> (Judgement, Vec<Fix>, Option<i64>) {
    let case = Case {
        chain,
        anchors,
        extra,
        profile,
        now,
        evidence: &Evidence::default(),
        policy: Policy::NOT_ASKED,
    };
    let judgement = judge(&case, &RustCrypto);
    let fixes = proposals(&case, &judgement).into_iter().map(|p| p.fix).collect();
    let clock = clock_hint(&case, &judgement, &RustCrypto);
    (judgement, fixes, clock)
}

/// Two PKIs and the certificates between them.
struct World {
    a: Cpo,
    b: Cpo,
    /// A's root over B's sub-CA 1.
    over_sub: Vec<u8>,
    /// A's root over B's root.
    over_root: Vec<u8>,
}

impl World {
    fn new(generation: Generation) -> Self {
        let (a, b) = (Cpo::new(generation, 1), Cpo::new(generation, 2));
        let over_sub = cross(&b.sub1, Kind::CpoSub1, &a.root, generation, 71);
        let over_root = cross(&b.root, Kind::V2gRoot, &a.root, generation, 72);
        Self {
            a,
            b,
            over_sub,
            over_root,
        }
    }
}

#[test]
fn openssl_and_we_agree_on_a_matrix_of_chains_roots_and_times() {
    let (mut agreed, mut stricter, mut found_more, mut accepted) = (0, 0, 0, 0);
    for (generation, profile) in [(Generation::Iso2, SECC[0]), (Generation::Iso20, SECC[1])] {
        let World {
            a,
            b,
            over_sub,
            over_root,
        } = World::new(generation);
        let stranger = Cpo::new(generation, 3).root.der;
        let (sub1, sub2, root) = (b.sub1.der.clone(), b.sub2.der.clone(), b.root.der.clone());
        let sent: Vec<Vec<Vec<u8>>> = vec![
            vec![sub2.clone(), sub1.clone()],
            vec![sub1.clone(), sub2.clone()],
            vec![sub2.clone(), sub1.clone(), root.clone()],
            vec![b.leaf.der.clone(), sub2.clone(), sub2.clone(), sub1.clone()],
            vec![sub2.clone()],
            vec![sub1.clone()],
            vec![],
            vec![sub2.clone(), over_sub.clone()],
            vec![sub2.clone(), sub1.clone(), over_sub.clone()],
            vec![sub2.clone(), over_sub, sub1.clone()],
            vec![sub2.clone(), sub1.clone(), over_root.clone()],
            vec![over_root, a.sub1.der.clone(), sub1, sub2, root],
        ];
        let anchors = [
            vec![a.root.der.clone()],
            vec![b.root.der.clone()],
            vec![a.root.der.clone(), b.root.der.clone()],
            vec![stranger],
        ];
        let dir = tempfile::tempdir().unwrap();
        let leaf = write(dir.path(), "leaf.pem", &pem(&[&b.leaf.der]));
        for sent in &sent {
            let subs = write(dir.path(), "subs.pem", &pem(sent));
            for anchors in &anchors {
                let roots = write(dir.path(), "roots.pem", &pem(anchors));
                for day in [0, -45, 45, 900] {
                    let when = from_now(day);
                    let chain = [vec![b.leaf.der.clone()], sent.clone()].concat();
                    let ours = judged(&chain, anchors, &[], profile, when).0;
                    let seconds = when.0.unix_timestamp().to_string();
                    let mut arguments =
                        vec!["verify", "-x509_strict", "-CAfile", &roots, "-attime", &seconds];
                    if !sent.is_empty() {
                        arguments.extend(["-untrusted", &subs]);
                    }
                    arguments.push(&leaf);
                    let output = openssl_any(arguments.into_iter().map(String::from));
                    let theirs = output.status.success();
                    accepted += usize::from(ours.accepted.is_some());
                    match (ours.reason(), theirs) {
                        (None, true) | (Some(_), false) => agreed += 1,
                        // OpenSSL does not know [V2G2-009].
                        (Some(reason), true) if reason.code == pki::PATH_TOO_LONG => stricter += 1,
                        // OpenSSL does not turn back from a dead end; shown the path alone it agrees.
                        (None, false) => {
                            let found = ours.accepted.as_ref().unwrap();
                            let path = write(dir.path(), "path.pem", &pem(&found.path[1..]));
                            let root = write(dir.path(), "root.pem", &pem(&[&found.anchor]));
                            let again = openssl_any(
                                [
                                    "verify",
                                    "-x509_strict",
                                    "-CAfile",
                                    &root,
                                    "-attime",
                                    &seconds,
                                    "-untrusted",
                                    &path,
                                    &leaf,
                                ]
                                .map(String::from),
                            );
                            assert!(again.status.success(), "{}", said(&again));
                            found_more += 1;
                        }
                        (reason, _) => panic!("day {day}: {reason:?}, but openssl: {}", said(&output)),
                    }
                }
            }
        }
    }
    assert_eq!(agreed + stricter + found_more, 2 * 12 * 4 * 4);
    println!("{agreed} agreed, {accepted} accepted, {stricter} stricter, {found_more} found by turning back");
    assert!(accepted > 70 && stricter > 7 && found_more > 3);
}

#[test]
fn every_path_is_reported_with_the_certificate_that_failed() {
    let World { a, b, over_sub, .. } = World::new(Generation::Iso2);
    let foreign = Cpo::new(Generation::Iso2, 3).root.der;
    let chain = vec![
        b.leaf.der.clone(),
        b.sub2.der.clone(),
        b.sub1.der.clone(),
        over_sub.clone(),
        b.root.der.clone(),
    ];
    let (judgement, fixes, clock) = judged(&chain, &[foreign], &[], SECC[0], now());
    assert!(judgement.accepted.is_none() && judgement.leaf.is_empty() && !judgement.cut_short);
    let ends: Vec<(Vec<&str>, &str)> = judgement
        .tried
        .iter()
        .map(|tried| {
            assert_eq!(tried.rejected.code, pki::NO_PATH);
            assert!(!tried.rejected.remedy.is_empty() && tried.rejected.clause.contains("RFC 5280"));
            let names = tried.path.iter().map(|step| step.name.as_str()).collect();
            (names, tried.rejected.failing.as_deref().unwrap())
        })
        .collect();
    assert_eq!(
        ends,
        [
            (vec!["SECC certificate", "Sub2 2", "Sub1 2", "Root 2"], "Sub1 2"),
            (vec!["SECC certificate", "Sub2 2", "Sub1 2"], "Sub1 2"),
        ]
    );
    assert_eq!(fixes, [Fix::CrossCertify, Fix::SecondLeaf, Fix::InstallRoot]);
    assert_eq!(clock, None);
    // With A trusted, the way over the cross-certificate holds, and the one that did not is told.
    let (judgement, fixes, _) = judged(&chain, &[a.root.der.clone()], &[], SECC[0], now());
    let accepted = judgement.accepted.unwrap();
    assert_eq!(
        (accepted.anchor, accepted.path.last()),
        (a.root.der, Some(&over_sub))
    );
    assert_eq!(judgement.steps.len(), 4);
    assert!(judgement.steps.last().unwrap().anchor);
    assert_eq!(judgement.tried.len(), 1);
    assert!(fixes.is_empty());
}

#[test]
fn a_missing_link_is_found_in_the_pool_and_asked_for_where_it_is_not() {
    let World { a, b, over_sub, .. } = World::new(Generation::Iso20);
    let leaf = vec![b.leaf.der.clone()];
    let pool = vec![b.sub2.der.clone(), over_sub];
    let (judgement, ..) = judged(&leaf, &[a.root.der.clone()], &pool, SECC[1], now());
    assert_eq!(judgement.accepted.unwrap().path.len(), 3);
    let (judgement, fixes, _) = judged(&leaf, &[b.root.der.clone()], &[], SECC[1], now());
    assert_eq!(judgement.reason().unwrap().code, pki::NO_PATH);
    assert_eq!(fixes, [Fix::SendSubCa]);
    let (_, fixes, _) = judged(&b.chain(), &[], &[], SECC[1], now());
    assert_eq!(fixes, [Fix::InstallRoot]);
}

#[test]
fn the_clock_is_suspected_by_the_number_of_days() {
    let tree = Cpo::new(Generation::Iso2, 1);
    let anchors = [tree.root.der.clone()];
    // The leaf runs for 90 days from 30 days ago.
    let (judgement, _, clock) = judged(&tree.chain(), &anchors, &[], SECC[0], from_now(63));
    assert_eq!(judgement.reason().unwrap().code, pki::EXPIRED);
    assert_eq!(clock, Some(3));
    let (judgement, _, clock) = judged(&tree.chain(), &anchors, &[], SECC[0], from_now(-32));
    assert_eq!(judgement.reason().unwrap().code, pki::NOT_YET_VALID);
    assert_eq!(clock, Some(-2));
    // Without a root no clock helps.
    let (_, _, clock) = judged(&tree.chain(), &[], &[], SECC[0], from_now(63));
    assert_eq!(clock, None);
}

/// Counts, and says yes to everything: the worst case for a search.
struct Yes(Cell<usize>);

impl Verify for Yes {
    fn verify(&self, _: KeyAlgorithm, _: &[u8], _: &[u8], _: &[u8]) -> Option<bool> {
        self.0.set(self.0.get() + 1);
        Some(true)
    }
}

#[test]
fn cycles_and_thickets_end_within_the_budget() {
    let generation = Generation::Iso2;
    let (a, b) = (Cpo::new(generation, 1), Cpo::new(generation, 2));
    // Sub-CAs that certify each other: rings of every length.
    let mut pool = vec![
        cross(&a.sub1, Kind::CpoSub1, &b.root, generation, 81),
        cross(&b.sub1, Kind::CpoSub1, &a.root, generation, 82),
        cross(&a.root, Kind::V2gRoot, &b.root, generation, 83),
        cross(&b.root, Kind::V2gRoot, &a.root, generation, 84),
    ];
    pool.extend([a.root.der.clone(), b.root.der.clone()]);
    // Sixty certificates of one name and key: every one may have issued every other.
    for serial in 1..=58_u8 {
        let twin = a.root.child(
            Profile::iso2(Kind::CpoSub1),
            "Sub1 1",
            Key::p256(18),
            u16::from(serial) + 300,
        );
        pool.push(twin.der);
    }
    let yes = Yes(Cell::new(0));
    let (chain, stranger) = (a.chain(), [Cpo::new(generation, 3).root.der]);
    let case = Case {
        chain: &chain,
        anchors: &stranger,
        extra: &pool,
        profile: SECC[0],
        now: now(),
        evidence: &Evidence::default(),
        policy: Policy::NOT_ASKED,
    };
    let judgement = judge(&case, &yes);
    assert!(judgement.accepted.is_none());
    assert!(yes.0.get() <= MAX_SIGNATURES, "{} signatures", yes.0.get());
    assert!(judgement.tried.len() <= MAX_TRIED);
}

fn refused(chain: &[Vec<u8>], anchors: &[Vec<u8>]) -> Rejected {
    check(chain, anchors, SECC[0], now()).unwrap_err()
}

#[test]
fn a_sub_ca_that_has_expired_is_named_beside_the_valid_one_of_the_same_name() {
    let tree = Cpo::new(Generation::Iso2, 1);
    let old = crate::support::Validity { from: -29, to: -1 };
    let expired = tree.root.child_valid(
        Profile::iso2(Kind::CpoSub1),
        "Sub1 1",
        tree.sub1.key.clone(),
        40,
        old,
    );
    let anchors = [tree.root.der.clone()];
    let mut chain = vec![tree.leaf.der.clone(), tree.sub2.der.clone(), expired.der];
    let rejected = refused(&chain, &anchors);
    assert_eq!(
        (rejected.code, rejected.failing.as_deref()),
        (pki::EXPIRED, Some("Sub1 1"))
    );
    assert_eq!(rejected.depth, Some(2));
    chain.push(tree.sub1.der.clone());
    let (judgement, ..) = judged(&chain, &anchors, &[], SECC[0], now());
    assert!(judgement.accepted.is_some());
    assert_eq!(judgement.tried.len(), 1, "the expired one is told");
}

#[test]
fn one_bit_anywhere_in_a_chain_is_never_believed() {
    let tree = Cpo::new(Generation::Iso2, 1);
    let (chain, anchors) = (tree.chain(), [tree.root.der.clone()]);
    for certificate in 0..chain.len() {
        for octet in (0..chain[certificate].len()).step_by(3) {
            let mut bent = chain.clone();
            bent[certificate][octet] ^= 0x04;
            assert!(
                check(&bent, &anchors, SECC[0], now()).is_err(),
                "{certificate}/{octet}"
            );
        }
    }
}

#[test]
fn impostors_under_a_trusted_name_do_not_hide_the_true_issuer() {
    let tree = Cpo::new(Generation::Iso2, 1);
    // The same names, other keys, and no key identifier that would tell them apart beforehand.
    let fakes: Vec<Vec<u8>> = (0..5)
        .map(|n| Entity::root(Profile::iso2(Kind::V2gRoot), "Root 1", Key::p256(150 + n)).der)
        .collect();
    let mut anchors = fakes;
    anchors.push(tree.root.der.clone());
    let accepted = check(&tree.chain(), &anchors, SECC[0], now()).unwrap();
    assert_eq!(accepted.anchor, tree.root.der);
}

#[test]
fn what_is_odd_about_a_chain_is_told_in_words() {
    let tree = Cpo::new(Generation::Iso2, 1);
    let codes = |chain: &[Vec<u8>]| -> Vec<&'static str> {
        verdict::findings(chain, SECC[0])
            .iter()
            .map(|f| f.code.as_str())
            .collect()
    };
    assert_eq!(codes(&tree.chain()), Vec::<&str>::new());
    let (leaf, sub2, sub1, root) = (
        tree.leaf.der.clone(),
        tree.sub2.der.clone(),
        tree.sub1.der.clone(),
        tree.root.der.clone(),
    );
    assert_eq!(
        codes(&[leaf.clone(), leaf.clone(), sub2.clone(), sub1.clone()]),
        ["pki.sent_twice", "pki.wrong_order"]
    );
    assert_eq!(
        codes(&[leaf.clone(), sub1.clone(), sub2.clone()]),
        ["pki.wrong_order"]
    );
    assert_eq!(
        codes(&[leaf.clone(), sub2.clone(), sub1.clone(), root]),
        ["pki.root_sent"]
    );
    let other = Cpo::new(Generation::Iso2, 2).sub1.der;
    assert_eq!(codes(&[leaf.clone(), sub2, sub1, other]), ["pki.unrelated"]);
    assert_eq!(codes(&[leaf, b"0\x03abc".to_vec()]), ["pki.malformed"]);
}
