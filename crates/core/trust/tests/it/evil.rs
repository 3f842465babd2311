//! Certificates and requests with one defect each, signed as they should be: each is refused by its code, after a
//! bounded number of signatures, and what stands beside it is judged as if it were not there.

use std::cell::Cell;

use gridlatch_testkit::evil::{self, Evil, Template};
use gridlatch_trust::profile::{Kind, Profile};
use gridlatch_trust::verdict::{
    Case, Evidence, Judgement, MAX_EXTRA, MAX_SENT, MAX_SIGNATURES, MAX_TRIED, Policy, findings, guess,
    judge, proposals,
};
use gridlatch_trust::{KeyAlgorithm, RustCrypto, Verify, certificate, crl, csr};
use gridlatch_vocab::catalogue::pki;

use crate::support::{Key, now};

const SECC: Profile = Profile::iso2(Kind::SeccLeaf);

/// Counts what the judge costs.
#[derive(Default)]
struct Counting {
    signatures: Cell<usize>,
    octets: Cell<usize>,
}

impl Verify for Counting {
    fn verify(&self, algorithm: KeyAlgorithm, spki: &[u8], message: &[u8], signature: &[u8]) -> Option<bool> {
        self.signatures.set(self.signatures.get() + 1);
        self.octets.set(self.octets.get() + message.len());
        RustCrypto.verify(algorithm, spki, message, signature)
    }
}

/// A root and a sub-CA with one key each, and the leaf that is bent.
struct Tree {
    root: Vec<u8>,
    sub: Template,
    leaf: Template,
    root_key: Key,
    sub_key: Key,
}

fn signer(key: &Key) -> impl Fn(&[u8]) -> Vec<u8> + '_ {
    |message| key.sign(message).unwrap()
}

fn tree() -> Tree {
    let (root_key, sub_key, leaf_key) = (Key::p256(1), Key::p256(2), Key::p256(3));
    let (root_name, sub_name) = (evil::name(b"Root", None), evil::name(b"Sub", None));
    let root = Template::ca(&root_name, &root_name, &root_key.spki(), 1, None).signed(&signer(&root_key));
    Tree {
        root,
        sub: Template::ca(&root_name, &sub_name, &sub_key.spki(), 2, Some(0)),
        leaf: Template::leaf(&sub_name, "DE*GDL*E1", Some("CPO"), &leaf_key.spki(), 0x88),
        root_key,
        sub_key,
    }
}

fn judged(chain: &[Vec<u8>], anchors: &[Vec<u8>], extra: &[Vec<u8>]) -> (Judgement, Counting) {
    let counting = Counting::default();
    let case = Case {
        chain,
        anchors,
        extra,
        profile: SECC,
        now: now(),
        evidence: &Evidence::default(),
        policy: Policy::NOT_ASKED,
    };
    let judgement = judge(&case, &counting);
    assert!(counting.signatures.get() <= MAX_SIGNATURES);
    assert!(counting.octets.get() <= MAX_SIGNATURES * certificate::MAX_OCTETS);
    assert!(judgement.tried.len() <= MAX_TRIED);
    // What explains the verdict reads the same input.
    let _ = (proposals(&case, &judgement), findings(chain, SECC));
    (judgement, counting)
}

/// Refused, with a code of this area, the clause and what to do.
fn refused(judgement: &Judgement, defect: &str) -> String {
    let reason = judgement.reason().unwrap_or_else(|| panic!("{defect}: believed"));
    assert!(reason.code.as_str().starts_with("pki."), "{defect}: {reason:?}");
    assert!(
        !reason.clause.is_empty() && !reason.remedy.is_empty(),
        "{defect}: {reason:?}"
    );
    assert!(
        reason.message.len() < 1024,
        "{defect}: {} octets of message",
        reason.message.len()
    );
    assert!(!reason.message.contains('\0'), "{defect}: a NUL came through");
    reason.code.as_str().to_owned()
}

#[test]
fn every_defect_of_a_leaf_is_refused_by_its_code_after_few_signatures() {
    let tree = tree();
    let (by_root, by_sub) = (signer(&tree.root_key), signer(&tree.sub_key));
    let (sub, anchors) = (tree.sub.signed(&by_root), [tree.root.clone()]);
    let good = vec![tree.leaf.signed(&by_sub), sub.clone()];
    let (judgement, cost) = judged(&good, &anchors, &[]);
    assert!(judgement.accepted.is_some(), "{:?}", judgement.reason());
    assert_eq!(cost.signatures.get(), 2);
    let all = evil::certificates(&tree.leaf, &by_sub);
    assert!(all.len() > 40, "{}", all.len());
    let mut believed = Vec::new();
    for Evil { defect, der } in &all {
        let (judgement, cost) = judged(&[der.clone(), sub.clone()], &anchors, &[]);
        if judgement.accepted.is_some() {
            believed.push(*defect);
            continue;
        }
        let code = refused(&judgement, defect);
        println!("{defect}: {code}, {} signatures", cost.signatures.get());
        assert!(cost.signatures.get() <= 2, "{defect}");
        let _ = (
            guess(der),
            certificate::emaid_of(der),
            crl::distribution_points(der),
        );
    }
    assert!(believed.is_empty(), "{believed:?}");
}

