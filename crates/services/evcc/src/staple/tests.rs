use gridlatch_keys::{FileKey, KeyAlgorithm, Signer as _};
use gridlatch_trust::build::{Issuer, Request, Subject, build};
use gridlatch_trust::ocsp::{CertId, Hash, Single, build_response};
use gridlatch_trust::profile::Kind;
use gridlatch_trust::revocation::Reason;
use gridlatch_trust::{Generation, Profile};
use time::Duration;

use super::*;

struct World {
    chain: Vec<Vec<u8>>,
    root_der: Vec<u8>,
    root: FileKey,
    issuer: FileKey,
    now: Timestamp,
}

fn certificate(
    kind: Kind,
    cn: &str,
    serial: u8,
    key: &FileKey,
    issuer: Option<(&[u8], &FileKey)>,
) -> Vec<u8> {
    let now = gridlatch_host::now();
    let signer = issuer.map_or(key, |(_, key)| key);
    build(
        &Request {
            profile: Profile {
                kind,
                generation: Generation::Iso2,
            },
            subject: Subject {
                common_name: cn.into(),
                organization: None,
                country: None,
            },
            spki: key.public_key_der(),
            serial: &[serial],
            not_before: Timestamp(now.0 - Duration::DAY),
            not_after: Some(Timestamp(now.0 + Duration::days(20))),
            alt_names: Vec::new(),
            ocsp_url: None,
            crl_url: None,
        },
        issuer.map_or(Issuer::Itself, |(der, _)| Issuer::Ca(der)),
        KeyAlgorithm::P256,
        &|message| signer.sign(message).map_err(Into::into),
    )
    .unwrap()
}

fn world() -> World {
    let key = || FileKey::generate(KeyAlgorithm::P256).unwrap();
    let (root, issuer, leaf) = (key(), key(), key());
    let root_der = certificate(Kind::V2gRoot, "Root", 1, &root, None);
    let sub = certificate(Kind::CpoSub1, "Sub", 2, &issuer, Some((&root_der, &root)));
    let leaf = certificate(Kind::SeccLeaf, "DE*TST*E1", 3, &leaf, Some((&sub, &issuer)));
    World {
        chain: vec![leaf, sub],
        root_der,
        root,
        issuer,
        now: gridlatch_host::now(),
    }
}

impl World {
    fn staple(&self, serial: u8, status: Status, age: Duration, by: &FileKey) -> Vec<u8> {
        let this_update = Timestamp(self.now.0 - age);
        let single = Single {
            id: CertId::new(&self.chain[1], &[serial], Hash::Sha1).unwrap(),
            status,
            this_update,
            next_update: Some(Timestamp(this_update.0 + Duration::hours(12))),
        };
        build_response(
            &self.chain[1],
            this_update,
            &[single],
            None,
            &[],
            KeyAlgorithm::P256,
            &|message| by.sign(message).map_err(Into::into),
        )
        .unwrap()
    }

    /// What the root says of the sub-CA.
    fn above(&self, status: Status, by: &FileKey) -> Vec<u8> {
        let this_update = Timestamp(self.now.0 - Duration::HOUR);
        let single = Single {
            id: CertId::new(&self.root_der, &[2], Hash::Sha256).unwrap(),
            status,
            this_update,
            next_update: Some(Timestamp(this_update.0 + Duration::hours(12))),
        };
        build_response(
            &self.root_der,
            this_update,
            &[single],
            None,
            &[],
            KeyAlgorithm::P256,
            &|message| by.sign(message).map_err(Into::into),
        )
        .unwrap()
    }

    fn judged(&self, staple: Option<Vec<u8>>, resumed: bool) -> Verdict {
        self.judged_with(staple, Vec::new(), resumed)
    }

    fn judged_with(&self, staple: Option<Vec<u8>>, more_staples: Vec<Vec<u8>>, resumed: bool) -> Verdict {
        let handshake = Handshake {
            version: "TLSv1.3".into(),
            suite: String::new(),
            group: None,
            peer_chain: self.chain.clone(),
            peer_path: Vec::new(),
            own_label: None,
            resumed,
            legacy: false,
            staple,
            more_staples,
            duration: std::time::Duration::ZERO,
        };
        judge(&handshake, std::slice::from_ref(&self.root_der), self.now)
    }
}

