//! The rows of the table: who trusts what, what must come of it, and what OpenSSL must say to the same files.

use anyhow::{Context as _, Result, bail};
use gridlatch_tls::{
    Credential, Generation, Judging, VehicleClientConfig, VehicleServer, VehicleServerConfig,
};
use gridlatch_trust::cross::Reach;
use gridlatch_trust::profile::Kind;
use gridlatch_vocab::catalogue::{pki, revocation as revoked, rollover, tls};
use gridlatch_vocab::{Code, Event, Timestamp};

use super::ecosystem::{OemBackEnd, carry, name_of, second_leaf};
use super::meet::{Car, Met, Post, Side, TIMEOUT, meet};
use super::revocation::{self, Policy};
use super::scenario::Scenario;
use super::service::Service;
use super::world::{Branch, Hours, Pki};

/// What must come of a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Expected {
    pub(super) refused_by: Option<Side>,
    pub(super) code: Code,
    /// The alert on the wire, where TLS carries the refusal.
    pub(super) alert: Option<u8>,
    /// The error of `openssl verify -x509_strict` on the station's chain; 0 for OK.
    pub(super) openssl_station: u32,
    /// The same on the vehicle's chain, for ISO 15118-20.
    pub(super) openssl_vehicle: u32,
}

/// A row, ready to be run.
pub(super) struct Row {
    pub(super) scenario: Scenario,
    pub(super) generation: Generation,
    pub(super) car: Car,
    pub(super) post: Post,
    /// What the station will show.
    pub(super) shown: Credential,
    /// What had to happen first.
    pub(super) prepared: Vec<Event>,
    pub(super) expected: Expected,
    /// What would help, with names filled in.
    pub(super) remedies: Vec<String>,
    /// The revocation list (DER) by which one side's leaf is judged.
    pub(super) list: Option<(Side, Vec<u8>)>,
}

