//! The certification authority of `up`: the development PKI as a CA with a store, and what the platform
//! has it sign for stations.

use std::path::Path;
use std::sync::Arc;

use anyhow::{Context as _, Result, bail};
use gridlatch_host::{DataDir, Hub, now};
use gridlatch_pki::ca::{Ca, CaError, Control, DATABASE, KeyRing, Requester, Role, Serial, World};
use gridlatch_pki::dev::DevPki;
use gridlatch_platform::{NotSigned, Signed, Signing, StationAuthority, StationCertificate};
use gridlatch_station::custody::CertificateUse;
use gridlatch_store::Store;
use gridlatch_trust::Profile;
use gridlatch_trust::profile::Kind;
use gridlatch_vocab::catalogue::ca as codes;
use gridlatch_vocab::{Event, EventSink, StationId};

/// The development PKI holds the key of every CA in one process, and completes what it finds with CAs of its own: it
/// is not let near a PKI that takes two operators, nor one whose ceremony was interrupted.
pub(crate) async fn refuse_two_operators(data: &DataDir, hub: &Hub) -> Result<()> {
    let name = format!("pki/{DATABASE}");
    if !data.path(&name).exists() {
        return Ok(());
    }
    let store = super::open_store(data, &name).await?;
    if takes_two(store, &data.path("pki"), Arc::new(hub.clone())).await? {
        let text = format!(
            "the PKI in {} takes two operators, and `up` would hold its keys in one process; serve it with `gridlatch pki serve`, and \
             choose another folder for `up` with --data",
            data.path("pki").display()
        );
        hub.emit(Event::new(now(), codes::DUAL_CONTROL, "pki", text.clone()));
        bail!("{text} ({})", codes::DUAL_CONTROL);
    }
    Ok(())
}

/// Whether the PKI of a folder takes two operators, or was going to when its ceremony was interrupted.
pub(crate) async fn takes_two(store: Store, folder: &Path, sink: Arc<dyn EventSink>) -> Result<bool> {
    match Ca::open(store.clone(), KeyRing::in_folder(folder), sink).await {
        Ok(ca) => Ok(ca.control() == Control::Dual),
        Err(CaError::NotInitialised) => Ok(!store.pki_operators().await?.is_empty()),
        Err(error) => Err(error).context("the certification authority cannot be read"),
    }
}

/// Opens the CA over the development PKI, and takes over what it has issued since the last time.
pub(crate) async fn open(data: &DataDir, pki: &DevPki, hub: &Hub) -> Result<Ca> {
    let folder = data.dir("pki")?;
    let store = super::open_store(data, "pki/ca.db").await?;
    Ca::adopt(store, KeyRing::in_folder(&folder), Arc::new(hub.clone()), pki)
        .await
        .context("the certification authority does not start")
}

/// The CA that signs what a station is delivered with.
pub(crate) const fn for_use(usage: CertificateUse) -> &'static str {
    match usage {
        CertificateUse::Platform => "ocpp/csms-sub",
        CertificateUse::Vehicle => "iso2/cpo-sub2",
        CertificateUse::Vehicle20 => "iso20/cpo-sub2",
    }
}

/// Signs for stations that the platform has authenticated; the CA's policy says which names they may have.
#[derive(Debug)]
pub(crate) struct ForStations(pub(crate) Ca);

