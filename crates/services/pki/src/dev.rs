//! The development PKI itself.

use core::fmt;
use core::str::FromStr;
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use gridlatch_keys::{FileKey, KeyError, Signer};
use gridlatch_tls::Credential;
use gridlatch_trust::build::{AltName, Issuer, Request, Subject, build};
use gridlatch_trust::profile::Kind;
use gridlatch_trust::{Generation, certificate};
use gridlatch_vocab::catalogue::pki;
use gridlatch_vocab::{Code, Emaid, Event, EventSink, Personal, StationId, Timestamp};
use sha2::{Digest as _, Sha256};

use crate::PkiError;
use crate::store::{Found, Pair, Store};
use crate::tree::{Node, World};

/// The name a simulated vehicle goes by on this machine: 1 to 32 of a-z, 0-9 and `-`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct VehicleName(String);

impl VehicleName {
    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Its provisioning certificate id: maker code `GLD` and 14 characters that follow from the name.
    #[must_use]
    pub fn pcid(&self) -> Personal<String> {
        Personal::new(format!(
            "GLD{}",
            derived("pcid", &self.0, 14, b"ABCDEFGHJKLMNPRSTUVWXYZ0123456789")
        ))
    }

    /// Its contract: operator `DE-GDL` and eight digits that follow from the name.
    #[must_use]
    pub fn emaid(&self) -> Personal<Emaid> {
        let text = format!("DEGDLC{}", derived("emaid", &self.0, 8, b"0123456789"));
        Personal::new(
            text.parse()
                .expect("14 letters and digits, country first, are an EMAID"),
        )
    }
}

impl FromStr for VehicleName {
    type Err = InvalidName;

    fn from_str(text: &str) -> Result<Self, InvalidName> {
        let ok = (1..=32).contains(&text.len())
            && text
                .bytes()
                .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-');
        if ok {
            Ok(Self(text.to_owned()))
        } else {
            Err(InvalidName)
        }
    }
}

impl fmt::Display for VehicleName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The development PKI keeps its keys in files; what is exported must be one of those.
pub(crate) fn in_file(key: &dyn Signer) -> Result<&FileKey, KeyError> {
    key.as_file().ok_or(KeyError::Unsupported)
}

/// A text is no vehicle name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a valid vehicle name: 1 to 32 of a-z, 0-9 and -")]
pub struct InvalidName;

/// A contract as a vehicle holds it.
#[derive(Debug, Clone)]
pub struct Contract {
    /// The contract id.
    pub emaid: Personal<Emaid>,
    /// DER, leaf first, without the root.
    pub chain: Vec<Vec<u8>>,
    /// The key that signs authorisation and metering receipts.
    pub key: Arc<FileKey>,
}

/// The development PKI of one data folder.
pub struct DevPki {
    store: Store,
    authorities: BTreeMap<(World, &'static str), Pair>,
    started: (Timestamp, Instant),
    sink: Option<Arc<dyn EventSink>>,
    urls: Option<(String, String)>,
}

impl fmt::Debug for DevPki {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DevPki")
            .field("store", &self.store)
            .finish_non_exhaustive()
    }
}

/// Opens the development PKI below `dir`, creating whatever is missing: all of it on first use, the
/// rest of it after a crash. Running it again changes nothing.
///
/// # Errors
/// The folder cannot be used, or what is in it is damaged; a damaged CA is never replaced silently.
pub fn ensure(dir: &Path, sink: &dyn EventSink, now: Timestamp) -> Result<DevPki, PkiError> {
    let mut this = DevPki {
        store: Store::open(dir)?,
        authorities: BTreeMap::new(),
        started: (now, Instant::now()),
        sink: None,
        urls: None,
    };
    let lock = this.store.lock()?;
    let (mut made, mut kept) = (0, 0);
    for world in World::ALL {
        for node in world.nodes() {
            let (pair, fresh) = this.authority(world, node)?;
            this.authorities.insert((world, node.name), pair);
            if fresh { made += 1 } else { kept += 1 }
        }
    }
    drop(lock);
    if made > 0 {
        let (code, message) = if kept == 0 {
            (
                pki::DEV_PKI_CREATED,
                format!("{made} CAs for ISO 15118-2, ISO 15118-20 and OCPP"),
            )
        } else {
            (
                pki::DEV_PKI_COMPLETED,
                format!("{made} missing CAs made, {kept} kept"),
            )
        };
        sink.emit(
            Event::new(now, code, "pki", message)
                .with("made", made)
                .with("kept", kept),
        );
    }
    Ok(this)
}

