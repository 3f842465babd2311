//! Peers that do not speak TLS, or not well, or not in time.

use std::time::Duration;

use gridlatch_trust::Generation;
use gridlatch_vocab::catalogue::tls;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use super::world::{meet, sockets, world};
use crate::VehicleServer;

#[tokio::test]
async fn bytes_that_are_not_tls_get_a_code_and_leave_the_listener_working() {
    let world = world();
    let server = VehicleServer::new(world.server_config()).unwrap();
    let hello = {
        // A real ClientHello, to be cut and bent.
        let (near, mut far) = sockets().await;
        let client = crate::VehicleClient::new(world.client_config(Generation::Iso2)).unwrap();
        let dialling = tokio::spawn(async move { client.connect(near, None).await });
        let mut hello = vec![0; 2048];
        let length = far.read(&mut hello).await.unwrap();
        hello.truncate(length);
        dialling.abort();
        hello
    };
    let mut bent = hello.clone();
    bent[43] = 0xFF; // the session id's length
    let mut oversized = vec![0x16, 0x03, 0x01, 0xFF, 0xFF];
    oversized.resize(70_000, 0);
    for (name, bytes, codes) in [
        (
            "plain V2GTP",
            b"\x01\xFE\x80\x01\x00\x00\x00\x00".to_vec(),
            &[tls::NOT_TLS][..],
        ),
        ("HTTP", b"GET / HTTP/1.1\r\n\r\n".to_vec(), &[tls::NOT_TLS]),
        ("zeros", vec![0; 64], &[tls::NOT_TLS]),
        ("nothing", Vec::new(), &[tls::CONNECTION_LOST]),
        (
            "half a hello",
            hello[..hello.len() / 2].to_vec(),
            &[tls::CONNECTION_LOST],
        ),
        ("a bent hello", bent, &[tls::MALFORMED]),
        ("an oversized record", oversized, &[tls::MALFORMED, tls::NOT_TLS]),
        (
            "a record of noise",
            [&[0x16, 3, 1, 0, 64][..], &[0xA5; 64]].concat(),
            &[tls::MALFORMED],
        ),
    ] {
        let (mut near, far) = sockets().await;
        let sending = async {
            // The server may hang up in the middle.
            let _ = near.write_all(&bytes).await;
            let _ = near.shutdown().await;
            let mut rest = Vec::new();
            let _ = near.read_to_end(&mut rest).await;
        };
        let (accepted, ()) = tokio::join!(server.accept(far), sending);
        let refusal = accepted.map(|_| ()).unwrap_err();
        assert!(codes.contains(&refusal.code), "{name}: {refusal}");
    }
    for octet in 5..hello.len() {
        let mut bent = hello.clone();
        bent[octet] ^= 0xFF;
        let (mut near, far) = sockets().await;
        let sending = async {
            let _ = near.write_all(&bent).await;
            let _ = near.shutdown().await;
            let mut rest = Vec::new();
            let _ = near.read_to_end(&mut rest).await;
        };
        let (accepted, ()) = tokio::join!(server.accept(far), sending);
        assert!(
            accepted.is_err(),
            "nobody finishes a handshake with octet {octet} bent"
        );
    }
    let met = meet(world.server_config(), world.client_config(Generation::Iso2)).await;
    met.client.unwrap();
    met.server.unwrap();
}

#[tokio::test]
async fn a_slow_handshake_is_cut_off_in_its_time() {
    let world = world();
    let mut config = world.server_config();
    config.handshake_timeout = Duration::from_millis(300);
    let server = VehicleServer::new(config).unwrap();
    for silent in [true, false] {
        let (mut near, far) = sockets().await;
        let started = std::time::Instant::now();
        let dripping = async {
            if silent {
                tokio::time::sleep(Duration::from_secs(30)).await;
            }
            for octet in [0x16, 3, 1, 2, 0].into_iter().cycle() {
                if near.write_u8(octet).await.is_err() {
                    break;
                }
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        };
        let refusal = tokio::select! {
            accepted = server.accept(far) => accepted.map(|_| ()).unwrap_err(),
            () = dripping => unreachable!("the server gives up first"),
        };
        // One octet per record is either too slow or, once five are there, not a record.
        assert!(refusal.code == tls::HANDSHAKE_TIMEOUT, "{refusal}");
        assert!(started.elapsed() < Duration::from_secs(10));
    }
}
