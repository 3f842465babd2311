//! Cross-certificates and link certificates, judged by OpenSSL's command line and by our own verdict.
#![allow(
    clippy::unwrap_used,
    clippy::unwrap_in_result,
    reason = "a test that meets what it did not expect stops there"
)]

use std::path::PathBuf;
use std::process::Command;

use gridlatch_keys::{FileKey, KeyAlgorithm, OpensslVerifier, Signer as _};
use gridlatch_trust::build::{BuildError, Issuer, Request, Subject, build};
use gridlatch_trust::cross::{CrossRequest, Link, Reach, cross, link};
use gridlatch_trust::profile::Kind;
use gridlatch_trust::verdict::check_with;
use gridlatch_trust::{Generation, Profile, certificate};
use gridlatch_vocab::Timestamp;
use gridlatch_vocab::catalogue::pki;

const WORLDS: [(Generation, KeyAlgorithm); 3] = [
    (Generation::Iso2, KeyAlgorithm::P256),
    (Generation::Iso20, KeyAlgorithm::P521),
    (Generation::Iso20, KeyAlgorithm::Ed448),
];

fn now() -> Timestamp {
    Timestamp(time::OffsetDateTime::now_utc())
}

struct Ca {
    der: Vec<u8>,
    key: FileKey,
}

fn issue(profile: Profile, algorithm: KeyAlgorithm, name: &str, issuer: Option<&Ca>) -> Ca {
    let key = FileKey::generate(algorithm).unwrap();
    let request = Request {
        profile,
        subject: Subject {
            common_name: name.to_owned(),
            organization: Some("Test".to_owned()),
            country: None,
        },
        spki: key.public_key_der(),
        serial: &[profile.kind as u8 + 1, 7],
        not_before: Timestamp(now().0 - time::Duration::DAY),
        not_after: None,
        alt_names: Vec::new(),
        ocsp_url: None,
        crl_url: None,
    };
    let signer = issuer.map_or(&key, |issuer| &issuer.key);
    let der = build(
        &request,
        issuer.map_or(Issuer::Itself, |issuer| Issuer::Ca(&issuer.der)),
        algorithm,
        &|message| signer.sign(message).map_err(Into::into),
    )
    .unwrap();
    Ca { der, key }
}

/// A root, two sub-CAs and a station's leaf.
struct Tree {
    profile: Profile,
    root: Ca,
    sub1: Ca,
    sub2: Ca,
    leaf: Ca,
}

fn tree((generation, algorithm): (Generation, KeyAlgorithm), name: &str) -> Tree {
    let profile = |kind| Profile { kind, generation };
    let root = issue(profile(Kind::V2gRoot), algorithm, &format!("{name} Root"), None);
    let sub1 = issue(
        profile(Kind::CpoSub1),
        algorithm,
        &format!("{name} Sub1"),
        Some(&root),
    );
    let sub2 = issue(
        profile(Kind::CpoSub2),
        algorithm,
        &format!("{name} Sub2"),
        Some(&sub1),
    );
    let leaf = issue(profile(Kind::SeccLeaf), algorithm, "DE*TST*E1", Some(&sub2));
    Tree {
        profile: profile(Kind::SeccLeaf),
        root,
        sub1,
        sub2,
        leaf,
    }
}

impl Tree {
    fn chain(&self, more: &[&Vec<u8>]) -> Vec<Vec<u8>> {
        [&self.leaf.der, &self.sub2.der]
            .into_iter()
            .chain(more.iter().copied())
            .cloned()
            .collect()
    }

    fn cross(&self, over: &Ca, reach: Reach) -> Result<Vec<u8>, BuildError> {
        cross(
            &CrossRequest {
                subject: &over.der,
                kind: Kind::CpoSub1,
                generation: self.profile.generation,
                serial: &[9, 9],
                not_before: now(),
                not_after: None,
                ocsp_url: None,
                crl_url: None,
                reach,
            },
            &self.root.der,
            self.root.key.algorithm(),
            &|message| self.root.key.sign(message).map_err(Into::into),
        )
    }
}

