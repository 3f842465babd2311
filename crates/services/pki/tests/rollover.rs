//! Certificates and roots that change while everything runs: over real TLS where sessions are concerned.
#![allow(
    clippy::unwrap_used,
    reason = "a test that meets what it did not expect stops there"
)]

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use gridlatch_keys::{FileKey, KeyAlgorithm, OpensslVerifier, Signer as _};
use gridlatch_pki::rollover::plan;
use gridlatch_tls::Credential;
use gridlatch_trust::build::{Issuer, Request, Subject, build};
use gridlatch_trust::cross::{CrossRequest, Link, Reach, cross, link};
use gridlatch_trust::forecast::{Held, Holder, Role};
use gridlatch_trust::profile::Kind;
use gridlatch_trust::rollover::{Plan, Stage};
use gridlatch_trust::{Generation, Profile};
use gridlatch_vocab::Timestamp;

fn now() -> Timestamp {
    Timestamp(time::OffsetDateTime::now_utc())
}

fn hours(hours: i64) -> Timestamp {
    Timestamp(now().0 + time::Duration::hours(hours))
}

struct Ca {
    der: Vec<u8>,
    key: Arc<FileKey>,
}

fn issue(kind: Kind, name: &str, issuer: Option<&Ca>, from: i64, to: i64) -> Ca {
    let key = FileKey::generate(KeyAlgorithm::P256).unwrap();
    let mut serial = [0; 8];
    getrandom::fill(&mut serial).unwrap();
    serial[0] = 0x41;
    let signer = issuer.map_or(&key, |issuer| &*issuer.key);
    let der = build(
        &Request {
            profile: Profile::iso2(kind),
            subject: Subject {
                common_name: name.to_owned(),
                organization: None,
                country: None,
            },
            spki: key.public_key_der(),
            serial: &serial,
            not_before: hours(from),
            not_after: Some(hours(to)),
            alt_names: Vec::new(),
            ocsp_url: None,
            crl_url: None,
        },
        issuer.map_or(Issuer::Itself, |issuer| Issuer::Ca(&issuer.der)),
        KeyAlgorithm::P256,
        &|message| signer.sign(message).map_err(Into::into),
    )
    .unwrap();
    Ca {
        der,
        key: Arc::new(key),
    }
}

struct Tree {
    root: Ca,
    sub1: Ca,
    sub2: Ca,
}

const YEAR: i64 = 365 * 24;

fn tree(name: &str, years: i64) -> Tree {
    let root = issue(Kind::V2gRoot, &format!("{name} root"), None, -2000, years * YEAR);
    let sub1 = issue(
        Kind::CpoSub1,
        &format!("{name} sub1"),
        Some(&root),
        -9000,
        2 * YEAR,
    );
    let sub2 = issue(
        Kind::CpoSub2,
        &format!("{name} sub2"),
        Some(&sub1),
        -9000,
        YEAR - 24,
    );
    Tree { root, sub1, sub2 }
}

impl Tree {
    fn leaf(&self, label: &str, from: i64, to: i64) -> Credential {
        let leaf = issue(Kind::SeccLeaf, "DE*TST*E1", Some(&self.sub2), from, to);
        let chain = vec![leaf.der, self.sub2.der.clone(), self.sub1.der.clone()];
        Credential::new(label, chain, leaf.key)
    }
}

/// A root G1 with two stations and three cars, and everything to move them to G2.
struct Fleet {
    old: Tree,
    new: Tree,
    holders: Vec<Holder>,
    plan: Plan,
}

fn shows(credential: Credential) -> Held {
    Held {
        profile: Profile::iso2(Kind::SeccLeaf),
        chain: credential.chain,
    }
}

fn fleet() -> Fleet {
    let (old, new) = (tree("G1", 3), tree("G2", 30));
    let mut holders: Vec<Holder> = (1..=2)
        .map(|number| Holder {
            name: format!("station {number}"),
            role: Role::Station,
            shows: vec![shows(old.leaf("g1", -1, 24 * 80))],
            trusts: BTreeMap::new(),
        })
        .collect();
    holders.extend((1..=3).map(|number| Holder {
        name: format!("car {number}"),
        role: Role::Vehicle,
        shows: Vec::new(),
        trusts: BTreeMap::from([(Kind::V2gRoot, vec![old.root.der.clone()])]),
    }));
    let dates = Stage::ALL.into_iter().zip([-50, -40, -30, -20, -10]);
    let plan = Plan {
        kind: Kind::V2gRoot,
        old: old.root.der.clone(),
        new: new.root.der.clone(),
        dates: dates.map(|(stage, at)| (stage, hours(at))).collect(),
        done: BTreeMap::new(),
        links: Vec::new(),
        recertified: Vec::new(),
        exempt: BTreeSet::new(),
    };
    Fleet {
        old,
        new,
        holders,
        plan,
    }
}

impl Fleet {
    fn complete(&mut self) -> Result<Option<Stage>, Vec<String>> {
        self.plan
            .complete(&self.holders, now(), &OpensslVerifier)
            .map_err(|blockers| {
                blockers
                    .into_iter()
                    .map(|one| one.holder.unwrap_or(one.reason))
                    .collect()
            })
    }