/// Builds a row.
///
/// # Errors
/// A certificate cannot be made, or a step of the preparation did not go as the row needs.
pub(super) async fn build(
    scenario: Scenario,
    generation: Generation,
    (pki_a, pki_b): (&Pki, &Pki),
    service: Option<&Service>,
    now: Timestamp,
) -> Result<Row> {
    let of = |pki| branch(pki, scenario, generation);
    let (a, b) = (of(pki_a), of(pki_b));
    let mut setup = Setup {
        roots: vec![a.v2g.der.clone()],
        shown: b.station(now)?,
        vehicle_roots: vec![a.oem.der.clone(), b.oem.der.clone()],
        judging: Judging {
            strict_path: true,
            clock: None,
        },
        checks_profile: true,
        revocation: None,
        iso2: generation == Generation::Iso2,
        iso20: generation == Generation::Iso20,
    };
    let mut expected = fine();
    let mut remedies = Vec::new();
    let mut prepared = Vec::new();
    let mut list = None;
    match scenario {
        Scenario::SameRoot | Scenario::SameRootEd448 => setup.shown = a.station(now)?,
        Scenario::DifferentRoots | Scenario::DifferentRootsEd448 => {
            expected = no(Side::Vehicle, tls::UNKNOWN_CA, Some(48), 20);
            remedies = three_remedies(a, b);
        }
        Scenario::OemUnknown => {
            setup.shown = a.station(now)?;
            setup.vehicle_roots = vec![b.oem.der.clone()];
            expected = Expected {
                openssl_vehicle: 20,
                ..no(Side::Station, tls::UNKNOWN_CA, Some(48), 0)
            };
            remedies.push(format!("install {:?} in the station", a.oem.name));
        }
        Scenario::CrossRoot | Scenario::CrossRootLenient => {
            // Refused without the flag: proven here, where it costs nothing.
            if a.cross_sign(&b.v2g, Kind::V2gRoot, Reach::WithinPath, now)
                .is_ok()
            {
                bail!("a cross-certificate over a root was issued without being asked for by name");
            }
            let forced = a.cross_sign(&b.v2g, Kind::V2gRoot, Reach::OverRootForExperiment, now)?;
            setup.shown.chain.push(forced);
            if scenario == Scenario::CrossRoot {
                expected = no(Side::Vehicle, pki::PATH_TOO_LONG, Some(48), 0);
                remedies.push(format!("certify {:?} instead of {:?}", b.cpo1.name, b.v2g.name));
            } else {
                setup.judging.strict_path = false;
                setup.checks_profile = false;
            }
        }
        Scenario::Cross | Scenario::CrossEd448 => {
            let crossed = a.cross_sign(&b.cpo1, Kind::CpoSub1, Reach::WithinPath, now)?;
            replace(&mut setup.shown.chain, 2, crossed)?;
        }
        Scenario::SecondLeaf | Scenario::OverTheAir => {
            let service = service.context("PKI-A is not served")?;
            let pkis = (pki_a, pki_b);
            return if scenario == Scenario::SecondLeaf {
                second(scenario, generation, pkis, service, setup, now).await
            } else {
                over_the_air(scenario, generation, pkis, service, setup, now).await
            };
        }
        Scenario::Expired => {
            setup.shown = a.station_valid(Hours(-20, -1), now)?;
            expected = no(Side::Vehicle, tls::CERTIFICATE_EXPIRED, Some(45), 10);
        }
        Scenario::ExpiredSubCa => {
            setup.shown = a.station(now)?;
            replace(&mut setup.shown.chain, 1, a.expired_sub2(now)?)?;
            expected = no(Side::Vehicle, tls::CERTIFICATE_EXPIRED, Some(45), 10);
        }
        Scenario::Revoked => {
            setup.shown = a.station(now)?;
            let leaf = setup.shown.chain.first().context("an empty chain")?;
            setup.shown.staple = Some(revocation::answer(&a.cpo2, &a.responder, leaf, true, now)?);
            list = Some((Side::Station, revocation::list(&a.cpo2, leaf, now)?));
            setup.revocation = Some(Policy::GoOn);
            expected = no(Side::Vehicle, revoked::REVOKED, None, 23);
        }
        Scenario::RevokedVehicle => {
            setup.shown = a.station(now)?;
            expected = Expected {
                openssl_vehicle: 23,
                ..no(Side::Station, tls::CERTIFICATE_REVOKED, Some(44), 0)
            };
        }
        Scenario::OcspDown | Scenario::OcspDownStrict => {
            setup.shown = a.station(now)?;
            prepared.push(revocation::responder_down(now).await?);
            if scenario == Scenario::OcspDown {
                setup.revocation = Some(Policy::GoOn);
            } else {
                setup.revocation = Some(Policy::Refuse);
                expected = no(Side::Vehicle, revoked::UNKNOWN, None, 0);
            }
        }
        Scenario::WrongProfile => {
            setup.shown = a.contract(now)?;
            expected = no(Side::Vehicle, tls::WRONG_DOMAIN, Some(40), 0);
        }
        Scenario::MissingSubCa => {
            setup.shown = a.station(now)?;
            setup.shown.chain.truncate(2);
            expected = no(Side::Vehicle, tls::UNKNOWN_CA, Some(48), 20);
            remedies.push(format!("send {:?} with the chain", a.cpo1.name));
        }
        Scenario::WrongCurve => wrong_curve(&mut setup, &mut expected, generation, pki_a, now)?,
        Scenario::ClockBehind => {
            setup.shown = a.station(now)?;
            setup.judging.clock = Some(Timestamp(now.0 - time::Duration::days(2)));
            expected = no(Side::Vehicle, tls::CERTIFICATE_NOT_YET_VALID, Some(42), 9);
        }
        Scenario::ClockAhead => {
            setup.shown = a.station(now)?;
            setup.judging.clock = Some(Timestamp(now.0 + time::Duration::days(120)));
            expected = no(Side::Vehicle, tls::CERTIFICATE_EXPIRED, Some(45), 10);
        }
    }
    let (car, post) = setup.ready(generation, a, now)?;
    if scenario == Scenario::RevokedVehicle {
        let identity = car
            .config
            .identity
            .as_ref()
            .context("a vehicle of -20 has a certificate")?;
        let leaf = identity.chain.first().context("an empty chain")?;
        let fetched = revocation::list(&a.oem2, leaf, now)?;
        post.server
            .set_revoked(revocation::fetched(&fetched, &a.oem2, leaf, now)?)?;
        list = Some((Side::Vehicle, fetched));
    }
    Ok(Row {
        scenario,
        generation,
        car,
        post,
        shown: setup.shown,
        prepared,
        expected,
        remedies,
        list,
    })
}