/// What `openssl verify -x509_strict` says: `Ok`, or the number of the error.
fn openssl_verify(root: &[u8], chain: &[Vec<u8>]) -> Result<(), u32> {
    let dir = tempfile::tempdir().unwrap();
    let write = |name: &str, certificates: &[Vec<u8>]| -> PathBuf {
        let path = dir.path().join(name);
        let text: String = certificates.iter().map(|der| certificate::to_pem(der)).collect();
        std::fs::write(&path, text).unwrap();
        path
    };
    let output = Command::new("openssl")
        .args(["verify", "-x509_strict", "-check_ss_sig", "-CAfile"])
        .arg(write("root.pem", &[root.to_vec()]))
        .arg("-untrusted")
        .arg(write("untrusted.pem", chain))
        .arg(write("leaf.pem", &chain[..1]))
        .output()
        .unwrap();
    if output.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&output.stderr);
    let number = said
        .split("error ")
        .nth(1)
        .and_then(|rest| rest.split(' ').next());
    Err(number
        .and_then(|number| number.parse().ok())
        .unwrap_or_else(|| panic!("{said}")))
}

fn verdict(tree: &Tree, chain: &[Vec<u8>], anchor: &[u8]) -> Result<(), &'static str> {
    check_with(chain, &[anchor.to_vec()], tree.profile, now(), &OpensslVerifier)
        .map(|_| ())
        .map_err(|rejected| rejected.code.as_str())
}

#[test]
fn a_cross_certificate_over_sub_ca_1_makes_a_chain_of_three_that_everybody_accepts() {
    for world in WORLDS {
        let (a, b) = (tree(world, "A"), tree(world, "B"));
        let plain = b.chain(&[&b.sub1.der]);
        assert_eq!(openssl_verify(&a.root.der, &plain), Err(20), "{world:?}");
        assert_eq!(verdict(&b, &plain, &a.root.der), Err("pki.no_path"));
        let crossed = b.chain(&[&a.cross(&b.sub1, Reach::WithinPath).unwrap()]);
        assert_eq!(openssl_verify(&a.root.der, &crossed), Ok(()), "{world:?}");
        assert_eq!(verdict(&b, &crossed, &a.root.der), Ok(()), "{world:?}");
        // The crossed chain serves vehicles of A; B's own go on with the plain one, or with both.
        let both = b.chain(&[&b.sub1.der, &crossed[2]]);
        assert_eq!(verdict(&b, &both, &a.root.der), Ok(()));
        assert_eq!(verdict(&b, &both, &b.root.der), Ok(()));
    }
}

#[test]
fn a_cross_certificate_over_a_root_is_refused_unless_it_is_asked_for_by_name() {
    for world in WORLDS {
        let (a, b) = (tree(world, "A"), tree(world, "B"));
        let Err(BuildError::Lint { faults, .. }) = a.cross(&b.root, Reach::WithinPath) else {
            panic!("{world:?}: must be refused");
        };
        assert_eq!(faults[0].code, pki::PATH_TOO_LONG);
        let forced = a.cross(&b.root, Reach::OverRootForExperiment).unwrap();
        let chain = b.chain(&[&b.sub1.der, &forced]);
        assert_eq!(
            openssl_verify(&a.root.der, &chain),
            Ok(()),
            "OpenSSL knows no such limit"
        );
        assert_eq!(
            verdict(&b, &chain, &a.root.der),
            Err("pki.path_too_long"),
            "{world:?}"
        );
    }
}

#[test]
fn nothing_but_another_pkis_ca_is_cross_signed() {
    let world = WORLDS[0];
    let (a, b) = (tree(world, "A"), tree(world, "B"));
    assert!(
        matches!(a.cross(&b.leaf, Reach::WithinPath), Err(BuildError::Input(_))),
        "a leaf"
    );
    assert!(
        matches!(a.cross(&a.sub1, Reach::WithinPath), Err(BuildError::Input(_))),
        "its own"
    );
    let foreign = tree(WORLDS[1], "C");
    let Err(BuildError::Lint { faults, .. }) = a.cross(&foreign.sub1, Reach::WithinPath) else {
        panic!("a P-521 key is none of ISO 15118-2");
    };
    assert_eq!(faults[0].code, pki::WRONG_CURVE);
}

#[test]
fn a_cross_certificate_never_outlives_its_issuer_or_its_subject() {
    for world in WORLDS {
        let (a, b) = (tree(world, "A"), tree(world, "B"));
        let made = certificate::summary(&a.cross(&b.sub1, Reach::WithinPath).unwrap()).unwrap();
        let (own, theirs) = (
            certificate::summary(&a.root.der).unwrap(),
            certificate::summary(&b.sub1.der).unwrap(),
        );
        assert_eq!(made.not_after, own.not_after.min(theirs.not_after));
        assert_eq!(made.subject_cn, "B Sub1");
        assert_eq!(made.issuer_cn, "A Root");
    }
}

