//! Two complete PKIs, in memory: for each edition of ISO 15118 a V2G root with its CPO sub-CAs, and an
//! OEM root with its sub-CAs. Every certificate is linted by its profile before it is signed, except
//! where a row of the bench is about a certificate that breaks its profile.

use std::sync::Arc;

use anyhow::{Context as _, Result};
use gridlatch_keys::{FileKey, KeyAlgorithm, Signer as _};
use gridlatch_tls::Credential;
use gridlatch_trust::build::{Issuer, Request, Subject, build};
use gridlatch_trust::cross::{CrossRequest, Reach, cross};
use gridlatch_trust::profile::Kind;
use gridlatch_trust::{Generation, Profile};
use gridlatch_vocab::Timestamp;
use time::Duration;

/// A certificate and its key.
#[derive(Debug, Clone)]
pub(super) struct Ca {
    /// Common name.
    pub(super) name: String,
    pub(super) der: Vec<u8>,
    pub(super) key: Arc<FileKey>,
}

/// When a certificate is valid, in hours from now.
#[derive(Debug, Clone, Copy)]
pub(super) struct Hours(pub(super) i64, pub(super) i64);

/// A leaf's usual life: from an hour ago, for clocks that differ, to its profile's end.
pub(super) const USUAL: Hours = Hours(-1, 24 * 90 - 1);

/// One PKI's trees for one edition.
#[derive(Debug, Clone)]
pub(super) struct Branch {
    pub(super) letter: char,
    pub(super) generation: Generation,
    pub(super) algorithm: KeyAlgorithm,
    pub(super) v2g: Ca,
    pub(super) cpo1: Ca,
    pub(super) cpo2: Ca,
    pub(super) oem: Ca,
    oem1: Ca,
    pub(super) oem2: Ca,
    pub(super) mo1: Ca,
    /// Signs OCSP answers for `cpo2`.
    pub(super) responder: Ca,
}

/// A PKI of both editions, each with its own roots.
#[derive(Debug)]
pub(super) struct Pki {
    pub(super) iso2: Branch,
    pub(super) iso20: Branch,
    pub(super) iso20_ed448: Branch,
}

impl Pki {
    /// Makes every CA of PKI-`letter`.
    ///
    /// # Errors
    /// No entropy, or OpenSSL lacks a curve.
    pub(super) fn new(letter: char, now: Timestamp) -> Result<Self> {
        Ok(Self {
            iso2: Branch::new(letter, Generation::Iso2, KeyAlgorithm::P256, now)?,
            iso20: Branch::new(letter, Generation::Iso20, KeyAlgorithm::P521, now)?,
            iso20_ed448: Branch::new(letter, Generation::Iso20, KeyAlgorithm::Ed448, now)?,
        })
    }

    pub(super) fn of(&self, generation: Generation) -> &Branch {
        match generation {
            Generation::Iso2 => &self.iso2,
            Generation::Iso20 => &self.iso20,
        }
    }
}

impl Branch {
    fn new(letter: char, generation: Generation, algorithm: KeyAlgorithm, now: Timestamp) -> Result<Self> {
        let edition = match algorithm {
            KeyAlgorithm::P256 => "2",
            KeyAlgorithm::P521 => "20",
            KeyAlgorithm::Ed448 => "20 Ed448",
        };
        let ca = |kind: Kind, name: &str, issuer: Option<&Ca>| -> Result<Ca> {
            issue(&Wish {
                profile: Profile { kind, generation },
                algorithm,
                name: &format!("PKI-{letter} {name} -{edition}"),
                organization: &format!("PKI-{letter}"),
                issuer,
                hours: Hours(-24, 24 * i64::from(kind.row().days) - 24),
                now,
            })
        };
        let v2g = ca(Kind::V2gRoot, "V2G Root", None)?;
        let cpo1 = ca(Kind::CpoSub1, "CPO Sub1", Some(&v2g))?;
        let cpo2 = ca(Kind::CpoSub2, "CPO Sub2", Some(&cpo1))?;
        let oem = ca(Kind::OemRoot, "OEM Root", None)?;
        let oem1 = ca(Kind::OemSub1, "OEM Sub1", Some(&oem))?;
        let oem2 = ca(Kind::OemSub2, "OEM Sub2", Some(&oem1))?;
        // The standard lets an MO's sub-CA hang under the V2G root: a contract then leads to the root a
        // vehicle trusts, and only its profile tells that it is not a station's.
        let mo1 = ca(Kind::MoSub1, "MO Sub1", Some(&v2g))?;
        let responder = ca(Kind::OcspSigner, "CPO OCSP", Some(&cpo2))?;
        Ok(Self {
            letter,
            generation,
            algorithm,
            v2g,
            cpo1,
            cpo2,
            oem,
            oem1,
            oem2,
            mo1,
            responder,
        })
    }

    const fn profile(&self, kind: Kind) -> Profile {
        Profile {
            kind,
            generation: self.generation,
        }
    }

    /// A station's leaf under this PKI, with its chain.
    pub(super) fn station(&self, now: Timestamp) -> Result<Credential> {
        self.station_valid(USUAL, now)
    }