/// A PKI's trees for a row.
fn branch(pki: &Pki, scenario: Scenario, generation: Generation) -> &Branch {
    if scenario.is_ed448() {
        &pki.iso20_ed448
    } else {
        pki.of(generation)
    }
}

/// Vehicle and station of a row before they are set up.
struct Setup {
    roots: Vec<Vec<u8>>,
    shown: Credential,
    vehicle_roots: Vec<Vec<u8>>,
    judging: Judging,
    checks_profile: bool,
    revocation: Option<Policy>,
    iso2: bool,
    iso20: bool,
}

impl Setup {
    /// The vehicle always belongs to PKI-A.
    fn ready(&self, generation: Generation, a: &Branch, now: Timestamp) -> Result<(Car, Post)> {
        let identity = match generation {
            Generation::Iso2 => None,
            Generation::Iso20 => Some(a.vehicle(now)?),
        };
        let car = Car {
            config: VehicleClientConfig {
                generation,
                roots: self.roots.clone(),
                identity,
                key_log: None,
                handshake_timeout: TIMEOUT,
            },
            judging: self.judging,
            checks_profile: self.checks_profile,
            revocation: self.revocation,
        };
        let server = VehicleServer::new(VehicleServerConfig {
            credentials: vec![self.shown.clone()],
            vehicle_roots: self.vehicle_roots.clone(),
            iso2: self.iso2,
            iso20: self.iso20,
            allow_legacy_cbc: true,
            key_log: None,
            handshake_timeout: TIMEOUT,
        })?;
        let post = Post {
            server,
            vehicle_roots: self.vehicle_roots.clone(),
        };
        Ok((car, post))
    }
}

/// Solution B: the station is refused, enrols at PKI-A, and swaps its credentials while it runs.
async fn second(
    scenario: Scenario,
    generation: Generation,
    (pki_a, pki_b): (&Pki, &Pki),
    service: &Service,
    mut setup: Setup,
    now: Timestamp,
) -> Result<Row> {
    let (a, b) = (pki_a.of(generation), pki_b.of(generation));
    // PKI-A is the one that is served.
    let root = service.v2g(generation)?;
    setup.roots = vec![root.clone()];
    let (car, post) = setup.ready(generation, a, now)?;
    let mut log = first_try(&car, &post, now).await?;
    let leaf = second_leaf(service, &name_of(&root), generation, now, &mut log).await?;
    let own = setup.shown.clone();
    post.server.replace_credentials(&[own.clone(), leaf.clone()])?;
    log.push(Event::new(
        now,
        rollover::CREDENTIALS_SWAPPED,
        "station",
        format!("serves {:?} and {:?} without a restart", own.label, leaf.label),
    ));
    // The station's own customers must not notice.
    let mut home = car.clone();
    home.config.roots = vec![b.v2g.der.clone()];
    let met = meet(&home, &post, now, false).await?;
    if met.refused_by.is_some() || met.shown.as_deref() != Some(own.label.as_str()) {
        bail!("a vehicle of PKI-B is no longer served by its own certificate: {met:?}");
    }
    log.push(Event::new(
        now,
        met.station.code,
        "station",
        format!("a vehicle of PKI-B: {}", met.station.message),
    ));
    setup.shown = leaf;
    Ok(Row {
        scenario,
        generation,
        car,
        post,
        shown: setup.shown,
        prepared: log,
        expected: fine(),
        remedies: Vec::new(),
        list: None,
    })
}