impl DevPki {
    /// From now on, certificates issued on demand are reported to `sink`.
    #[must_use]
    pub fn reporting_to(mut self, sink: Arc<dyn EventSink>) -> Self {
        self.sink = Some(sink);
        self
    }

    /// From now on, leaves say where OCSP answers and where revocation lists are (`{authority}` becomes the
    /// CA's name). Those issued before say what they said.
    #[must_use]
    pub fn publishing_at(mut self, ocsp: String, crl: String) -> Self {
        self.urls = Some((ocsp, crl));
        self
    }

    /// V2G roots of both generations, DER.
    #[must_use]
    pub fn v2g_roots(&self) -> Vec<Vec<u8>> {
        self.roots("v2g-root", &[World::Iso2, World::Iso20])
    }

    /// OEM roots of both generations, DER.
    #[must_use]
    pub fn oem_roots(&self) -> Vec<Vec<u8>> {
        self.roots("oem-root", &[World::Iso2, World::Iso20])
    }

    /// MO roots of both generations, DER.
    #[must_use]
    pub fn mo_roots(&self) -> Vec<Vec<u8>> {
        self.roots("mo-root", &[World::Iso2, World::Iso20])
    }

    /// Roots behind OCPP connections, both directions, DER.
    #[must_use]
    pub fn csms_roots(&self) -> Vec<Vec<u8>> {
        self.roots("csms-root", &[World::Ocpp])
    }

    /// The EVSEID by which certificates name a station to vehicles.
    #[must_use]
    pub fn secc_name(&self, station: &StationId) -> String {
        evse_id(station)
    }

    /// What a station shows vehicles: secp521r1 for ISO 15118-20, and secp256r1 for ISO 15118-2 and
    /// for -20 vehicles whose stack stopped at that curve.
    ///
    /// # Errors
    /// A certificate cannot be issued or stored.
    pub fn station_credentials(&self, station: &StationId) -> Result<Vec<Credential>, PkiError> {
        [World::Iso20, World::Iso2]
            .into_iter()
            .map(|world| {
                let wanted = Wanted::new(Kind::SeccLeaf, "cpo-sub2", evse_id(station), "Gridlatch Dev CPO");
                self.credential(world, &format!("secc-{station}"), &wanted)
            })
            .collect()
    }

    /// What a station shows the platform: CN is its identity (OCPP 2.0.1 A00.FR.405).
    ///
    /// # Errors
    /// A certificate cannot be issued or stored.
    pub fn station_client(&self, station: &StationId) -> Result<Credential, PkiError> {
        let wanted = Wanted::new(
            Kind::StationClient,
            "csms-sub",
            station.to_string(),
            "Gridlatch Dev CPO",
        );
        self.credential(World::Ocpp, &format!("station-{station}"), &wanted)
    }

    /// What the platform shows stations: valid for `localhost`, `127.0.0.1` and `::1`.
    ///
    /// # Errors
    /// A certificate cannot be issued or stored.
    pub fn platform_server(&self) -> Result<Credential, PkiError> {
        self.platform_server_for(&[])
    }

    /// As [`Self::platform_server`], valid for further host names and addresses.
    ///
    /// # Errors
    /// A certificate cannot be issued or stored.
    pub fn platform_server_for(&self, hosts: &[String]) -> Result<Credential, PkiError> {
        let mut wanted = Wanted::new(
            Kind::CsmsServer,
            "csms-sub",
            "localhost".into(),
            "Gridlatch Dev CPO",
        );
        for host in ["localhost", "127.0.0.1", "::1"]
            .into_iter()
            .chain(hosts.iter().map(String::as_str))
        {
            wanted.alt_names.push(match host.parse::<std::net::IpAddr>() {
                Ok(std::net::IpAddr::V4(ip)) => AltName::Ip(ip.octets().to_vec()),
                Ok(std::net::IpAddr::V6(ip)) => AltName::Ip(ip.octets().to_vec()),
                Err(_) => AltName::Dns(host.to_owned()),
            });
        }
        // Another set of names is another certificate.
        let name = if hosts.is_empty() {
            "platform".to_owned()
        } else {
            format!(
                "platform-{}",
                derived("hosts", &hosts.join("\n"), 12, b"0123456789abcdef")
            )
        };
        self.credential(World::Ocpp, &name, &wanted)
    }

