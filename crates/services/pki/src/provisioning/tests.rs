//! A whole small world: development PKI, pools in memory, vehicles that ask and check as vehicles must.
mod hostile;
mod josev;
mod roundtrip;
mod running_ca;

use std::sync::Mutex;

use gridlatch_keys::{FileKey, OpensslVerifier, Signer};
use gridlatch_session::provisioning::{Answer, Installation, RootId, SignedContract, agree_p256, open_iso2};
use gridlatch_trust::profile::Kind;
use gridlatch_trust::{certificate, verdict};

use super::authority::SignAs;
use super::*;
use crate::dev::{self, DevPki, VehicleName};

/// Remembers what it is told.
#[derive(Default)]
pub(crate) struct Told(Mutex<Vec<Event>>);

impl EventSink for Told {
    fn emit(&self, event: Event) {
        self.0.lock().unwrap().push(event);
    }
}

impl Told {
    pub(crate) fn codes(&self) -> Vec<Code> {
        self.0.lock().unwrap().iter().map(|event| event.code).collect()
    }

    pub(crate) fn text(&self) -> String {
        serde_json_like(&self.0.lock().unwrap())
    }
}

fn serde_json_like(events: &[Event]) -> String {
    events
        .iter()
        .map(|event| format!("{} {} {:?}\n", event.code, event.message, event.fields))
        .collect()
}

pub(crate) struct World {
    _dir: tempfile::TempDir,
    pub(crate) pki: Arc<DevPki>,
    pub(crate) told: Arc<Told>,
    pub(crate) provisioner: Provisioner,
}

pub(crate) fn clock() -> Timestamp {
    Timestamp(time::OffsetDateTime::now_utc())
}

impl World {
    /// With contracts on demand, or without.
    pub(crate) async fn new(on_demand: bool) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let told = Arc::new(Told::default());
        let pki = Arc::new(dev::ensure(dir.path(), &*told, clock()).unwrap());
        let store = Store::open(":memory:").await.unwrap();
        let known = Arc::clone(&pki);
        let settings = Settings {
            clock: Arc::new(clock),
            kdf: Kdf::default(),
            on_demand: on_demand.then(|| -> OnDemand { Arc::new(move |pcid| known.contract_for(pcid)) }),
            intermediates: pki.oem_sub_cas(),
        };
        let authority: Arc<dyn ContractAuthority> = Arc::<DevPki>::clone(&pki);
        let provisioner = Provisioner::new(store, authority, settings, Arc::<Told>::clone(&told));
        for (kind, root) in pki.pool_roots() {
            assert!(provisioner.add_root(kind, &root, "test").await.unwrap().new);
        }
        Self {
            _dir: dir,
            pki,
            told,
            provisioner,
        }
    }

    pub(crate) fn car(&self, name: &str, generation: Generation) -> Car {
        let vehicle: VehicleName = name.parse().unwrap();
        let credential = self.pki.provisioning(&vehicle, generation).unwrap();
        Car {
            roots: self.roots(generation),
            chain: credential.chain,
            key: credential.key,
            pem: self.key_of(generation, &format!("issued/provisioning-{name}")),
            generation,
            vehicle,
        }
    }

    pub(crate) fn roots(&self, generation: Generation) -> Vec<RootId> {
        self.pki
            .v2g_roots()
            .iter()
            .filter(|root| trust::generation_of(root) == Some(generation))
            .map(|root| root_id(root))
            .collect()
    }

    pub(crate) fn key_of(&self, generation: Generation, name: &str) -> FileKey {
        let folder = stored_generation(generation);
        FileKey::load(&self._dir.path().join(folder).join(format!("{name}.key.pem"))).unwrap()
    }
}

pub(crate) fn root_id(root: &[u8]) -> RootId {
    let summary = certificate::summary(root).unwrap();
    RootId {
        issuer: format!("CN={}", summary.issuer_cn),
        serial: i64::from_str_radix(&summary.serial_hex, 16).unwrap(),
    }
}