/// Solution C: the vehicle refuses, gets the root over the air, and tries again.
async fn over_the_air(
    scenario: Scenario,
    generation: Generation,
    (pki_a, pki_b): (&Pki, &Pki),
    service: &Service,
    setup: Setup,
    now: Timestamp,
) -> Result<Row> {
    let (a, b) = (pki_a.of(generation), pki_b.of(generation));
    let (mut car, post) = setup.ready(generation, a, now)?;
    let mut log = first_try(&car, &post, now).await?;
    service.publish_root(&b.v2g.der).await?;
    let (mut back_end, mut store) = OemBackEnd::with_vehicle(setup.roots.clone(), now)?;
    let sent = back_end
        .send_root(service, &b.v2g.name, &store, now, &mut log)
        .await?;
    let list = carry(&sent).await?;
    // One octet changed on the way: the vehicle must notice, and keep what it has.
    let mut bent = list.clone();
    if let Some(octet) = bent.get_mut(list.len() / 2) {
        *octet ^= 1;
    }
    let mut of_the_damaged_copy = Vec::new();
    if store.install(&bent, now, &mut of_the_damaged_copy).is_ok() || store.roots() != setup.roots {
        bail!("a damaged trust list was installed");
    }
    log.extend(of_the_damaged_copy.into_iter().map(|mut event| {
        event
            .message
            .insert_str(0, "a copy with one bit changed, on purpose: ");
        event
    }));
    store.install(&list, now, &mut log)?;
    car.config.roots = store.roots();
    Ok(Row {
        scenario,
        generation,
        car,
        post,
        shown: setup.shown,
        prepared: log,
        expected: fine(),
        remedies: Vec::new(),
        list: None,
    })
}

/// Before B and C, scenario 2: it must fail.
async fn first_try(car: &Car, post: &Post, now: Timestamp) -> Result<Vec<Event>> {
    let met = meet(car, post, now, false).await?;
    if met.refused_by.is_none() {
        bail!("different roots were accepted before the solution was applied");
    }
    Ok(lines(&met, now))
}

/// What both sides log about one handshake.
pub(super) fn lines(met: &Met, now: Timestamp) -> Vec<Event> {
    [("vehicle", &met.vehicle), ("station", &met.station)]
        .into_iter()
        .map(|(source, said)| Event::new(now, said.code, source, said.message.clone()))
        .collect()
}

/// ISO 15118-2 and -20 do not know each other's curves. A station of -20 alone has no TLS 1.2 to offer; a
/// station with secp256r1 alone is let into TLS 1.3, as real stacks do it, and fails the profile.
fn wrong_curve(
    setup: &mut Setup,
    expected: &mut Expected,
    generation: Generation,
    pki_a: &Pki,
    now: Timestamp,
) -> Result<()> {
    match generation {
        Generation::Iso2 => {
            setup.shown = pki_a.iso20.station(now)?;
            (setup.iso2, setup.iso20) = (false, true);
            *expected = no(Side::Station, tls::PROTOCOL_VERSION, Some(70), 20);
        }
        Generation::Iso20 => {
            setup.shown = pki_a.iso2.station(now)?;
            setup.roots.push(pki_a.iso2.v2g.der.clone());
            (setup.iso2, setup.iso20) = (true, true);
            *expected = no(Side::Vehicle, pki::WRONG_CURVE, None, 0);
        }
    }
    Ok(())
}

fn replace(chain: &mut [Vec<u8>], index: usize, with: Vec<u8>) -> Result<()> {
    *chain
        .get_mut(index)
        .context("the chain is shorter than it should be")? = with;
    Ok(())
}

const fn fine() -> Expected {
    Expected {
        refused_by: None,
        code: tls::ESTABLISHED,
        alert: None,
        openssl_station: 0,
        openssl_vehicle: 0,
    }
}

const fn no(side: Side, code: Code, alert: Option<u8>, openssl_station: u32) -> Expected {
    Expected {
        refused_by: Some(side),
        code,
        alert,
        openssl_station,
        openssl_vehicle: 0,
    }
}

fn three_remedies(a: &Branch, b: &Branch) -> Vec<String> {
    let missing = name_of(&b.v2g.der);
    vec![
        format!("missing in the vehicle: {missing:?}"),
        format!("A'  PKI-A certifies {:?} under {:?}", b.cpo1.name, a.v2g.name),
        format!("B   the station gets a second certificate below {:?}", a.v2g.name),
        format!("C   the vehicle's maker sends {missing:?} over the air"),
    ]
}