impl StationAuthority for ForStations {
    fn sign<'a>(&'a self, station: &'a StationId, usage: StationCertificate, csr: &'a [u8]) -> Signing<'a> {
        let (usage, profile) = match usage {
            StationCertificate::Platform => (CertificateUse::Platform, Profile::iso2(Kind::StationClient)),
            StationCertificate::Vehicle => (CertificateUse::Vehicle, Profile::iso2(Kind::SeccLeaf)),
            StationCertificate::Vehicle20 => (CertificateUse::Vehicle20, Profile::iso20(Kind::SeccLeaf)),
        };
        Box::pin(async move {
            let refused = |error: CaError| NotSigned {
                code: error.code(),
                message: error.to_string(),
            };
            // A rollover changes below which root it is signed, while this runs.
            let authority = match usage {
                CertificateUse::Platform => for_use(usage).to_owned(),
                CertificateUse::Vehicle => self.0.issues_for_stations(World::Iso2).await.map_err(refused)?,
                CertificateUse::Vehicle20 => {
                    self.0.issues_for_stations(World::Iso20).await.map_err(refused)?
                }
            };
            let requester = Requester {
                role: Role::Station,
                id: station.to_string(),
            };
            self.0
                .enroll(csr, &authority, profile, requester)
                .await
                .map(|issued| issued.chain)
                .map_err(refused)
        })
    }

    fn signed<'a>(&'a self, serial: &'a str) -> Signed<'a> {
        Box::pin(async move {
            // OCPP drops leading zeros, and a half octet with them.
            let digits = format!("{serial:0>width$}", width = serial.len().next_multiple_of(2));
            let Some(serial) =
                gridlatch_pki::ca::from_hex(&digits).and_then(|octets| Serial::from_octets(&octets))
            else {
                return Vec::new();
            };
            let mut found = Vec::new();
            for authority in self.0.authorities() {
                if authority.profile.kind != Kind::CpoSub2 {
                    continue;
                }
                if let (Ok(Some(record)), Ok(above)) = (
                    self.0.find(&authority.name, serial).await,
                    self.0.chain(&authority.name),
                ) {
                    found.push(std::iter::once(record.der).chain(above).collect());
                }
            }
            found
        })
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use gridlatch_keys::{FileKey, KeyAlgorithm, Signer as _};
    use gridlatch_pki::ca::{Plan, World};

    use super::super::{UpConfig, serve};
    use super::*;

    fn files(folder: &Path) -> Vec<std::path::PathBuf> {
        let mut found = Vec::new();
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                found.extend(files(&path));
            } else if !path.to_string_lossy().contains("ca.db") {
                found.push(path);
            }
        }
        found.sort();
        found
    }

    #[tokio::test]
    async fn up_is_not_let_near_a_pki_of_two_operators() {
        let folder = tempfile::tempdir().unwrap();
        let pki = folder.path().join("pki");
        let key = || {
            FileKey::generate(KeyAlgorithm::P256)
                .unwrap()
                .public_key_der()
                .to_vec()
        };
        let plan = Plan {
            worlds: vec![World::Iso2],
            control: Control::Dual,
            operators: vec![("alice".into(), key()), ("bob".into(), key())],
            ..Plan::single("Test")
        };
        let hub = Hub::new(gridlatch_host::HubConfig::default(), None);
        std::fs::create_dir(&pki).unwrap();
        let store = Store::open(pki.join(DATABASE).to_str().unwrap()).await.unwrap();
        let keys = KeyRing::in_folder(&pki);
        drop(Ca::init(store, keys, Arc::new(hub), &plan).await.unwrap());
        let before = files(&pki);
        let any: std::net::SocketAddr = "127.0.0.1:0".parse().unwrap();
        let error = serve(UpConfig {
            data: folder.path().to_owned(),
            console: any,
            ocpp: any,
            est: Some(any),
            status: Some(any),
            notify: Vec::new(),
            unknown: super::super::UnknownPolicy::Accept,
            allow_plaintext: false,
            demo: false,
            verbose: false,
            key_log: None,
            station_keys: super::super::delivered::StationKeys {
                station_keys: None,
                pin_file: None,
            },
        })
        .await
        .unwrap_err();
        let said = format!("{error:#}");
        assert!(
            said.ends_with("(ca.dual_control)") && said.contains("pki serve"),
            "{said}"
        );
        assert_eq!(files(&pki), before, "nothing was added");
        let log = std::fs::read_to_string(folder.path().join("security.jsonl")).unwrap();
        assert!(log.contains("ca.dual_control"), "{log}");
    }
}