    /// What the platform signs bills with.
    ///
    /// # Errors
    /// A certificate cannot be issued or stored.
    pub fn bill_signer(&self) -> Result<Credential, PkiError> {
        let wanted = Wanted::new(
            Kind::BillSigner,
            "csms-sub",
            "Gridlatch Dev Bills".into(),
            "Gridlatch Dev CPO",
        );
        self.credential(World::Ocpp, "bills", &wanted)
    }

    /// The key of a station's meter (P-256), made on first use. A meter has no certificate: its public key is made
    /// known to the platform by another way.
    ///
    /// # Errors
    /// The key cannot be made, read or stored.
    pub fn meter_key(&self, station: &StationId) -> Result<Arc<FileKey>, PkiError> {
        let _lock = self.store.lock()?;
        let name = format!("meter-{station}");
        let key = match self.store.find("meters", &name)? {
            Found::OnlyKey(key) => key,
            Found::Whole(pair) => return Ok(pair.key),
            Found::Nothing => self.store.new_key("meters", &name, World::Ocpp.algorithm())?,
        };
        Ok(Arc::new(key))
    }

    /// What a vehicle of ISO 15118-20 shows stations.
    ///
    /// # Errors
    /// A certificate cannot be issued or stored.
    pub fn vehicle(&self, vehicle: &VehicleName) -> Result<Credential, PkiError> {
        let pcid = vehicle.pcid().reveal().clone();
        let wanted = Wanted::new(Kind::VehicleLeaf, "oem-sub2", pcid, "Gridlatch Dev OEM");
        self.credential(World::Iso20, &format!("vehicle-{vehicle}"), &wanted)
    }

    /// The provisioning certificate by which a vehicle asks for a contract.
    ///
    /// # Errors
    /// A certificate cannot be issued or stored.
    pub fn provisioning(
        &self,
        vehicle: &VehicleName,
        generation: Generation,
    ) -> Result<Credential, PkiError> {
        let pcid = vehicle.pcid().reveal().clone();
        let wanted = Wanted::new(Kind::OemProvisioning, "oem-sub2", pcid, "Gridlatch Dev OEM");
        self.credential(World::of(generation), &format!("provisioning-{vehicle}"), &wanted)
    }

    /// As [`Self::provisioning`], with the private key itself: it also opens what comes.
    ///
    /// # Errors
    /// A certificate cannot be issued or stored.
    pub fn provisioning_with_key(
        &self,
        vehicle: &VehicleName,
        generation: Generation,
    ) -> Result<(Vec<Vec<u8>>, Arc<FileKey>), PkiError> {
        let credential = self.provisioning(vehicle, generation)?;
        Ok((credential.chain, Arc::new(in_file(&*credential.key)?.clone())))
    }

    /// The simulated vehicles that have a provisioning certificate here.
    #[must_use]
    pub(crate) fn vehicles(&self) -> Vec<VehicleName> {
        let mut names: Vec<VehicleName> = [World::Iso2, World::Iso20]
            .into_iter()
            .flat_map(|world| {
                let folder = format!("{}/issued", world.folder());
                self.store.names(&folder).unwrap_or_default()
            })
            .filter_map(|name| name.strip_prefix("provisioning-")?.parse().ok())
            .collect();
        names.sort();
        names.dedup();
        names
    }

    /// A vehicle's contract for Plug & Charge.
    ///
    /// # Errors
    /// A certificate cannot be issued or stored.
    pub fn contract(&self, vehicle: &VehicleName, generation: Generation) -> Result<Contract, PkiError> {
        let emaid = vehicle.emaid();
        let wanted = Wanted::new(
            Kind::ContractLeaf,
            "mo-sub2",
            emaid.reveal().as_str().to_owned(),
            "Gridlatch Dev MO",
        );
        let credential = self.credential(World::of(generation), &format!("contract-{vehicle}"), &wanted)?;
        Ok(Contract {
            emaid,
            chain: credential.chain,
            key: Arc::new(in_file(&*credential.key)?.clone()),
        })
    }

    /// The signer of contract data for vehicles (certificate provisioning service).
    ///
    /// # Errors
    /// A certificate cannot be issued or stored.
    pub fn provisioning_service(&self, generation: Generation) -> Result<Credential, PkiError> {
        let wanted = Wanted::new(
            Kind::CpsLeaf,
            "cps-sub2",
            "Gridlatch Dev CPS".into(),
            "Gridlatch Dev CPS",
        );
        self.credential(World::of(generation), "cps", &wanted)
    }

