//! OpenSSL's command line as the other side.

use std::process::Stdio;

use gridlatch_trust::Generation;
use gridlatch_vocab::catalogue::tls;
use tokio::net::{TcpListener, TcpStream};
use tokio::process::Command;

use super::world::{Files, World, world};
use crate::{Handshake, Refusal, VehicleClient, VehicleServer, VehicleServerConfig};

/// Runs `openssl s_client` against our listener; what we made of it and what it printed.
pub(super) async fn s_client(
    config: VehicleServerConfig,
    args: &[&str],
) -> (Result<Handshake, Refusal>, String) {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let server = VehicleServer::new(config).unwrap();
    let child = Command::new("openssl")
        .arg("s_client")
        .args(["-connect", &listener.local_addr().unwrap().to_string()])
        .args(args)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    let serving = async {
        let (tcp, _) = listener.accept().await.unwrap();
        // Dropping the stream at once ends the client as well.
        server.accept(tcp).await.map(|(_, handshake)| handshake)
    };
    let (served, output) = tokio::join!(serving, child.wait_with_output());
    let output = output.unwrap();
    let text = [output.stdout, output.stderr].concat();
    (served, String::from_utf8_lossy(&text).into_owned())
}

pub(super) fn path(path: &std::path::Path) -> &str {
    path.to_str().unwrap()
}

#[tokio::test]
async fn s_client_as_a_vehicle_of_iso_15118_2() {
    let world = world();
    let files = Files::new();
    let root = files.certificates("root.pem", std::slice::from_ref(&world.p256.root.der));
    let base = [
        "-tls1_2",
        "-CAfile",
        path(&root),
        "-verify_return_error",
        "-curves",
        "P-256",
    ];
    for (suites, suite, legacy) in [
        ("ECDHE-ECDSA-AES128-SHA256", "ECDHE-ECDSA-AES128-SHA256", true),
        (
            "ECDHE-ECDSA-AES128-SHA256:ECDHE-ECDSA-AES128-GCM-SHA256",
            "ECDHE-ECDSA-AES128-GCM-SHA256",
            false,
        ),
    ] {
        // Josev's server name, which other stacks refuse.
        let args = [&base[..], &["-cipher", suites, "-servername", "fe80::1%eth0"]].concat();
        let (served, text) = s_client(world.server_config(), &args).await;
        let handshake = served.unwrap_or_else(|refusal| panic!("{refusal}\n{text}"));
        assert_eq!((handshake.suite.as_str(), handshake.legacy), (suite, legacy));
        assert!(handshake.peer_chain.is_empty());
        assert!(text.contains("Verify return code: 0 (ok)"), "{text}");
        assert!(
            !text.contains("Acceptable client certificate CA names"),
            "a TLS 1.2 vehicle is not asked: {text}"
        );
    }
    let mut strict = world.server_config();
    strict.allow_legacy_cbc = false;
    let args = [&base[..], &["-cipher", "ECDHE-ECDSA-AES128-SHA256"]].concat();
    let refusal = s_client(strict, &args).await.0.unwrap_err();
    assert_eq!(refusal.code, tls::NO_COMMON_SUITE);
    assert!(refusal.message.contains("C023"), "{refusal}");
}

pub(super) async fn vehicle20(world: &World, more: &[&str]) -> (Result<Handshake, Refusal>, String) {
    let files = Files::new();
    let root = files.certificates(
        "root.pem",
        &[
            world.p521.root.der.clone(),
            world.p256.root.der.clone(),
            world.ed448.root.der.clone(),
        ],
    );
    let cert = files.certificates("leaf.pem", &world.vehicle.leaf.chain[..1]);
    let chain = files.certificates("subs.pem", &world.vehicle.leaf.chain[1..]);
    let key = files.key("key.pem", &world.vehicle.leaf.key);
    let mut config = world.server_config();
    config.credentials.push(world.ed448.leaf.clone());
    let args = [
        &[
            "-tls1_3",
            "-CAfile",
            path(&root),
            "-verify_return_error",
            "-cert",
            path(&cert),
            "-cert_chain",
            path(&chain),
            "-key",
            path(&key),
        ],
        more,
    ]
    .concat();
    s_client(config, &args).await
}

#[tokio::test]
async fn s_client_as_a_vehicle_of_iso_15118_20() {
    let world = world();
    for (more, group, shown) in [
        (&["-curves", "P-521"][..], "secp521r1", &world.p521),
        (
            &["-curves", "X448", "-sigalgs", "ed448:ecdsa_secp521r1_sha512"],
            "X448",
            &world.ed448,
        ),
        // Josev's offer: every signature scheme, but only secp256r1.
        (&["-curves", "P-256"], "prime256v1", &world.p256),
    ] {
        let (served, text) = vehicle20(&world, more).await;
        let handshake = served.unwrap_or_else(|refusal| panic!("{refusal}\n{text}"));
        assert_eq!(handshake.own_label.as_ref(), Some(&shown.leaf.label), "{more:?}");
        assert_eq!(handshake.group.as_deref(), Some(group));
        assert_eq!(handshake.version, "TLSv1.3");
        assert_eq!(handshake.peer_chain, world.vehicle.leaf.chain);
        assert!(text.contains("Verify return code: 0 (ok)"), "{text}");
    }
    let (served, _) = vehicle20(&world, &["-curves", "X25519"]).await;
    assert_eq!(served.unwrap_err().code, tls::NO_COMMON_SUITE);
    let (served, _) = vehicle20(&world, &["-sigalgs", "rsa_pss_rsae_sha256"]).await;
    assert_eq!(served.unwrap_err().code, tls::NO_COMMON_SUITE);
}

#[tokio::test]
async fn s_server_as_a_station_of_either_generation() {
    let world = world();
    let files = Files::new();
    for (generation, tree, args, suite) in [
        (
            Generation::Iso2,
            &world.p256,
            &["-tls1_2", "-cipher", "ECDHE-ECDSA-AES128-SHA256"][..],
            "ECDHE-ECDSA-AES128-SHA256",
        ),
        (
            Generation::Iso20,
            &world.p521,
            &["-tls1_3", "-Verify", "4"],
            "TLS_AES_256_GCM_SHA384",
        ),
    ] {
        let port = gridlatch_testkit::ports::tcp().unwrap();
        let _child = Command::new("openssl")
            .args([
                "s_server",
                "-accept",
                &format!("127.0.0.1:{port}"),
                "-quiet",
                "-verify_return_error",
            ])
            .args([
                "-cert",
                path(&files.certificates("leaf.pem", &tree.leaf.chain[..1])),
            ])
            .args([
                "-cert_chain",
                path(&files.certificates("subs.pem", &tree.leaf.chain[1..])),
            ])
            .args(["-key", path(&files.key("key.pem", &tree.leaf.key))])
            .args([
                "-CAfile",
                path(&files.certificates("oem.pem", std::slice::from_ref(&world.vehicle.root.der))),
            ])
            .args(args)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let client = VehicleClient::new(world.client_config(generation)).unwrap();
        let mut tcp = TcpStream::connect(("127.0.0.1", port)).await;
        for _ in 0..200 {
            if tcp.is_ok() {
                break;
            }
            tokio::time::sleep(std::time::Duration::from_millis(50)).await;
            tcp = TcpStream::connect(("127.0.0.1", port)).await;
        }
        let (_, handshake) = client.connect(tcp.unwrap(), None).await.unwrap();
        assert_eq!(handshake.suite, suite);
        assert_eq!(handshake.peer_chain, tree.leaf.chain);
    }
}
