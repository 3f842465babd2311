//! Contracts that do not arrive: car, station, OCPP and platform over real sockets, with a provisioning service that can
//! be made to misbehave. Every refusal says who, where, why and what to do; the car keeps nothing, the contactor stays
//! open, and the next honest car is served.

mod bench;

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use gridlatch_evcc::{
    Action, Auth, BatteryConfig, ChargeConfig, ContractFolder, DiscoverAt, Energy, Failure, Generation, Goal,
    InstallCredential, LinkConfig, Outcome, Wish, WithoutMoRoot,
};
use gridlatch_host::{Hub, HubConfig, Shutdown, now};
use gridlatch_keys::delivery::Kdf;
use gridlatch_keys::{FileKey, KeyAlgorithm, Signer};
use gridlatch_pki::dev::{self, DevPki, VehicleName};
use gridlatch_pki::provisioning::{
    ContractAuthority, CpsSigner, Provisioner, ProvisioningError, RootKind, Settings,
};
use gridlatch_platform::{
    ContractProvider, Plaintext, Platform, PlatformConfig, PlatformHandle, ProvidedContract, Providing,
    ProvisioningAction, ProvisioningRefusal,
};
use gridlatch_session::evcc::{ContractSigner, Curve};
use gridlatch_session::provisioning::{Answer, ContractData, InstallationRequest, SignedContract};
use gridlatch_station::backend::ToPlatform;
use gridlatch_station::csms::{self, CsmsConfig};
use gridlatch_station::{
    CableMode, EimPolicy, EvseConfig, SdpMode, Station, StationConfig, StationHandle, TlsSetup,
};
use gridlatch_store::{Store, TokenStatus};
use gridlatch_testkit::temp;
use gridlatch_trust::build::{Issuer, Request, Subject, build};
use gridlatch_trust::profile::{Kind, Profile};
use gridlatch_trust::{Generation as Edition, certificate};
use gridlatch_vocab::catalogue::{pnc, power, provisioning, session};
use gridlatch_vocab::{Code, Emaid, EventSink, EvseId, Personal, StationId, Timestamp};
use tokio::sync::{mpsc, oneshot};

/// One development PKI with its files at hand.
struct Pki {
    folder: PathBuf,
    pki: DevPki,
    _dir: tempfile::TempDir,
}

const fn edition(generation: Generation) -> Edition {
    match generation {
        Generation::Iso2 => Edition::Iso2,
        Generation::Iso20 => Edition::Iso20,
    }
}

const fn folder(edition: Edition) -> &'static str {
    match edition {
        Edition::Iso2 => "iso2",
        Edition::Iso20 => "iso20",
    }
}

impl Pki {
    fn new() -> Arc<Self> {
        let dir = temp::dir().unwrap();
        let folder = dir.path().join("pki");
        let pki = dev::ensure(&folder, &Hub::new(HubConfig::default(), None), now()).unwrap();
        Arc::new(Self {
            folder,
            pki,
            _dir: dir,
        })
    }

    fn ca(&self, edition: Edition, name: &str) -> (Vec<u8>, FileKey) {
        let at = |ending: &str| {
            self.folder
                .join(folder(edition))
                .join(format!("{name}.{ending}.pem"))
        };
        let text = std::fs::read(at("crt")).unwrap();
        (
            certificate::from_pem(&text).unwrap().remove(0),
            FileKey::load(&at("key")).unwrap(),
        )
    }

    /// A certificate under one of the CAs, valid between two days from now.
    fn issue(
        &self,
        edition: Edition,
        ca: &str,
        kind: Kind,
        name: &str,
        spki: &[u8],
        days: (i64, i64),
    ) -> Vec<u8> {
        let (issuer, key) = self.ca(edition, ca);
        let at = |days: i64| Timestamp::from_unix_millis(now().unix_millis() + days * 86_400_000);
        let request = Request {
            profile: Profile {
                kind,
                generation: edition,
            },
            subject: Subject {
                common_name: name.to_owned(),
                organization: Some("Test".to_owned()),
                country: Some("DE".to_owned()),
            },
            spki,
            serial: &spki[spki.len() - 8..]
                .iter()
                .map(|octet| octet | 1)
                .collect::<Vec<u8>>(),
            not_before: at(days.0),
            not_after: Some(at(days.1)),
            alt_names: Vec::new(),
            ocsp_url: None,
            crl_url: None,
        };
        build(&request, Issuer::Ca(&issuer), key.algorithm(), &|message| {
            key.sign(message).map_err(Into::into)
        })
        .unwrap()
    }