    /// The same with a validity of its own.
    pub(super) fn station_valid(&self, hours: Hours, now: Timestamp) -> Result<Credential> {
        let leaf = self.leaf(Kind::SeccLeaf, EVSE_ID, &self.cpo2, hours, now)?;
        Ok(self.credential("station", leaf, &[&self.cpo2, &self.cpo1]))
    }

    /// The certificate that the sub-CA 2 had before it was renewed with the same key.
    pub(super) fn expired_sub2(&self, now: Timestamp) -> Result<Vec<u8>> {
        certify(
            &Wish {
                profile: self.profile(Kind::CpoSub2),
                algorithm: self.algorithm,
                name: &self.cpo2.name,
                organization: &format!("PKI-{}", self.letter),
                issuer: Some(&self.cpo1),
                hours: Hours(-20, -1),
                now,
            },
            self.cpo2.key.public_key_der(),
            &self.cpo1.key,
        )
    }

    /// What a vehicle of ISO 15118-20 shows.
    pub(super) fn vehicle(&self, now: Timestamp) -> Result<Credential> {
        let leaf = self.leaf(Kind::VehicleLeaf, PCID, &self.oem2, Hours(-1, 24 * 365), now)?;
        Ok(self.credential("vehicle", leaf, &[&self.oem2, &self.oem1]))
    }

    /// A contract, which a careless operator installed as the station's certificate.
    pub(super) fn contract(&self, now: Timestamp) -> Result<Credential> {
        let leaf = self.leaf(
            Kind::ContractLeaf,
            "DEGDLC00000001",
            &self.mo1,
            Hours(-1, 24 * 365),
            now,
        )?;
        Ok(self.credential("contract", leaf, &[&self.mo1]))
    }

    fn leaf(&self, kind: Kind, name: &str, issuer: &Ca, hours: Hours, now: Timestamp) -> Result<Ca> {
        issue(&Wish {
            profile: self.profile(kind),
            algorithm: self.algorithm,
            name,
            organization: &format!("PKI-{}", self.letter),
            issuer: Some(issuer),
            hours,
            now,
        })
    }

    fn credential(&self, what: &str, leaf: Ca, subs: &[&Ca]) -> Credential {
        let mut chain = vec![leaf.der];
        chain.extend(subs.iter().map(|sub| sub.der.clone()));
        Credential::new(format!("PKI-{} {what}", self.letter), chain, leaf.key)
    }

    /// Certifies a CA of another PKI under this one's V2G root.
    pub(super) fn cross_sign(&self, other: &Ca, kind: Kind, reach: Reach, now: Timestamp) -> Result<Vec<u8>> {
        cross(
            &CrossRequest {
                subject: &other.der,
                kind,
                generation: self.generation,
                serial: &serial()?,
                not_before: now,
                not_after: None,
                ocsp_url: None,
                crl_url: None,
                reach,
            },
            &self.v2g.der,
            self.v2g.key.algorithm(),
            &|message| self.v2g.key.sign(message).map_err(Into::into),
        )
        .with_context(|| format!("{} does not certify {}", self.v2g.name, other.name))
    }
}

/// The station of the bench.
pub(super) const EVSE_ID: &str = "DE*GDL*EBENCH1";
/// The vehicle of the bench, by provisioning certificate id.
const PCID: &str = "GLDBENCH0000000001";

/// The first choice of each edition.
pub(super) const fn algorithm(generation: Generation) -> KeyAlgorithm {
    match generation {
        Generation::Iso2 => KeyAlgorithm::P256,
        Generation::Iso20 => KeyAlgorithm::P521,
    }
}

struct Wish<'a> {
    profile: Profile,
    algorithm: KeyAlgorithm,
    name: &'a str,
    organization: &'a str,
    issuer: Option<&'a Ca>,
    hours: Hours,
    now: Timestamp,
}

fn issue(wish: &Wish<'_>) -> Result<Ca> {
    let key = FileKey::generate(wish.algorithm)?;
    let signer = wish.issuer.map_or(&key, |issuer| &*issuer.key);
    let der = certify(wish, key.public_key_der(), signer)?;
    Ok(Ca {
        name: wish.name.to_owned(),
        der,
        key: Arc::new(key),
    })
}

fn certify(wish: &Wish<'_>, spki: &[u8], signer: &FileKey) -> Result<Vec<u8>> {
    let at = |hours: i64| Timestamp(wish.now.0 + Duration::hours(hours));
    build(
        &Request {
            profile: wish.profile,
            subject: Subject {
                common_name: wish.name.to_owned(),
                organization: Some(wish.organization.to_owned()),
                country: Some("DE".to_owned()),
            },
            spki,
            serial: &serial()?,
            not_before: at(wish.hours.0),
            not_after: Some(at(wish.hours.1)),
            alt_names: Vec::new(),
            ocsp_url: None,
            crl_url: None,
        },
        wish.issuer
            .map_or(Issuer::Itself, |issuer| Issuer::Ca(&issuer.der)),
        signer.algorithm(),
        &|message| signer.sign(message).map_err(Into::into),
    )
    .with_context(|| format!("cannot issue {}", wish.name))
}

/// Eight random octets, positive.
pub(super) fn serial() -> Result<[u8; 8]> {
    let mut octets = [0; 8];
    getrandom::fill(&mut octets).map_err(|error| anyhow::anyhow!("no random numbers: {error}"))?;
    octets[0] = octets[0] & 0x3F | 0x40;
    Ok(octets)
}
