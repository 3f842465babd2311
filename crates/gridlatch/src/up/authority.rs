//! The certification authority of `up`: the development PKI as a CA with a store, and what the platform
//! has it sign for stations.

use std::sync::Arc;

use anyhow::{Context as _, Result};
use gridlatch_host::{DataDir, Hub};
use gridlatch_pki::ca::{Ca, KeyRing, Requester, Role};
use gridlatch_pki::dev::DevPki;
use gridlatch_platform::{NotSigned, Signing, StationAuthority, StationCertificate};
use gridlatch_station::custody::CertificateUse;
use gridlatch_trust::Profile;
use gridlatch_trust::profile::Kind;
use gridlatch_vocab::StationId;

/// Opens the CA over the development PKI, and takes over what it has issued since the last time.
pub(crate) async fn open(data: &DataDir, pki: &DevPki, hub: &Hub) -> Result<Ca> {
    let folder = data.dir("pki")?;
    let store = super::open_store(data, "pki/ca.db").await?;
    Ca::adopt(store, KeyRing::in_folder(&folder), Arc::new(hub.clone()), pki)
        .await
        .context("the certification authority does not start")
}

/// The CA that signs what a station uses so.
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
        let authority = for_use(usage);
        Box::pin(async move {
            let requester = Requester {
                role: Role::Station,
                id: station.to_string(),
            };
            self.0
                .enroll(csr, authority, profile, requester)
                .await
                .map(|issued| issued.chain)
                .map_err(|error| NotSigned {
                    code: error.code(),
                    message: error.to_string(),
                })
        })
    }
}