/// A vehicle with its provisioning certificate.
pub(crate) struct Car {
    pub(crate) roots: Vec<RootId>,
    pub(crate) chain: Vec<Vec<u8>>,
    pub(crate) key: Arc<dyn Signer>,
    pub(crate) pem: FileKey,
    pub(crate) generation: Generation,
    pub(crate) vehicle: VehicleName,
}

impl Car {
    pub(crate) fn ask(&self) -> Vec<u8> {
        Installation {
            generation: session_generation(self.generation),
            action: Action::Install,
            session: vec![1, 2, 3, 4, 5, 6, 7, 8],
            chain: self.chain.clone(),
            roots: self.roots.clone(),
            emaids: Vec::new(),
            maximum: 3,
            now: clock(),
        }
        .encode(&SignAs(Arc::clone(&self.key)))
        .unwrap()
    }

    /// Checks and opens an answer as the standard tells a vehicle to: signature, the signer's chain, the key.
    /// Returns the contract's chain and key.
    pub(crate) fn take(&self, world: &World, exi: &[u8]) -> (Vec<Vec<u8>>, FileKey) {
        open(
            world,
            self.generation,
            Action::Install,
            exi,
            &self.pem,
            self.vehicle.pcid().reveal(),
        )
    }
}

pub(crate) fn open(
    world: &World,
    generation: Generation,
    action: Action,
    exi: &[u8],
    receiver: &FileKey,
    pcid: &str,
) -> (Vec<Vec<u8>>, FileKey) {
    let answer = Answer::decode(session_generation(generation), action, exi).unwrap();
    let Answer::Contract(signed) = answer else {
        panic!("refused: {answer:?}");
    };
    signed.verify().unwrap();
    let profile = trust::profile(generation, Kind::CpsLeaf);
    verdict::check_with(
        signed.cps_chain(),
        &world.pki.v2g_roots(),
        profile,
        clock(),
        &OpensslVerifier,
    )
    .unwrap();
    let contract = signed.contract();
    let leaf = &contract.chain[0];
    let key = match generation {
        Generation::Iso2 => {
            let own = receiver.scalar().unwrap();
            let agree = |peer: &[u8]| agree_p256(&own, peer).ok();
            let scalar = open_iso2(&contract.encrypted_key, &contract.dh_public_key, leaf, &agree).unwrap();
            p256_key(&scalar)
        }
        Generation::Iso20 => gridlatch_keys::delivery::open_p521(
            &gridlatch_keys::delivery::Sealed {
                encrypted_key: contract.encrypted_key.clone(),
                public_key: contract.dh_public_key.clone(),
            },
            receiver,
            &certificate::public_key_der(leaf).unwrap(),
            &gridlatch_keys::delivery::additional_data(pcid, &certificate::subject_key_id(leaf)),
            &Kdf::default(),
        )
        .unwrap(),
    };
    assert_eq!(key.public_key_der(), certificate::public_key_der(leaf).unwrap());
    (contract.chain.clone(), key)
}

fn p256_key(scalar: &[u8]) -> FileKey {
    use openssl::bn::{BigNum, BigNumContext};
    use openssl::ec::{EcGroup, EcKey, EcPoint};
    use openssl::nid::Nid;
    use openssl::pkey::PKey;
    let group = EcGroup::from_curve_name(Nid::X9_62_PRIME256V1).unwrap();
    let scalar = BigNum::from_slice(scalar).unwrap();
    let mut context = BigNumContext::new().unwrap();
    let mut point = EcPoint::new(&group).unwrap();
    point.mul_generator2(&group, &scalar, &mut context).unwrap();
    let key = EcKey::from_private_components(&group, &scalar, &point).unwrap();
    FileKey::from_pkey(PKey::from_ec_key(key).unwrap()).unwrap()
}