#[test]
fn every_defect_of_a_sub_ca_is_refused_and_beside_the_path_it_does_no_harm() {
    let tree = tree();
    let (by_root, by_sub) = (signer(&tree.root_key), signer(&tree.sub_key));
    let (leaf, sub, anchors) = (
        tree.leaf.signed(&by_sub),
        tree.sub.signed(&by_root),
        [tree.root.clone()],
    );
    let mut believed = Vec::new();
    for Evil { defect, der } in evil::certificates(&tree.sub, &by_root) {
        // A CA may well have the basic constraints of a CA.
        if defect == "basic constraints of a CA in a leaf" {
            continue;
        }
        let (judgement, _) = judged(&[leaf.clone(), der.clone()], &anchors, &[]);
        if judgement.accepted.is_some() {
            believed.push(defect);
            continue;
        }
        refused(&judgement, defect);
        let (judgement, _) = judged(
            &[leaf.clone(), der.clone(), sub.clone()],
            &anchors,
            &[der.clone()],
        );
        assert!(
            judgement.accepted.is_some(),
            "{defect} beside the path: {:?}",
            judgement.reason()
        );
        let (judgement, _) = judged(&[leaf.clone(), sub.clone()], &[der, tree.root.clone()], &[]);
        assert!(judgement.accepted.is_some(), "{defect} among the roots");
    }
    assert!(believed.is_empty(), "{believed:?}");
}

#[test]
fn a_hundred_certificates_are_refused_unread_and_rings_end_within_the_budget() {
    let tree = tree();
    let by_root = signer(&tree.root_key);
    let key = Key::p256(9);
    let by_key = signer(&key);
    let leaf = Template::leaf(
        &evil::name(b"Step 0", None),
        "DE*GDL*E1",
        Some("CPO"),
        &key.spki(),
        0x88,
    );
    let leaf = leaf.signed(&by_key);
    let ladder = evil::ladder("Step 0", &evil::name(b"Root", None), &key.spki(), 99, &by_key);
    let anchors = [tree.root.clone()];
    let chain = [&[leaf.clone()][..], &ladder].concat();
    let (judgement, cost) = judged(&chain, &anchors, &[]);
    assert_eq!(judgement.reason().unwrap().code, pki::TOO_LARGE);
    assert_eq!(cost.signatures.get(), 0);
    // As a pool of helpers it leads nowhere, and is left in time.
    let (judgement, _) = judged(&chain[..MAX_SENT], &anchors, &ladder);
    refused(&judgement, "a ladder");
    // Eight CAs that all certify one another, and none of them the root's.
    let rings = evil::rings("Step 0", &key.spki(), 8, &by_key);
    assert!(rings.len() <= MAX_EXTRA);
    let (judgement, cost) = judged(&[leaf.clone()], &anchors, &rings);
    refused(&judgement, "rings");
    assert!(cost.signatures.get() > 4, "the rings were walked");
    // With a way out it is found, if it is near.
    let way_out = Template::ca(
        &evil::name(b"Root", None),
        &evil::name(b"Step 0", None),
        &key.spki(),
        7,
        None,
    );
    let with = [&[way_out.signed(&by_root)][..], &rings].concat();
    let (judgement, _) = judged(&[leaf], &anchors, &with);
    assert!(judgement.accepted.is_some(), "{:?}", judgement.reason());
}

#[test]
fn every_defect_of_a_request_is_refused_by_its_code_and_one_signature_at_most_is_checked() {
    let (key, other) = (Key::p256(5), Key::p256(6));
    let subject = evil::name(b"GL-1", None);
    let plain = evil::request(&subject, &key.spki(), &[], &signer(&key));
    assert!(csr::parse(&plain, &RustCrypto).is_ok());
    for Evil { defect, der } in evil::requests(&subject, &key.spki(), &signer(&key), &signer(&other)) {
        let counting = Counting::default();
        let Err(error) = csr::parse(&der, &counting) else {
            panic!("{defect}: taken");
        };
        println!("{defect}: {}", error.code().as_str());
        assert!(counting.signatures.get() <= 1, "{defect}");
        assert!(counting.octets.get() <= csr::MAX_OCTETS, "{defect}");
    }
}
