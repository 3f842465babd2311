//! What the issuer says of the station's certificate travels with it.

use std::process::Stdio;

use gridlatch_testkit::need;
use gridlatch_trust::Generation;
use tokio::net::TcpListener;
use tokio::process::Command;

use super::foreign::{path, s_client, vehicle20};
use super::world::{Files, meet, sockets, world};
use crate::{TlsError, VehicleClient, VehicleServer};

#[tokio::test]
async fn a_vehicle_gets_the_staple_of_the_certificate_it_is_shown() {
    need!(openssl);
    let mut world = world();
    let files = Files::new();
    for tree in [&mut world.p256, &mut world.p521] {
        tree.leaf.staple = Some(files.ocsp(&tree.issuer, &tree.leaf.chain[0], false));
    }
    assert_ne!(world.p256.leaf.staple, world.p521.leaf.staple);
    for (generation, tree) in [(Generation::Iso2, &world.p256), (Generation::Iso20, &world.p521)] {
        let met = meet(world.server_config(), world.client_config(generation)).await;
        assert_eq!(met.client.unwrap().1.staple, tree.leaf.staple, "{generation}");
        assert_eq!(met.server.unwrap().1.staple, None);
    }
}

#[tokio::test]
async fn staples_are_replaced_while_the_station_runs_and_may_be_missing() {
    let mut world = world();
    let server = VehicleServer::new(world.server_config()).unwrap();
    let client = VehicleClient::new(world.client_config(Generation::Iso2)).unwrap();
    for staple in [None, Some(vec![0x30, 1]), Some(vec![0x30, 2])] {
        world.p256.leaf.staple.clone_from(&staple);
        server.replace_credentials(&[world.p256.leaf.clone()]).unwrap();
        let (near, far) = sockets().await;
        let (served, connected) = tokio::join!(server.accept(far), client.connect(near, None));
        served.unwrap();
        // Even nonsense is carried as it is: judging it is the vehicle's business.
        assert_eq!(connected.unwrap().1.staple, staple);
    }
    // Without touching the credentials, as a refresh does it; what is set survives a change of the credentials.
    let leaf = world.p256.leaf.chain[0].clone();
    world.p256.leaf.staple = None;
    assert!(server.set_staple(&leaf, Some(vec![0x30, 3])).unwrap());
    assert!(!server.set_staple(&world.p521.leaf.chain[0], None).unwrap());
    server
        .replace_credentials(&[world.p256.leaf.clone(), world.p521.leaf.clone()])
        .unwrap();
    assert_eq!(server.chains().len(), 2);
    let (near, far) = sockets().await;
    let (_, connected) = tokio::join!(server.accept(far), client.connect(near, None));
    assert_eq!(connected.unwrap().1.staple, Some(vec![0x30, 3]));
    for bad in [Vec::new(), vec![0; 16 * 1024 + 1]] {
        assert!(server.set_staple(&leaf, Some(bad.clone())).is_err());
        world.p256.leaf.staple = Some(bad);
        let refused = server.replace_credentials(&[world.p256.leaf.clone()]);
        assert!(matches!(refused, Err(TlsError::Credential { .. })));
    }
}

#[tokio::test]
async fn openssl_reads_the_staple_in_both_versions() {
    need!(openssl);
    let mut world = world();
    let files = Files::new();
    for tree in [&mut world.p256, &mut world.p521] {
        tree.leaf.staple = Some(files.ocsp(&tree.issuer, &tree.leaf.chain[0], false));
    }
    let root = files.certificates("root.pem", std::slice::from_ref(&world.p256.root.der));
    let args = [
        "-tls1_2",
        "-CAfile",
        path(&root),
        "-verify_return_error",
        "-status",
    ];
    let (served, text) = s_client(world.server_config(), &args).await;
    served.unwrap_or_else(|refusal| panic!("{refusal}\n{text}"));
    let good = |text: &str| {
        assert!(text.contains("OCSP Response Status: successful"), "{text}");
        assert!(text.contains("Cert Status: good"), "{text}");
        assert!(text.contains("Verify return code: 0 (ok)"), "{text}");
    };
    good(&text);
    let (served, text) = vehicle20(&world, &["-curves", "P-521", "-status"]).await;
    served.unwrap_or_else(|refusal| panic!("{refusal}\n{text}"));
    good(&text);
}

/// GnuTLS takes the staple from the handshake, and its own tool judges it. (Judging it inside the handshake needs a host
/// name in the certificate, which a station's has not.)
#[tokio::test]
async fn gnutls_judges_the_staple_in_both_versions() {
    need!(gnutls, openssl);
    let mut world = world();
    let files = Files::new();
    for revoked in [false, true] {
        for tree in [&mut world.p256, &mut world.p521] {
            tree.leaf.staple = Some(files.ocsp(&tree.issuer, &tree.leaf.chain[0], revoked));
        }
        let vehicle = &world.vehicle.leaf;
        let cert = files.certificates("vehicle.pem", &vehicle.chain);
        let key = files.key("vehicle.key", &vehicle.key);
        for (priority, tree) in [
            (
                "NORMAL:-VERS-ALL:+VERS-TLS1.2:+AES-128-CBC:+SHA256:-GROUP-ALL:+GROUP-SECP256R1",
                &world.p256,
            ),
            (
                "NORMAL:-VERS-ALL:+VERS-TLS1.3:-GROUP-ALL:+GROUP-SECP521R1",
                &world.p521,
            ),
        ] {
            let saved = files.dir.path().join("saved.ocsp");
            let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
            let server = VehicleServer::new(world.server_config()).unwrap();
            let child = Command::new("gnutls-cli")
                .args([
                    "--port",
                    &listener.local_addr().unwrap().port().to_string(),
                    "127.0.0.1",
                ])
                .args(["--no-ca-verification", "--priority", priority])
                .args(["--x509certfile", path(&cert), "--x509keyfile", path(&key)])
                .args(["--save-ocsp", path(&saved)])
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
            let text = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
            served.unwrap_or_else(|refusal| panic!("{priority}: {refusal}\n{text}"));
            assert_eq!(
                std::fs::read(&saved).unwrap(),
                *tree.leaf.staple.as_ref().unwrap(),
                "{text}"
            );
            let issuer = files.certificates("issuer.pem", std::slice::from_ref(&tree.issuer.der));
            let judged = Command::new("ocsptool")
                .args([
                    "--verify-response",
                    "--load-trust",
                    path(&issuer),
                    "--infile",
                    path(&saved),
                ])
                .output()
                .await
                .unwrap();
            let text = String::from_utf8_lossy(&judged.stdout).into_owned();
            assert!(
                text.contains("Verifying OCSP Response: Success"),
                "{priority}: {text}"
            );
            let status = if revoked {
                "Certificate Status: revoked"
            } else {
                "Certificate Status: good"
            };
            assert!(text.contains(status), "{priority}: {text}");
        }
    }
}