    /// A provisioning service of this PKI for its vehicles, with contracts of `operator`, for the vehicles `known`.
    async fn service(self: &Arc<Self>, operator: &Arc<Self>, known: &[&str], hub: &Hub) -> Provisioner {
        let oem = self;
        let known: Vec<VehicleName> = known.iter().map(|name| name.parse().unwrap()).collect();
        let offer = move |pcid: &str| -> Option<Emaid> {
            let vehicle = known.iter().find(|name| name.pcid().reveal() == pcid)?;
            Some(vehicle.emaid().reveal().clone())
        };
        let settings = Settings {
            clock: Arc::new(now),
            kdf: Kdf::default(),
            on_demand: Some(Arc::new(offer)),
            intermediates: [Edition::Iso2, Edition::Iso20]
                .into_iter()
                .flat_map(|edition| ["oem-sub2", "oem-sub1"].map(|name| oem.ca(edition, name).0))
                .collect(),
        };
        let store = Store::open(":memory:").await.unwrap();
        let authority = Arc::new(Authority {
            operator: Arc::clone(operator),
            service: Arc::clone(self),
        });
        let service = Provisioner::new(store, authority, settings, Arc::new(hub.clone()));
        for (kind, roots) in [
            (RootKind::V2g, self.pki.v2g_roots()),
            (RootKind::Mo, operator.pki.mo_roots()),
            (RootKind::Oem, oem.pki.oem_roots()),
        ] {
            for root in roots {
                service.add_root(kind, &root, "test").await.unwrap();
            }
        }
        service
    }
}

/// The operator's CA and the provisioning service, which need not be of one PKI.
struct Authority {
    operator: Arc<Pki>,
    service: Arc<Pki>,
}

impl core::fmt::Debug for Authority {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str("Authority")
    }
}

impl ContractAuthority for Authority {
    fn issue(
        &self,
        generation: Edition,
        emaid: &Emaid,
        public_key: &[u8],
        _: Option<Timestamp>,
        _: Option<Timestamp>,
    ) -> Result<Vec<Vec<u8>>, ProvisioningError> {
        let leaf = self.operator.issue(
            generation,
            "mo-sub2",
            Kind::ContractLeaf,
            emaid.as_str(),
            public_key,
            (-1, 100),
        );
        let above = ["mo-sub2", "mo-sub1"].map(|name| self.operator.ca(generation, name).0);
        Ok([&[leaf][..], &above].concat())
    }

    fn cps(&self, generation: Edition) -> Result<Vec<CpsSigner>, ProvisioningError> {
        let credential = self.service.pki.provisioning_service(generation)?;
        Ok(vec![CpsSigner {
            chain: credential.chain,
            root: self.service.ca(generation, "v2g-root").0,
            key: credential.key,
        }])
    }
}

#[derive(Debug)]
struct SignWith(Arc<dyn Signer>);

impl ContractSigner for SignWith {
    fn curve(&self) -> Curve {
        match self.0.algorithm() {
            KeyAlgorithm::P256 => Curve::P256,
            _ => Curve::P521,
        }
    }

    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, String> {
        self.0.sign(message).map_err(|error| error.to_string())
    }
}

/// What the provisioning service does next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mood {
    Honest,
    Down,
    Late,
    Garbage,
    OfAnotherStandard,
    SignedByAnotherKey,
    SignedByAStranger,
    OperatorOfAStranger,
    AnotherKey,
    AnotherId,
}

struct Service {
    ours: Provisioner,
    theirs: Provisioner,
    pki: Arc<Pki>,
    stranger: Arc<Pki>,
    mood: Mutex<Mood>,
    /// The last request, as it came.
    heard: Mutex<Vec<u8>>,
}

