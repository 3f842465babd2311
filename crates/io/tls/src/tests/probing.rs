//! Looking at endpoints that nobody here trusts.

use std::process::Stdio;

use gridlatch_trust::Generation;
use gridlatch_vocab::catalogue::tls;
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;
use tokio::process::Command;

use super::world::{TIMEOUT, sockets, world};
use crate::{VehicleServer, look};

#[tokio::test]
async fn a_station_shows_its_chain_to_anybody_even_where_it_demands_a_certificate() {
    let world = world();
    for (generation, version, tree, demands) in [
        (Generation::Iso2, "TLSv1.2", &world.p256, false),
        (Generation::Iso20, "TLSv1.3", &world.p521, true),
    ] {
        let server = VehicleServer::new(world.server_config()).unwrap();
        let (near, far) = sockets().await;
        let (shown, served) = tokio::join!(
            look(near, generation, Some("192.0.2.1"), TIMEOUT),
            server.accept(far)
        );
        let shown = shown.unwrap();
        assert_eq!(
            (shown.version.as_str(), &shown.chain),
            (version, &tree.leaf.chain)
        );
        assert_eq!(shown.ended.is_some(), demands, "{:?}", shown.ended);
        assert_eq!(served.is_err(), demands);
    }
}

#[tokio::test]
async fn an_rsa_server_of_openssl_that_demands_a_certificate_in_tls_1_2_is_seen_as_it_is() {
    let dir = tempfile::tempdir().unwrap();
    let file = |name: &str| dir.path().join(name).display().to_string();
    let (key, cert, twice) = (file("k.pem"), file("c.pem"), file("t.pem"));
    let made = Command::new("openssl")
        .args([
            "req", "-x509", "-newkey", "rsa:1024", "-nodes", "-keyout", &key, "-out", &cert, "-subj",
            "/CN=rsa",
        ])
        .output()
        .await
        .unwrap();
    assert!(made.status.success(), "{made:?}");
    std::fs::copy(&cert, &twice).unwrap();
    let address = format!("127.0.0.1:{}", gridlatch_testkit::ports::tcp().unwrap());
    let mut child = Command::new("openssl")
        .args([
            "s_server",
            "-accept",
            &address,
            "-cert",
            &cert,
            "-key",
            &key,
            "-cert_chain",
            &twice,
        ])
        .args(["-quiet", "-tls1_2", "-Verify", "1", "-cipher", "ALL:@SECLEVEL=0"])
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    let tcp = loop {
        match TcpStream::connect(&address).await {
            Ok(tcp) => break tcp,
            Err(_) => {
                assert_eq!(child.try_wait().unwrap(), None, "s_server does not start");
                tokio::time::sleep(std::time::Duration::from_millis(20)).await;
            }
        }
    };
    let shown = look(tcp, Generation::Iso2, None, TIMEOUT).await.unwrap();
    assert_eq!(shown.chain.len(), 2, "the leaf is sent twice");
    assert_eq!(shown.chain[0], shown.chain[1]);
    assert!(shown.ended.is_some(), "it demanded a certificate");
    let tcp = TcpStream::connect(&address).await.unwrap();
    let refused = look(tcp, Generation::Iso20, None, TIMEOUT).await.unwrap_err();
    assert!(refused.message.contains("no certificate in TLS 1.3"), "{refused}");
}

#[tokio::test]
async fn an_endpoint_that_speaks_something_else_or_nothing_is_told_apart() {
    let (near, mut far) = sockets().await;
    let (refused, _) = tokio::join!(look(near, Generation::Iso2, None, TIMEOUT), async {
        far.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n").await
    });
    assert_eq!(refused.unwrap_err().code, tls::PEER_ALERT);
    let (near, _far) = sockets().await;
    let short = std::time::Duration::from_millis(200);
    let refused = look(near, Generation::Iso20, None, short).await.unwrap_err();
    assert_eq!(refused.code, tls::HANDSHAKE_TIMEOUT);
}
