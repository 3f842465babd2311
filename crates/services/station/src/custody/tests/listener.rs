//! Certificates that change in a listener with vehicles on it, over real TLS.

use gridlatch_tls::{
    Generation, Handshake, TlsStream, VehicleClient, VehicleClientConfig, VehicleServerConfig,
};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

use super::*;

pub(super) fn listener(credentials: Vec<Credential>) -> Arc<VehicleServer> {
    let config = VehicleServerConfig {
        credentials,
        vehicle_roots: Vec::new(),
        iso2: true,
        iso20: false,
        allow_legacy_cbc: true,
        key_log: None,
        handshake_timeout: Duration::from_secs(20),
    };
    Arc::new(VehicleServer::new(config).unwrap())
}

pub(super) async fn plug(server: &VehicleServer, root: &[u8]) -> ((TlsStream, Handshake), TlsStream) {
    let client = VehicleClient::new(VehicleClientConfig {
        generation: Generation::Iso2,
        roots: vec![root.to_vec()],
        identity: None,
        key_log: None,
        handshake_timeout: Duration::from_secs(20),
    })
    .unwrap();
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let address = listener.local_addr().unwrap();
    let (near, far) = tokio::join!(TcpStream::connect(address), listener.accept());
    let (vehicle, station) = tokio::join!(client.connect(near.unwrap(), None), server.accept(far.unwrap().0));
    (vehicle.unwrap(), station.unwrap().0)
}

pub(super) async fn talk(vehicle: &mut TlsStream, station: &mut TlsStream) {
    let mut heard = [0; 4];
    vehicle.write_all(b"loop").await.unwrap();
    station.read_exact(&mut heard).await.unwrap();
    station.write_all(&heard).await.unwrap();
    vehicle.read_exact(&mut heard).await.unwrap();
    assert_eq!(&heard, b"loop");
}

#[tokio::test]
async fn the_listener_changes_under_a_running_session_and_a_refused_certificate_changes_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let (world, stranger) = (World::new("A"), World::new("B"));
    let custody = Custody::open(world.config(folder.path()), now()).unwrap();
    let old = custody.vehicle_credentials(now());
    let server = listener(old.clone());
    custody.serve(Arc::clone(&server));
    let ((mut vehicle, shown), mut station) = plug(&server, &world.root).await;
    assert_eq!(shown.peer_chain[0], old[0].chain[0]);

    let request = custody.request(CertificateUse::Vehicle).unwrap();
    let life = (later(-1), None);
    let foreign = stranger.answer(&request, life);
    custody
        .install(CertificateUse::Vehicle, &foreign, now())
        .unwrap_err();
    let ((_, shown), _) = plug(&server, &world.root).await;
    assert_eq!(shown.peer_chain[0], old[0].chain[0], "the old one still serves");

    custody
        .install(CertificateUse::Vehicle, &world.answer(&request, life), now())
        .unwrap();
    let new = custody.vehicle_credentials(now())[0].chain[0].clone();
    assert_ne!(new, old[0].chain[0]);
    let ((_, shown), _) = plug(&server, &world.root).await;
    assert_eq!(shown.peer_chain[0], new);
    talk(&mut vehicle, &mut station).await;
    // After the crossover the new one is alone, in the listener too.
    custody.tick(later(CROSSOVER + 1));
    assert_eq!(server.chains().len(), 1);
    talk(&mut vehicle, &mut station).await;
}
