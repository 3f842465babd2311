//! The development PKI itself.

mod issue;
mod names;

use core::fmt;
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use gridlatch_keys::{FileKey, KeyError, Signer};
use gridlatch_tls::Credential;
use gridlatch_trust::Generation;
use gridlatch_trust::build::AltName;
use gridlatch_trust::profile::Kind;
use gridlatch_vocab::catalogue::pki;
use gridlatch_vocab::{Emaid, Event, EventSink, Personal, StationId, Timestamp};

use crate::PkiError;
use crate::store::{Found, Pair, Store};
use crate::tree::World;

#[cfg(test)]
pub(crate) use issue::serial;
pub use names::{InvalidName, VehicleName};

use issue::Wanted;
use names::{derived, evse_id};

/// The development PKI keeps its keys in files; what is exported must be one of those.
pub(crate) fn in_file(key: &dyn Signer) -> Result<&FileKey, KeyError> {
    key.as_file().ok_or(KeyError::Unsupported)
}

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

    pub(crate) fn now(&self) -> Timestamp {
        Timestamp(self.started.0.0 + self.started.1.elapsed())
    }
}

/// A leaf as it was issued: its tree, its kind, the CA that signed it, the certificate.
pub(crate) type DevLeaf = (World, Kind, &'static str, Vec<u8>);
