//! Keys outside OpenSSL: any `Signer` serves both ends of the cable and both ends of OCPP.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};

use gridlatch_keys::{FileKey, KeyAlgorithm, KeyError, Signer};
use gridlatch_trust::Generation;
use gridlatch_vocab::catalogue::key;

use super::world::{World, meet, world};
use crate::{TlsError, VehicleClient, VehicleServer};

/// A key that this process cannot look into, as hardware is; it can be unplugged.
#[derive(Debug)]
struct Remote {
    key: FileKey,
    signed: AtomicUsize,
    gone: AtomicBool,
}

impl Remote {
    fn of(key: &Arc<dyn Signer>) -> Arc<Self> {
        Arc::new(Self {
            key: key.as_file().unwrap().clone(),
            signed: AtomicUsize::new(0),
            gone: AtomicBool::new(false),
        })
    }
}

impl Signer for Remote {
    fn algorithm(&self) -> KeyAlgorithm {
        self.key.algorithm()
    }

    fn public_key_der(&self) -> &[u8] {
        self.key.public_key_der()
    }

    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, KeyError> {
        self.key.sign(message)
    }

    fn sign_digest(&self, digest: &[u8]) -> Result<Vec<u8>, KeyError> {
        if self.gone.load(SeqCst) {
            return Err(KeyError::Hardware {
                code: key::UNAVAILABLE,
                key: "remote:1".into(),
                reason: "it was unplugged".into(),
            });
        }
        self.signed.fetch_add(1, SeqCst);
        self.key.sign_digest(digest)
    }
}

/// The world with all keys but the CAs' in hardware: P-256 station, P-521 station, P-521 vehicle.
fn unplugged(world: &mut World) -> [Arc<Remote>; 3] {
    [&mut world.p256, &mut world.p521, &mut world.vehicle].map(|tree| {
        let remote = Remote::of(&tree.leaf.key);
        tree.leaf.key = remote.clone();
        remote
    })
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn any_signer_serves_both_generations_on_both_sides() {
    let mut world = world();
    let [p256, p521, vehicle] = unplugged(&mut world);
    for _ in 0..3 {
        for generation in [Generation::Iso2, Generation::Iso20] {
            let met = meet(world.server_config(), world.client_config(generation)).await;
            met.server.unwrap_or_else(|refusal| panic!("{refusal}"));
            met.client.unwrap_or_else(|refusal| panic!("{refusal}"));
        }
    }
    // One signature per handshake and side: OpenSSL did not sign by itself.
    assert_eq!(
        [p256, p521, vehicle].map(|key| key.signed.load(SeqCst)),
        [3, 3, 3]
    );
}

#[tokio::test]
async fn a_key_that_is_gone_is_named_and_comes_back() {
    let mut world = world();
    let [p256, p521, vehicle] = unplugged(&mut world);
    for (generation, remote) in [(Generation::Iso2, &p256), (Generation::Iso20, &p521)] {
        remote.gone.store(true, SeqCst);
        let met = meet(world.server_config(), world.client_config(generation)).await;
        let refusal = met.server.unwrap_err();
        assert_eq!(refusal.code, key::UNAVAILABLE, "{refusal}");
        assert!(
            refusal.message.contains("remote:1") && refusal.message.contains("unplugged"),
            "{refusal}"
        );
        met.client.unwrap_err();
        remote.gone.store(false, SeqCst);
        let met = meet(world.server_config(), world.client_config(generation)).await;
        met.server.unwrap_or_else(|refusal| panic!("{refusal}"));
    }
    vehicle.gone.store(true, SeqCst);
    let met = meet(world.server_config(), world.client_config(Generation::Iso20)).await;
    assert_eq!(met.client.unwrap_err().code, key::UNAVAILABLE);
    met.server.unwrap_err();
}

#[test]
fn keys_are_released_with_their_context_and_ed448_needs_a_file() {
    let mut world = world();
    let keys = unplugged(&mut world);
    let server = VehicleServer::new(world.server_config()).unwrap();
    let client = VehicleClient::new(world.client_config(Generation::Iso20)).unwrap();
    drop((server, client));
    drop(world);
    for key in keys {
        assert_eq!(Arc::strong_count(&key), 1, "OpenSSL still holds {key:?}");
    }

    let mut world = super::world::world();
    world.ed448.leaf.key = Remote::of(&world.ed448.leaf.key);
    let mut config = world.server_config();
    config.credentials.push(world.ed448.leaf);
    assert!(matches!(
        VehicleServer::new(config),
        Err(TlsError::Credential { reason, .. }) if reason.contains("Ed448")
    ));
}
