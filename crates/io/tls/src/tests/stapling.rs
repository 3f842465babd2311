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

/// In TLS 1.3 each certificate of the chain can have an answer of its own. OpenSSL can since 3.6: there the vehicle gets
/// three, and GnuTLS and OpenSSL's own tool of an older version shake hands all the same; below, the leaf's alone.
#[tokio::test]
async fn every_certificate_of_the_chain_has_its_answer_where_openssl_can() {
    need!(openssl, gnutls);
    let world = world();
    let files = Files::new();
    let tree = &world.p521;
    let issuers = [&tree.issuer, &tree.sub1, &tree.root];
    let staples: Vec<Vec<u8>> = tree
        .leaf
        .chain
        .iter()
        .zip(issuers)
        .map(|(one, issuer)| files.ocsp(issuer, one, false))
        .collect();
    let server = VehicleServer::new(world.server_config()).unwrap();
    for (one, staple) in tree.leaf.chain.iter().zip(&staples) {
        assert!(server.set_staple(one, Some(staple)).unwrap());
    }
    // What is set survives a change of the credentials.
    server
        .replace_credentials(&world.server_config().credentials)
        .unwrap();
    let client = VehicleClient::new(world.client_config(Generation::Iso20)).unwrap();
    let (near, far) = sockets().await;
    let (served, connected) = tokio::join!(server.accept(far), client.connect(near, None));
    served.unwrap();
    let handshake = connected.unwrap().1;
    assert_eq!(handshake.staple.as_ref(), staples.first());
    let more = if server.staples_whole_chain() {
        &staples[1..]
    } else {
        &[]
    };
    assert_eq!(handshake.more_staples, more);
    // Without one about the leaf, those about the sub-CAs are still sent.
    server.set_staple(&tree.leaf.chain[0], None).unwrap();
    let (near, far) = sockets().await;
    let (_, connected) = tokio::join!(server.accept(far), client.connect(near, None));
    let handshake = connected.unwrap().1;
    let got: Vec<_> = handshake
        .staple
        .into_iter()
        .chain(handshake.more_staples)
        .collect();
    assert_eq!(got, more);
    server.set_staple(&tree.leaf.chain[0], Some(&staples[0])).unwrap();

    let vehicle = &world.vehicle.leaf;
    let cert = files.certificates("vehicle.pem", &vehicle.chain);
    let key = files.key("vehicle.key", &vehicle.key);
    let root = files.certificates("root.pem", std::slice::from_ref(&tree.root.der));
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let port = listener.local_addr().unwrap().port().to_string();
    let at = format!("127.0.0.1:{port}");
    let gnutls = [
        "gnutls-cli",
        "--port",
        &port,
        "127.0.0.1",
        "--no-ca-verification",
        "--debug",
        "4",
        "--priority",
        "NORMAL:-VERS-ALL:+VERS-TLS1.3:-GROUP-ALL:+GROUP-SECP521R1",
        "--x509certfile",
        path(&cert),
        "--x509keyfile",
        path(&key),
    ];
    let s_client = [
        "openssl",
        "s_client",
        "-connect",
        &at,
        "-tls1_3",
        "-curves",
        "P-521",
        "-status",
        "-CAfile",
        path(&root),
        "-verify_return_error",
        "-cert",
        path(&cert),
        "-cert_chain",
        path(&cert),
        "-key",
        path(&key),
    ];
    for command in [&gnutls[..], &s_client[..]] {
        let child = Command::new(command[0])
            .args(&command[1..])
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
        served.unwrap_or_else(|refusal| panic!("{command:?}: {refusal}\n{text}"));
        if command[0] == "gnutls-cli" {
            for place in 0..=more.len() {
                assert!(
                    text.contains(&format!("Found OCSP response on cert {place}")),
                    "{text}"
                );
            }
        } else {
            assert!(text.contains("Cert Status: good"), "{text}");
            assert!(text.contains("Verify return code: 0 (ok)"), "{text}");
        }
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
        // Nonsense is carried as it is, since judging it is the vehicle's business; from 3.6 on OpenSSL leaves it out.
        let carried = staple.filter(|_| !crate::context::whole_chain());
        assert_eq!(connected.unwrap().1.staple, carried);
    }
    // Without touching the credentials, as a refresh does it; what is set survives a change of the credentials.
    let leaf = world.p256.leaf.chain[0].clone();
    world.p256.leaf.staple = None;
    let whole = Files::new().ocsp(&world.p256.issuer, &leaf, false);
    assert!(server.set_staple(&leaf, Some(&whole)).unwrap());
    assert!(!server.set_staple(&world.p521.leaf.chain[0], None).unwrap());
    server
        .replace_credentials(&[world.p256.leaf.clone(), world.p521.leaf.clone()])
        .unwrap();
    assert_eq!(server.chains().len(), 2);
    let (near, far) = sockets().await;
    let (_, connected) = tokio::join!(server.accept(far), client.connect(near, None));
    assert_eq!(connected.unwrap().1.staple, Some(whole));
    for bad in [Vec::new(), vec![0; 16 * 1024 + 1]] {
        assert!(server.set_staple(&leaf, Some(&bad)).is_err());
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

/// Why staples for sub-CAs cannot be added from outside to an OpenSSL that lacks them: the extension is taken. That of
/// RFC 6961 is free, but its answer is a message of its own, which no extension can send.
#[test]
fn openssl_keeps_the_extension_of_staples_to_itself() {
    use openssl::ssl::{ExtensionContext, SslContext, SslMethod};
    let add = |kind| {
        let mut builder = SslContext::builder(SslMethod::tls_server()).unwrap();
        builder.add_custom_ext(
            kind,
            ExtensionContext::CLIENT_HELLO | ExtensionContext::TLS1_3_CERTIFICATE,
            |_, _, _| Ok(Some(Vec::new())),
            |_, _, _, _| Ok(()),
        )
    };
    let (status_request, status_request_v2) = (5, 17);
    assert!(add(status_request).is_err());
    assert!(add(status_request_v2).is_ok());
}