#[test]
fn the_default_refuses_only_what_is_shown_to_be_revoked_and_the_strict_policy_all_but_good() {
    let world = world();
    let stranger = FileKey::generate(KeyAlgorithm::P256).unwrap();
    let hour = Duration::HOUR;
    let revoked = Status::Revoked {
        at: Timestamp(world.now.0 - hour),
        reason: Reason::KeyCompromise,
    };
    let by = &world.issuer;
    let cases = [
        ("good", Some(world.staple(3, Status::Good, hour, by)), None, None),
        ("absent", None, None, Some(revocation::UNKNOWN)),
        (
            "unknown",
            Some(world.staple(3, Status::Unknown, hour, by)),
            None,
            Some(revocation::UNKNOWN),
        ),
        (
            "unknown",
            Some(world.staple(3, Status::Good, hour * 20, by)),
            None,
            Some(revocation::STALE),
        ),
        (
            "unknown",
            Some(world.staple(9, Status::Good, hour, by)),
            None,
            Some(revocation::OTHER_CERTIFICATE),
        ),
        (
            "unknown",
            Some(world.staple(3, Status::Good, hour, &stranger)),
            None,
            Some(revocation::BAD_SIGNATURE),
        ),
        // A forged "revoked" must not keep cars from charging.
        (
            "unknown",
            Some(world.staple(3, revoked, hour, &stranger)),
            None,
            Some(revocation::BAD_SIGNATURE),
        ),
        (
            "unknown",
            Some(b"no DER".to_vec()),
            None,
            Some(revocation::MALFORMED),
        ),
        (
            "revoked",
            Some(world.staple(3, revoked, hour, by)),
            Some(revocation::REVOKED),
            Some(revocation::REVOKED),
        ),
    ];
    for (word, staple, by_default, strictly) in cases {
        let verdict = world.judged(staple, false);
        assert_eq!(verdict.as_str(), word, "{verdict:?}");
        for (policy, code) in [
            (StaplePolicy::default(), by_default),
            (StaplePolicy::RequireGood, strictly),
        ] {
            let decided = decide(&verdict, policy).err().map(|failure| failure.code);
            assert_eq!(decided, code, "{policy:?} {verdict:?}");
        }
    }
    assert_eq!(world.judged(None, true), Verdict::Resumed);
}

#[test]
fn a_sub_ca_that_is_shown_to_be_revoked_is_refused_like_the_leaf_and_silence_about_it_is_not() {
    let world = world();
    let good = || Some(world.staple(3, Status::Good, Duration::HOUR, &world.issuer));
    let revoked = Status::Revoked {
        at: Timestamp(world.now.0 - Duration::HOUR),
        reason: Reason::CaCompromise,
    };
    let told = |status, by| vec![world.above(status, by)];
    assert_eq!(
        world.judged_with(good(), told(Status::Good, &world.root), false),
        Verdict::Good
    );
    assert_eq!(
        world.judged_with(good(), told(Status::Unknown, &world.root), false),
        Verdict::Good
    );
    // Forged, and nonsense: as if nothing had been said.
    assert_eq!(
        world.judged_with(good(), told(revoked, &world.issuer), false),
        Verdict::Good
    );
    assert_eq!(
        world.judged_with(good(), vec![vec![0x30, 0]], false),
        Verdict::Good
    );
    let verdict = world.judged_with(good(), told(revoked, &world.root), false);
    assert!(
        matches!(&verdict, Verdict::Revoked(why) if why.contains("\"Sub\"") && why.contains("cACompromise")),
        "{verdict:?}"
    );
    assert_eq!(
        decide(&verdict, StaplePolicy::RefuseRevoked).unwrap_err().code,
        revocation::REVOKED
    );
    // A station that has an answer about its sub-CA only: TLS hands it over first.
    let alone = world.judged(Some(world.above(revoked, &world.root)), false);
    assert!(matches!(alone, Verdict::Revoked(_)), "{alone:?}");
}