    /// Writes the bundle that Josev's car and station load: one secp256r1 tree, in the folders and
    /// with the names its own script makes.
    ///
    /// # Errors
    /// The folder cannot be written, or a certificate cannot be issued.
    pub fn export_josev(&self, dir: &Path) -> Result<(), PkiError> {
        crate::josev::export(self, dir)
    }

    /// Every leaf issued so far: its tree, its kind, the CA that signed it, the certificate.
    pub(crate) fn issued(&self) -> Result<Vec<DevLeaf>, PkiError> {
        let mut found = Vec::new();
        for world in World::ALL {
            let folder = format!("{}/issued", world.folder());
            for name in self.store.names(&folder)? {
                if let (Some((kind, issuer)), Found::Whole(pair)) =
                    (crate::ca::of_dev_leaf(&name), self.store.find(&folder, &name)?)
                {
                    found.push((world, kind, issuer, pair.der));
                }
            }
        }
        Ok(found)
    }

    /// A CA of the tree.
    pub(crate) fn ca(&self, world: World, name: &'static str) -> &Pair {
        self.authorities
            .get(&(world, name))
            .expect("`ensure` loads every CA, issuers before what they sign")
    }

    fn roots(&self, name: &'static str, worlds: &[World]) -> Vec<Vec<u8>> {
        worlds
            .iter()
            .map(|world| self.ca(*world, name).der.clone())
            .collect()
    }

    /// Loads a CA of the tree or makes it; says whether it was made just now.
    fn authority(&self, world: World, node: &Node) -> Result<(Pair, bool), PkiError> {
        let key = match self.store.find(world.folder(), node.name)? {
            Found::Whole(pair) => return Ok((pair, false)),
            Found::OnlyKey(key) => key,
            Found::Nothing => self.store.new_key(world.folder(), node.name, world.algorithm())?,
        };
        let wanted = Wanted::new(node.kind, node.issuer, world.common_name(node), node.organization);
        // A day's grace for clocks that differ between the machines of a test bench.
        let not_before = Timestamp(self.now().0 - time::Duration::DAY);
        let pair = self.issue(world, node.name, &wanted, key, not_before)?;
        Ok((pair, true))
    }

    /// A leaf with its chain, issued when missing, half-written or in the last third of its life.
    fn credential(&self, world: World, name: &str, wanted: &Wanted) -> Result<Credential, PkiError> {
        let _lock = self.store.lock()?;
        let folder = format!("{}/issued", world.folder());
        let (key, code) = match self.store.find(&folder, name)? {
            Found::Whole(pair) if !self.due(&pair.der) => return Ok(self.chained(world, name, wanted, pair)),
            Found::Whole(_) => {
                self.store.remove(&folder, name)?;
                (
                    self.store.new_key(&folder, name, world.algorithm())?,
                    pki::RENEWED,
                )
            }
            Found::OnlyKey(key) => (key, pki::ISSUED),
            Found::Nothing => (self.store.new_key(&folder, name, world.algorithm())?, pki::ISSUED),
        };
        let not_before = Timestamp(self.now().0 - time::Duration::HOUR);
        let pair = self.issue_in(world, &folder, name, wanted, key, not_before)?;
        self.report(code, wanted);
        Ok(self.chained(world, name, wanted, pair))
    }

    fn chained(&self, world: World, name: &str, wanted: &Wanted, leaf: Pair) -> Credential {
        let mut chain = vec![leaf.der];
        let mut next = wanted.issuer;
        // Leaf, two sub-CAs: the tree is no deeper.
        while let Some(node) = world.node(next).filter(|node| !node.kind.is_root()) {
            chain.push(self.ca(world, node.name).der.clone());
            next = node.issuer;
        }
        Credential {
            label: format!("{}/{name}", world.folder()),
            chain,
            key: leaf.key,
            staple: None,
        }
    }

    fn issue(
        &self,
        world: World,
        name: &str,
        wanted: &Wanted,
        key: FileKey,
        not_before: Timestamp,
    ) -> Result<Pair, PkiError> {
        self.issue_in(world, world.folder(), name, wanted, key, not_before)
    }