impl core::fmt::Debug for Service {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str("Service")
    }
}

async fn ask(
    service: &Provisioner,
    generation: Generation,
    action: Action,
    exi: &[u8],
) -> Result<Vec<u8>, ProvisioningRefusal> {
    let answer = service.install(edition(generation), action, exi).await;
    answer
        .map(|installed| installed.exi)
        .map_err(|error| ProvisioningRefusal {
            code: error.code(),
            message: error.to_string(),
            exi: error.exi().map(<[u8]>::to_vec),
        })
}

fn data(generation: Generation, action: Action, exi: &[u8]) -> ContractData {
    match Answer::decode(generation, action, exi).unwrap() {
        Answer::Contract(signed) => signed.contract().clone(),
        Answer::Refused(why) => panic!("refused: {why}"),
    }
}

impl Service {
    /// Signs contract data with the key of `key` under the name of `named`.
    fn sign(
        &self,
        generation: Generation,
        action: Action,
        asked: &[u8],
        data: ContractData,
        named: &Pki,
        key: &Pki,
    ) -> Vec<u8> {
        let named = named.pki.provisioning_service(edition(generation)).unwrap();
        let key = key.pki.provisioning_service(edition(generation)).unwrap().key;
        let request = InstallationRequest::decode(generation, action, asked).unwrap();
        SignedContract::sign(generation, data, named.chain, &SignWith(key))
            .unwrap()
            .encode(action, &request.session, 0, now())
            .unwrap()
    }

    async fn answer(
        &self,
        generation: Generation,
        action: Action,
        exi: &[u8],
    ) -> Result<Vec<u8>, ProvisioningRefusal> {
        let mood = *self.mood.lock().unwrap();
        let (ours, theirs) = (&*self.pki, &*self.stranger);
        let honest = ask(&self.ours, generation, action, exi);
        let bent = |data: ContractData| self.sign(generation, action, exi, data, ours, ours);
        match mood {
            Mood::Honest => honest.await,
            Mood::Down => Err(ProvisioningRefusal {
                code: pnc::CONTRACT_NOT_PROVIDED,
                message: "the provisioning service cannot be reached".to_owned(),
                exi: None,
            }),
            Mood::Late => {
                tokio::time::sleep(Duration::from_secs(8)).await;
                honest.await
            }
            Mood::Garbage => Ok(vec![0xA5; 900]),
            Mood::OfAnotherStandard => Ok(exi.to_vec()),
            Mood::SignedByAnotherKey => {
                let data = data(generation, action, &honest.await?);
                Ok(self.sign(generation, action, exi, data, ours, theirs))
            }
            Mood::SignedByAStranger => {
                let data = data(generation, action, &honest.await?);
                Ok(self.sign(generation, action, exi, data, theirs, theirs))
            }
            Mood::OperatorOfAStranger => ask(&self.theirs, generation, action, exi).await,
            Mood::AnotherKey => {
                let mut data = data(generation, action, &honest.await?);
                // The same vehicle can open it, and it is the key of another certificate.
                let other = ask(&self.theirs, generation, action, exi).await?;
                let other = self::data(generation, action, &other);
                (data.encrypted_key, data.dh_public_key) = (other.encrypted_key, other.dh_public_key);
                Ok(bent(data))
            }
            Mood::AnotherId => {
                let mut data = data(generation, action, &honest.await?);
                data.emaid = Personal::new("DEGDLC99999999".to_owned());
                Ok(bent(data))
            }
        }
    }
}

impl ContractProvider for Service {
    fn get_15118_ev_certificate(
        &self,
        schema: String,
        action: ProvisioningAction,
        exi: Vec<u8>,
    ) -> Providing<'_> {
        Box::pin(async move {
            let generation = Generation::of_schema(&schema).unwrap();
            let action = match action {
                ProvisioningAction::Install => Action::Install,
                ProvisioningAction::Update => Action::Update,
            };
            self.heard.lock().unwrap().clone_from(&exi);
            let exi = self.answer(generation, action, &exi).await?;
            Ok(ProvidedContract { exi, remaining: 0 })
        })
    }
}
