//! A revoked vehicle is refused, also one that resumes what it agreed on before.

use std::process::Stdio;

use gridlatch_testkit::need;
use gridlatch_vocab::catalogue::tls;
use openssl::x509::X509;
use tokio::net::TcpListener;
use tokio::process::Command;

use super::foreign::path;
use super::world::{Files, world};
use crate::{Handshake, Refusal, Revoked, VehicleServer};

#[tokio::test]
async fn a_revoked_vehicle_or_sub_ca_is_refused_even_with_a_ticket() {
    need!(openssl);
    let world = world();
    let files = Files::new();
    let server = VehicleServer::new(world.server_config()).unwrap();
    let vehicle = &world.vehicle.leaf;
    let root = files.certificates("root.pem", std::slice::from_ref(&world.p521.root.der));
    let cert = files.certificates("leaf.pem", &vehicle.chain[..1]);
    let subs = files.certificates("subs.pem", &vehicle.chain[1..]);
    let key = files.key("key.pem", &vehicle.key);
    let ticket = files.dir.path().join("ticket");

    let drive = async |with_ticket: bool| -> (Result<Handshake, Refusal>, String) {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let mut command = Command::new("openssl");
        command
            .args([
                "s_client",
                "-connect",
                &listener.local_addr().unwrap().to_string(),
            ])
            .args(["-tls1_3", "-curves", "P-521", "-CAfile", path(&root), "-ign_eof"])
            .args([
                "-cert",
                path(&cert),
                "-cert_chain",
                path(&subs),
                "-key",
                path(&key),
            ]);
        if with_ticket {
            command.args(["-sess_in", path(&ticket)]);
        } else {
            command.args(["-sess_out", path(&ticket)]);
        }
        let child = command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let serving = async {
            let (tcp, _) = listener.accept().await.unwrap();
            server.accept(tcp).await.map(|(_, handshake)| handshake)
        };
        let (served, output) = tokio::join!(serving, child.wait_with_output());
        let output = output.unwrap();
        let text = [output.stdout, output.stderr].concat();
        (served, String::from_utf8_lossy(&text).into_owned())
    };

    assert!(!drive(false).await.0.unwrap().resumed);
    assert!(
        drive(true).await.0.unwrap().resumed,
        "the ticket works while nothing is revoked"
    );

    let revoked = |certificate: &[u8]| {
        let certificate = X509::from_der(certificate).unwrap();
        let mut set = Revoked::default();
        let serial = certificate.serial_number().to_bn().unwrap().to_vec();
        set.insert(&certificate.issuer_name().to_der().unwrap(), &serial)
            .unwrap();
        set
    };
    // Somebody else's certificate: tickets are gone, the vehicle is not.
    server.set_revoked(revoked(&world.p256.leaf.chain[0])).unwrap();
    assert!(
        !drive(true).await.0.unwrap().resumed,
        "an old ticket was honoured"
    );
    drive(false).await.0.unwrap();
    server.set_revoked(revoked(&world.p256.leaf.chain[0])).unwrap();
    assert!(
        drive(true).await.0.unwrap().resumed,
        "the same set again ends nothing"
    );

    for (depth, said) in [(0, "own certificate"), (1, "certificate 1")] {
        server.set_revoked(revoked(&vehicle.chain[depth])).unwrap();
        let (served, text) = drive(true).await;
        let refusal = served.unwrap_err();
        assert_eq!(refusal.code, tls::CERTIFICATE_REVOKED, "{refusal}");
        assert!(refusal.message.contains(said), "{refusal}");
        assert!(
            text.contains("certificate revoked"),
            "the vehicle is told: {text}"
        );
    }
    server.set_revoked(Revoked::default()).unwrap();
    drive(false).await.0.unwrap();
}
