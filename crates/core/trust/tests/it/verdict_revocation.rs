use gridlatch_trust::ocsp::{self, CertId, Hash, Single};
use gridlatch_trust::profile::{Kind, Profile};
use gridlatch_trust::revocation::{Reason, Revoked, Status};
use gridlatch_trust::verdict::{
    AllowedPlaces, Case, Evidence, Judgement, Policy, Source, Unknown, judge, standing,
};
use gridlatch_trust::{Generation, RustCrypto};
use gridlatch_vocab::Timestamp;
use gridlatch_vocab::catalogue::revocation;

use crate::support::{Cpo, Entity, days, from_now, now};

fn judged(tree: &Cpo, evidence: &Evidence, policy: Policy, when: Timestamp) -> Judgement {
    let chain = tree.chain();
    let case = Case {
        chain: &chain,
        anchors: &[tree.root.der.clone()],
        extra: &[],
        profile: Profile::iso2(Kind::SeccLeaf),
        now: when,
        evidence,
        policy,
    };
    judge(&case, &RustCrypto)
}

fn gone(serial: u8, reason: Reason) -> Revoked {
    Revoked {
        serial: vec![serial],
        at: from_now(-1),
        reason,
    }
}

/// Clean lists of all three CAs, but for what is given.
fn lists(tree: &Cpo, leafs: &[Revoked], subs: &[Revoked]) -> Evidence {
    let mut evidence = Evidence::default();
    for (ca, entries) in [(&tree.sub2, leafs), (&tree.sub1, &[][..]), (&tree.root, subs)] {
        evidence.add_crl(&crate::crl::list(ca, 5, None, entries)).unwrap();
    }
    evidence
}

fn answer(ca: &Entity, serial: u8, status: Status, this: i64, next: i64) -> Vec<u8> {
    let single = Single {
        id: CertId::new(&ca.der, &[serial], Hash::Sha256).unwrap(),
        status,
        this_update: from_now(this),
        next_update: Some(from_now(next)),
    };
    ocsp::build_response(
        &ca.der,
        from_now(this),
        &[single],
        None,
        &[],
        ca.key.algorithm(),
        &|m| ca.key.sign(m),
    )
    .unwrap()
}

#[test]
fn a_revoked_leaf_and_a_revoked_sub_ca_are_refused_by_name_time_and_reason() {
    let tree = Cpo::new(Generation::Iso2, 1);
    let clean = judged(&tree, &lists(&tree, &[], &[]), Policy::STRICT, now());
    assert!(clean.accepted.is_some(), "{:?}", clean.reason());
    assert!(
        clean
            .revocation
            .iter()
            .all(|checked| checked.status == Status::Good)
    );
    assert_eq!(clean.revocation.len(), 3);
    for (evidence, failing, depth) in [
        (lists(&tree, &[gone(4, Reason::KeyCompromise)], &[]), None, 0),
        (
            lists(&tree, &[], &[gone(2, Reason::CaCompromise)]),
            Some("Sub1 1"),
            2,
        ),
    ] {
        let judgement = judged(&tree, &evidence, Policy::default(), now());
        let reason = judgement.reason().unwrap();
        assert_eq!(reason.code, revocation::REVOKED);
        assert_eq!((reason.failing.as_deref(), reason.depth), (failing, Some(depth)));
        assert!(
            reason.message.contains("ompromise") && reason.message.contains("2026-11-20"),
            "{reason}"
        );
        let lenient = judged(&tree, &evidence, Policy::NOT_ASKED, now());
        assert!(lenient.accepted.is_some());
    }
}

#[test]
fn the_unknown_is_refused_accepted_or_tolerated_for_a_while_as_the_policy_says() {
    let tree = Cpo::new(Generation::Iso2, 1);
    let none = Evidence::default();
    let with = |unknown| Policy {
        unknown,
        ..Policy::STRICT
    };
    let strict = judged(&tree, &none, with(Unknown::Refuse), now());
    assert_eq!(strict.reason().unwrap().code, revocation::UNKNOWN);
    let soft = judged(&tree, &none, Policy::default(), now());
    assert!(soft.accepted.is_some());
    assert!(
        soft.revocation
            .iter()
            .all(|checked| checked.status == Status::Unknown)
    );
    let within = with(Unknown::AcceptWithin(days(2)));
    let never = judged(&tree, &none, within, now());
    assert_eq!(
        never.reason().unwrap().code,
        revocation::UNKNOWN,
        "there never was an answer"
    );
    // The lists run out after seven days.
    let evidence = lists(&tree, &[], &[]);
    assert!(judged(&tree, &evidence, within, from_now(8)).accepted.is_some());
    let late = judged(&tree, &evidence, within, from_now(10));
    assert_eq!(late.reason().unwrap().code, revocation::UNKNOWN);
    assert!(
        late.reason().unwrap().message.contains("ran out"),
        "{:?}",
        late.reason()
    );
    let fresh = Policy {
        max_age: Some(days(3)),
        ..Policy::STRICT
    };
    assert!(judged(&tree, &evidence, fresh, from_now(3)).accepted.is_some());
    assert!(judged(&tree, &evidence, fresh, from_now(4)).accepted.is_none());
}