#[test]
fn link_certificates_join_an_old_and_a_new_root_both_ways() {
    for world in WORLDS {
        let (old, new) = (tree(world, "G1"), tree(world, "G2"));
        let profile = Profile {
            kind: Kind::V2gRoot,
            generation: world.0,
        };
        let make = |which, signer: &Ca| {
            link(
                (&old.root.der, &new.root.der),
                which,
                profile,
                (&[3], now()),
                world.1,
                &|message| signer.key.sign(message).map_err(Into::into),
            )
            .unwrap()
        };
        let old_with_new = make(Link::OldWithNew, &new.root);
        let new_with_old = make(Link::NewWithOld, &old.root);
        // Who holds only G2 can check G1's chains, and who holds only G1 can check G2's.
        let through = old.chain(&[&old.sub1.der, &old_with_new]);
        assert_eq!(openssl_verify(&new.root.der, &through), Ok(()), "{world:?}");
        let through = new.chain(&[&new.sub1.der, &new_with_old]);
        assert_eq!(openssl_verify(&old.root.der, &through), Ok(()), "{world:?}");
        // In a vehicle's handshake it is one certificate too many, whichever way.
        assert_eq!(verdict(&new, &through, &old.root.der), Err("pki.path_too_long"));
        // The new root itself, checked by a holder of the old one.
        assert_eq!(openssl_verify(&old.root.der, &[new_with_old]), Ok(()));
        // A sub-CA is no root.
        let refused = link(
            (&old.root.der, &new.sub1.der),
            Link::NewWithOld,
            profile,
            (&[3], now()),
            world.1,
            &|m| old.root.key.sign(m).map_err(Into::into),
        );
        assert!(matches!(refused, Err(BuildError::Input(_))));
    }
}

#[test]
fn a_trust_list_brings_roots_and_nothing_but_roots() {
    use gridlatch_trust::trust_list::TrustList;
    let worlds: Vec<Tree> = WORLDS.into_iter().map(|world| tree(world, "A")).collect();
    let signer = FileKey::generate(KeyAlgorithm::P521).unwrap();
    let sign = |list: &TrustList| {
        list.sign(signer.algorithm(), &|message| {
            signer.sign(message).map_err(Into::into)
        })
        .unwrap()
    };
    let verify = |der: &[u8], installed, at: Timestamp| {
        let pinned = (signer.algorithm(), signer.public_key_der());
        TrustList::verify(der, pinned, installed, at, &OpensslVerifier).map_err(|error| error.code.as_str())
    };
    let whole = Timestamp::from_unix_millis(now().0.unix_timestamp() * 1000);
    let list = TrustList {
        number: 7,
        issued_at: whole,
        valid_until: Timestamp(whole.0 + time::Duration::DAY),
        roots: worlds.iter().map(|tree| tree.root.der.clone()).collect(),
    };
    let der = sign(&list);
    assert_eq!(verify(&der, None, now()), Ok(list.clone()));
    assert_eq!(verify(&der, Some(6), now()), Ok(list.clone()));
    let refused = Err("rollover.trust_list_refused");
    assert_eq!(verify(&der, Some(7), now()), refused, "played again");
    let later = Timestamp(now().0 + time::Duration::days(2));
    assert_eq!(verify(&der, None, later), refused, "too old");
    let stranger = FileKey::generate(KeyAlgorithm::P521).unwrap();
    let forged = list
        .sign(KeyAlgorithm::P521, &|message| {
            stranger.sign(message).map_err(Into::into)
        })
        .unwrap();
    assert_eq!(verify(&forged, None, now()), refused, "another signer");
    let with = |root: &Ca| TrustList {
        roots: vec![root.der.clone()],
        ..list.clone()
    };
    assert_eq!(
        verify(&sign(&with(&worlds[0].leaf)), None, now()),
        Err("pki.basic_constraints"),
        "a leaf"
    );
    assert_eq!(
        verify(&sign(&with(&worlds[0].sub1)), None, now()),
        Err("pki.bad_signature"),
        "a sub-CA"
    );
    let empty = TrustList {
        roots: Vec::new(),
        ..list.clone()
    };
    assert_eq!(verify(&sign(&empty), None, now()), refused, "none at all");
    for cut in 0..der.len() {
        assert!(verify(&der[..cut], None, now()).is_err());
        let mut bent = der.clone();
        bent[cut] ^= 1;
        assert!(verify(&bent, None, now()).is_err(), "octet {cut} is not covered");
    }
}