    fn link(&mut self) {
        let pair = (self.old.root.der.as_slice(), self.new.root.der.as_slice());
        for (which, signer) in [
            (Link::OldWithNew, &self.new.root),
            (Link::NewWithOld, &self.old.root),
        ] {
            let sign = |message: &[u8]| signer.key.sign(message).map_err(Into::into);
            let profile = Profile::iso2(Kind::V2gRoot);
            let made = link(pair, which, profile, (&[5], now()), KeyAlgorithm::P256, &sign).unwrap();
            self.plan.links.push(made);
        }
        let recertified = self.recertified();
        self.plan.recertified.push(recertified);
    }

    /// G1's sub-CA 1, certified by G2.
    fn recertified(&self) -> Vec<u8> {
        let request = CrossRequest {
            subject: &self.old.sub1.der,
            kind: Kind::CpoSub1,
            generation: Generation::Iso2,
            serial: &[6],
            not_before: now(),
            not_after: None,
            ocsp_url: None,
            crl_url: None,
            reach: Reach::WithinPath,
        };
        cross(&request, &self.new.root.der, KeyAlgorithm::P256, &|message| {
            self.new.root.key.sign(message).map_err(Into::into)
        })
        .unwrap()
    }
}

#[test]
fn a_root_is_replaced_stage_by_stage_and_no_stage_is_skipped() {
    let mut fleet = fleet();
    assert_eq!(fleet.complete(), Ok(Some(Stage::Publish)));
    assert_eq!(
        fleet.complete().unwrap_err().len(),
        3,
        "two links and a sub-CA are missing"
    );
    fleet.link();
    assert_eq!(fleet.complete(), Ok(Some(Stage::CrossLink)));

    assert_eq!(
        fleet.complete(),
        Err(vec!["car 1".into(), "car 2".into(), "car 3".into()])
    );
    let new_root = fleet.new.root.der.clone();
    for holder in fleet
        .holders
        .iter_mut()
        .filter(|holder| holder.role == Role::Vehicle)
        .take(2)
    {
        holder
            .trusts
            .get_mut(&Kind::V2gRoot)
            .unwrap()
            .push(new_root.clone());
    }
    assert_eq!(fleet.complete(), Err(vec!["car 3".into()]));
    // Scrapped: left behind on purpose.
    fleet.plan.exempt.insert("car 3".into());
    assert_eq!(fleet.complete(), Ok(Some(Stage::Distribute)));

    assert_eq!(
        fleet.complete(),
        Err(vec!["station 1".into(), "station 2".into()])
    );
    // One station keeps its leaf and shows the sub-CA under G2 as well; one gets a new leaf.
    let recertified = fleet.recertified();
    let mut through = fleet.holders[0].shows[0].clone();
    through.chain[2] = recertified;
    fleet.holders[0].shows.push(through);
    let fresh = shows(fleet.new.leaf("g2", -1, 24 * 80));
    fleet.holders[1].shows = vec![fresh];
    assert_eq!(fleet.complete(), Ok(Some(Stage::Switch)));

    let in_the_way = fleet.complete().unwrap_err();
    assert_eq!(in_the_way, ["car 1", "car 2"], "they trust G1 still");
    let old_root = fleet.old.root.der.clone();
    for holder in fleet.holders.iter_mut().filter(|holder| holder.name != "car 3") {
        if let Some(roots) = holder.trusts.get_mut(&Kind::V2gRoot) {
            roots.retain(|root| *root != old_root);
        }
    }
    assert_eq!(fleet.complete(), Ok(Some(Stage::Retire)));
    assert_eq!(fleet.complete(), Ok(None), "over");
}

#[test]
fn retiring_too_early_is_refused_with_who_would_break() {
    let mut fleet = fleet();
    for stage in [Stage::Publish, Stage::CrossLink, Stage::Distribute, Stage::Switch] {
        // Somebody ticked the stages off by hand.
        fleet.plan.done.insert(stage, now());
    }
    let new_root = fleet.new.root.der.clone();
    for holder in fleet
        .holders
        .iter_mut()
        .filter(|holder| holder.role == Role::Vehicle)
    {
        holder
            .trusts
            .get_mut(&Kind::V2gRoot)
            .unwrap()
            .push(new_root.clone());
    }
    let blockers = fleet.plan.blockers(&fleet.holders, now(), &OpensslVerifier);
    for station in ["station 1", "station 2"] {
        assert!(
            blockers
                .iter()
                .any(|one| one.holder.as_deref() == Some(station) && one.reason.contains("refused")),
            "{blockers:?}"
        );
    }
}

#[test]
fn dates_hold_a_stage_back_and_an_unsound_new_root_is_not_published() {
    let mut fleet = fleet();
    fleet.plan.dates.insert(Stage::Publish, hours(5));
    assert!(fleet.complete().unwrap_err()[0].contains("planned"));
    fleet.plan.dates.insert(Stage::Publish, hours(-5));
    for unsound in [
        fleet.old.root.der.clone(),
        fleet.new.sub1.der.clone(),
        b"no".to_vec(),
        tree("G0", 1).root.der,
    ] {
        fleet.plan.new = unsound;
        assert!(fleet.complete().is_err());
    }
}

#[test]
fn a_plan_survives_its_file() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("plan.json");
    let mut fleet = fleet();
    fleet.link();
    fleet.complete().unwrap();
    fleet.plan.exempt.insert("car 3".into());
    plan::save(&path, &fleet.plan).unwrap();
    assert_eq!(plan::load(&path).unwrap(), fleet.plan);
    for bad in ["", "{}", r#"{"kind":"secc-leaf","old":"","new":""}"#] {
        std::fs::write(&path, bad).unwrap();
        assert!(plan::load(&path).is_err(), "{bad}");
    }
}