#[test]
fn a_list_that_has_run_out_still_condemns_and_only_a_suspension_is_lifted() {
    let tree = Cpo::new(Generation::Iso2, 1);
    let evidence = lists(&tree, &[gone(4, Reason::Superseded)], &[]);
    let old = judged(&tree, &evidence, Policy::default(), from_now(20));
    assert_eq!(old.reason().unwrap().code, revocation::REVOKED);
    let mut later = lists(&tree, &[gone(4, Reason::CertificateHold)], &[]);
    later
        .add_ocsp(&answer(&tree.sub2, 4, Status::Good, 1, 3), Source::Fetched)
        .unwrap();
    assert!(
        judged(&tree, &later, Policy::STRICT, from_now(1))
            .accepted
            .is_some(),
        "the hold was lifted"
    );
    let mut never = lists(&tree, &[gone(4, Reason::KeyCompromise)], &[]);
    never
        .add_ocsp(&answer(&tree.sub2, 4, Status::Good, 1, 3), Source::Fetched)
        .unwrap();
    assert!(
        judged(&tree, &never, Policy::STRICT, from_now(1))
            .accepted
            .is_none()
    );
}

#[test]
fn a_delta_changes_the_list_it_completes() {
    let tree = Cpo::new(Generation::Iso2, 1);
    let mut evidence = lists(&tree, &[], &[]);
    let delta = crate::crl::list(&tree.sub2, 6, Some(5), &[gone(4, Reason::KeyCompromise)]);
    evidence.add_crl(&delta).unwrap();
    let judgement = judged(&tree, &evidence, Policy::STRICT, now());
    assert_eq!(judgement.reason().unwrap().code, revocation::REVOKED);
    assert!(judgement.reason().unwrap().message.contains("delta list 6"));
}

#[test]
fn stapled_answers_count_and_forged_ones_do_not() {
    let tree = Cpo::new(Generation::Iso2, 1);
    let leaf_only = Policy {
        sub_cas: false,
        ..Policy::STRICT
    };
    let ask = |der: &[u8]| {
        let mut evidence = Evidence::default();
        evidence.add_ocsp(der, Source::Stapled).unwrap();
        judged(&tree, &evidence, leaf_only, now())
    };
    let good = ask(&answer(&tree.sub2, 4, Status::Good, 0, 1));
    assert!(good.accepted.is_some());
    assert_eq!(good.revocation[0].because, "a stapled OCSP answer");
    let other = ask(&answer(&tree.sub2, 9, Status::Good, 0, 1));
    assert_eq!(
        other.reason().unwrap().code,
        revocation::UNKNOWN,
        "about another serial number"
    );
    // Sub-CA 1 has not issued the leaf; its word about serial 4 is about something else.
    let uncle = ask(&answer(&tree.sub1, 4, Status::Good, 0, 1));
    assert_eq!(uncle.reason().unwrap().code, revocation::UNKNOWN);
    // The right question, signed by a key that is not the issuer's.
    let mut forger = tree.sub2.clone();
    forger.key = crate::support::Key::p256(250);
    let forged = ask(&answer(&forger, 4, Status::Good, 0, 1));
    assert!(
        forged
            .reason()
            .unwrap()
            .message
            .contains("signature does not verify"),
        "{:?}",
        forged.reason()
    );
    let revoked = Status::Revoked {
        at: from_now(-3),
        reason: Reason::PrivilegeWithdrawn,
    };
    assert_eq!(
        ask(&answer(&tree.sub2, 4, revoked, 0, 1)).reason().unwrap().code,
        revocation::REVOKED
    );
    let slander = ask(&answer(&forger, 4, revoked, 0, 1));
    assert_eq!(
        slander.reason().unwrap().code,
        revocation::UNKNOWN,
        "a forged condemnation is no evidence"
    );
}

#[test]
fn a_revoked_cross_certificate_closes_its_path_and_not_the_other() {
    let generation = Generation::Iso2;
    let (a, b) = (Cpo::new(generation, 1), Cpo::new(generation, 2));
    let over = crate::support::cross(&b.sub1, Kind::CpoSub1, &a.root, generation, 71);
    let mut evidence = lists(&b, &[], &[]);
    evidence
        .add_crl(&crate::crl::list(
            &a.root,
            1,
            None,
            &[gone(71, Reason::CessationOfOperation)],
        ))
        .unwrap();
    let chain = [b.chain(), vec![over]].concat();
    let judge_with = |anchors: &[Vec<u8>]| {
        let case = Case {
            chain: &chain,
            anchors,
            extra: &[],
            profile: Profile::iso2(Kind::SeccLeaf),
            now: now(),
            evidence: &evidence,
            policy: Policy::STRICT,
        };
        judge(&case, &RustCrypto)
    };
    assert_eq!(
        judge_with(&[a.root.der.clone()]).reason().unwrap().code,
        revocation::REVOKED
    );
    let both = judge_with(&[a.root.der.clone(), b.root.der.clone()]);
    assert_eq!(both.accepted.unwrap().anchor, b.root.der);
}