    fn issue_in(
        &self,
        world: World,
        folder: &str,
        name: &str,
        wanted: &Wanted,
        key: FileKey,
        not_before: Timestamp,
    ) -> Result<Pair, PkiError> {
        let issuer = if wanted.kind.is_root() {
            None
        } else {
            Some(self.ca(world, wanted.issuer))
        };
        // CAs are made before anybody knows where anything listens.
        let leaf = wanted.kind.row().authority == gridlatch_trust::profile::Authority::Leaf;
        let urls = self.urls.as_ref().filter(|_| leaf);
        let authority = format!("{}/{}", world.folder(), wanted.issuer);
        let request = Request {
            profile: world.profile(wanted.kind),
            subject: Subject {
                common_name: wanted.common_name.clone(),
                organization: Some(wanted.organization.to_owned()),
                country: Some("DE".to_owned()),
            },
            spki: key.public_key_der(),
            serial: &serial()?,
            not_before,
            not_after: None,
            alt_names: wanted.alt_names.clone(),
            ocsp_url: urls.map(|(ocsp, _)| ocsp.clone()),
            crl_url: urls.map(|(_, crl)| crl.replace("{authority}", &authority)),
        };
        let signer = issuer.map_or(&key, |issuer| &*issuer.key);
        let der = build(
            &request,
            issuer.map_or(Issuer::Itself, |issuer| Issuer::Ca(&issuer.der)),
            signer.algorithm(),
            &|message| signer.sign(message).map_err(Into::into),
        )
        .map_err(|source| PkiError::Issue {
            name: name.to_owned(),
            source,
        })?;
        self.store.write_certificate(folder, name, &der)?;
        Ok(Pair {
            der,
            key: Arc::new(key),
        })
    }

    /// Whether a third of the validity or less is left; unreadable counts as due.
    fn due(&self, der: &[u8]) -> bool {
        certificate::summary(der).map_or(true, |summary| {
            let life = summary.not_after.0 - summary.not_before.0;
            summary.not_after.0 - self.now().0 < life / 3
        })
    }

    fn report(&self, code: Code, wanted: &Wanted) {
        if let Some(sink) = &self.sink {
            let kind = wanted.kind.row().name;
            sink.emit(
                Event::new(self.now(), code, "pki", format!("{kind} by {}", wanted.issuer))
                    .with("kind", kind),
            );
        }
    }

    pub(crate) fn now(&self) -> Timestamp {
        Timestamp(self.started.0.0 + self.started.1.elapsed())
    }
}

/// A leaf as it was issued: its tree, its kind, the CA that signed it, the certificate.
pub(crate) type DevLeaf = (World, Kind, &'static str, Vec<u8>);

/// A certificate as the tree wants it.
struct Wanted {
    kind: Kind,
    issuer: &'static str,
    common_name: String,
    organization: &'static str,
    alt_names: Vec<AltName>,
}

impl Wanted {
    const fn new(kind: Kind, issuer: &'static str, common_name: String, organization: &'static str) -> Self {
        Self {
            kind,
            issuer,
            common_name,
            organization,
            alt_names: Vec::new(),
        }
    }
}

/// Eight octets, positive: unique in practice, and small enough for stacks that keep a serial number
/// in a 64-bit integer (EXI's X509SerialNumber).
pub(crate) fn serial() -> Result<[u8; 8], PkiError> {
    let mut octets = [0; 8];
    getrandom::fill(&mut octets).map_err(|_| PkiError::Entropy)?;
    octets[0] = octets[0] & 0x3F | 0x40;
    Ok(octets)
}

/// The EVSEID of a station for its certificate: `DE*GDL*E` and the station's letters and digits, or
/// characters derived from its identity where those do not fit.
fn evse_id(station: &StationId) -> String {
    let text = station.as_str();
    let plain: String = text.chars().filter(char::is_ascii_alphanumeric).collect();
    let plain = if plain.is_empty() || plain.len() > 28 {
        derived("evse", text, 16, b"0123456789ABCDEFGHJKLMNPQRSTUVWX")
    } else {
        plain.to_ascii_uppercase()
    };
    format!("DE*GDL*E{plain}")
}

/// `length` characters of `alphabet` that follow from `text`, different per `purpose`.
fn derived(purpose: &str, text: &str, length: usize, alphabet: &[u8]) -> String {
    Sha256::new()
        .chain_update(purpose)
        .chain_update([0])
        .chain_update(text)
        .finalize()
        .iter()
        .cycle()
        .take(length)
        .map(|octet| char::from(alphabet[usize::from(*octet) % alphabet.len()]))
        .collect()
}