#[test]
fn revocation_is_fetched_from_allowed_places_only() {
    let places = AllowedPlaces::new([
        "ocsp.example".to_owned(),
        "[::1]:8080".to_owned(),
        "PKI.example:81".to_owned(),
    ]);
    for (url, fine) in [
        ("http://ocsp.example/a/b", true),
        ("http://OCSP.example:80", true),
        ("http://[::1]:8080/x", true),
        ("http://pki.example:81/crl/1.crl", true),
        ("http://pki.example/crl/1.crl", false),
        ("https://ocsp.example/", false),
        ("http://ocsp.example@evil.example/", false),
        ("http://evil.example/ocsp.example", false),
        ("http://ocsp.example.evil.example/", false),
        ("http://ocsp.example/\r\nX: y", false),
        ("http://169.254.169.254/latest", false),
        ("file:///etc/passwd", false),
        ("", false),
    ] {
        assert_eq!(places.allows(url).is_some(), fine, "{url}");
    }
    assert_eq!(
        places.allows("http://ocsp.example"),
        Some(("ocsp.example:80".to_owned(), "/"))
    );
    assert!(AllowedPlaces::default().allows("http://ocsp.example/").is_none());
}

#[test]
fn a_path_that_somebody_else_verified_is_asked_about_without_its_profile() {
    let tree = Cpo::new(Generation::Iso2, 1);
    let mut path = tree.chain();
    path.push(tree.root.der.clone());
    let clean = lists(&tree, &[], &[]);
    let checked = standing(&path, now(), &clean, &Policy::STRICT, &RustCrypto).unwrap();
    let depths: Vec<usize> = checked.iter().map(|one| one.depth).collect();
    assert_eq!(depths, [0, 1, 2]);
    for (evidence, reason, depth, last) in [
        (
            lists(&tree, &[gone(4, Reason::KeyCompromise)], &[]),
            Reason::KeyCompromise,
            0,
            true,
        ),
        (
            lists(&tree, &[gone(4, Reason::CertificateHold)], &[]),
            Reason::CertificateHold,
            0,
            false,
        ),
        (
            lists(
                &tree,
                &[gone(4, Reason::Superseded)],
                &[gone(2, Reason::CaCompromise)],
            ),
            Reason::CaCompromise,
            2,
            true,
        ),
    ] {
        let unfit = standing(&path, now(), &evidence, &Policy::default(), &RustCrypto).unwrap_err();
        assert_eq!(unfit.rejected.code, revocation::REVOKED);
        assert_eq!((unfit.reason, unfit.rejected.depth), (Some(reason), Some(depth)));
        assert_eq!((unfit.is_final(), &unfit.certificate), (last, &path[depth]));
    }
    let none = Evidence::default();
    let unfit = standing(&path, now(), &none, &Policy::STRICT, &RustCrypto).unwrap_err();
    assert_eq!(
        (unfit.rejected.code, unfit.reason, unfit.is_final()),
        (revocation::UNKNOWN, None, false)
    );
    assert_eq!(
        standing(&path, now(), &none, &Policy::default(), &RustCrypto)
            .unwrap()
            .len(),
        3
    );
    assert_eq!(
        standing(&path, now(), &none, &Policy::NOT_ASKED, &RustCrypto).unwrap(),
        []
    );
    assert_eq!(
        standing(&[], now(), &none, &Policy::STRICT, &RustCrypto).unwrap(),
        []
    );
    let long = vec![path[0].clone(); 9];
    assert!(standing(&long, now(), &none, &Policy::default(), &RustCrypto).is_err());
    assert!(
        standing(
            &[vec![0x30], path[3].clone()],
            now(),
            &none,
            &Policy::default(),
            &RustCrypto
        )
        .is_err()
    );
}

#[test]
fn evidence_is_merged_within_its_bound() {
    let tree = Cpo::new(Generation::Iso2, 1);
    let mut evidence = Evidence::default();
    let revoked = lists(&tree, &[gone(4, Reason::KeyCompromise)], &[]);
    evidence.merge(revoked.clone()).unwrap();
    assert!(
        judged(&tree, &evidence, Policy::default(), now())
            .accepted
            .is_none()
    );
    for _ in 0..9 {
        evidence.merge(revoked.clone()).unwrap();
    }
    assert!(evidence.merge(revoked).is_err(), "33 lists");
}
