//! Evil certificates in handshakes: at the car from a hand-made TLS 1.2 server, whose certificates nobody reads before
//! the car does; at the station from a TLS 1.3 client made of OpenSSL, which sends what it can load.

use std::sync::Arc;

use gridlatch_keys::{FileKey, KeyAlgorithm, Signer};
use gridlatch_testkit::evil::{self, Evil, Template};
use gridlatch_trust::Generation;
use openssl::ssl::{Ssl, SslContext, SslMethod, SslVersion};
use openssl::x509::X509;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use super::world::{TIMEOUT, World, meet, sockets, world};
use crate::context::MAX_CHAIN_OCTETS;
use crate::{VehicleClient, VehicleServer};

fn signer(key: &FileKey) -> impl Fn(&[u8]) -> Vec<u8> + '_ {
    |message| key.sign(message).unwrap()
}

/// A leaf under the world's sub-CA for stations, and what bends it.
fn station(world: &World, key: &FileKey) -> Template {
    let name = X509::from_der(&world.p256.issuer.der)
        .unwrap()
        .subject_name()
        .to_der()
        .unwrap();
    Template::leaf(&name, "DE*TST*E1", Some("CPO"), key.public_key_der(), 0x88)
}

fn length(value: usize) -> [u8; 3] {
    [(value >> 16) as u8, (value >> 8) as u8, value as u8]
}

/// `handshake(type, body)` in records of at most 16 KiB.
fn records(kind: u8, body: &[u8]) -> Vec<u8> {
    let message = [&[kind], &length(body.len())[..], body].concat();
    message
        .chunks(16 * 1024)
        .flat_map(|part| {
            let size = u16::try_from(part.len()).unwrap().to_be_bytes();
            [&[22, 3, 3], &size[..], part].concat()
        })
        .collect()
}

/// The server's first flight of TLS 1.2 with that chain, up to its certificates.
async fn serve(mut tcp: TcpStream, chain: &[Vec<u8>]) {
    let mut hello = [0; 4096];
    let _ = tcp.read(&mut hello).await;
    let session: &[u8] = &[];
    // Version, random, no session, ECDHE-ECDSA-AES128-GCM-SHA256, no compression, renegotiation_info.
    let server_hello = [
        &[3, 3][..],
        &[7; 32],
        &[0],
        session,
        &[0xC0, 0x2B],
        &[0],
        &[0, 5, 0xFF, 1, 0, 1, 0],
    ]
    .concat();
    let list: Vec<u8> = chain
        .iter()
        .flat_map(|der| [&length(der.len())[..], der].concat())
        .collect();
    let body = [&length(list.len())[..], &list].concat();
    let mut flight = records(2, &server_hello);
    flight.extend(records(11, &body));
    // ServerHelloDone without a key: a car that got this far has believed the chain.
    flight.extend(records(14, &[]));
    let _ = tcp.write_all(&flight).await;
    let mut rest = Vec::new();
    let _ = tcp.read_to_end(&mut rest).await;
}

#[tokio::test]
async fn a_car_refuses_every_defect_in_a_stations_chain_with_a_code() {
    let world = world();
    let key = FileKey::generate(KeyAlgorithm::P256).unwrap();
    let honest = station(&world, &key);
    let by_sub = signer(&world.p256.issuer.key);
    let client = VehicleClient::new(world.client_config(Generation::Iso2)).unwrap();
    let above = &world.p256.leaf.chain[1..];
    let mut cases = evil::certificates(&honest, &by_sub);
    let der = honest.signed(&by_sub);
    cases.push(Evil { defect: "", der });
    let mut believed = Vec::new();
    for Evil { defect, der } in cases {
        let (near, far) = sockets().await;
        let chain = [&[der][..], above].concat();
        let (refused, ()) = tokio::join!(client.connect(near, None), serve(far, &chain));
        let refusal = refused.map(|_| ()).unwrap_err();
        println!("{defect:?}: {refusal}");
        // A chain that is believed is followed by what is missing in this handshake.
        if refusal.to_string().contains("unexpected message") {
            believed.push(defect);
        } else {
            let code = refusal.code.as_str();
            assert!(code.starts_with("tls.") || code.starts_with("pki."), "{refusal}");
        }
    }
    // The outermost length is not signed, and says nothing when it is written the long way.
    assert_eq!(believed, ["an indefinite length (BER)", ""]);
    // A hundred certificates are more octets than are read.
    let ladder = evil::ladder("Step 0", &honest.issuer, key.public_key_der(), 100, &signer(&key));
    assert!(ladder.iter().map(Vec::len).sum::<usize>() > MAX_CHAIN_OCTETS as usize);
    let (near, far) = sockets().await;
    let (refused, ()) = tokio::join!(client.connect(near, None), serve(far, &ladder));
    println!("a ladder: {}", refused.map(|_| ()).unwrap_err());
    let met = meet(world.server_config(), world.client_config(Generation::Iso2)).await;
    met.client.unwrap();
}

/// A TLS 1.3 client that shows `chain`, with `key`; what cannot be loaded cannot be sent.
async fn show(tcp: TcpStream, chain: &[Vec<u8>], key: &FileKey) -> Option<()> {
    let mut context = SslContext::builder(SslMethod::tls_client()).ok()?;
    context.set_min_proto_version(Some(SslVersion::TLS1_3)).ok()?;
    let leaf = X509::from_der(&chain[0]).ok()?;
    context.set_certificate(&leaf).ok()?;
    let _ = context.set_private_key(key.pkey());
    for above in &chain[1..] {
        context.add_extra_chain_cert(X509::from_der(above).ok()?).ok()?;
    }
    let ssl = Ssl::new(&context.build()).ok()?;
    let mut stream = tokio_openssl::SslStream::new(ssl, tcp).ok()?;
    let _ = std::pin::Pin::new(&mut stream).connect().await;
    let mut rest = Vec::new();
    let _ = stream.read_to_end(&mut rest).await;
    Some(())
}

#[tokio::test]
async fn a_station_refuses_every_defect_in_a_cars_chain_with_a_code_and_serves_the_next_car() {
    let world = world();
    let (key, ca) = (
        Arc::new(FileKey::generate(KeyAlgorithm::P256).unwrap()),
        FileKey::generate(KeyAlgorithm::P256).unwrap(),
    );
    let root_name = evil::name(b"Evil OEM Root", None);
    let root = Template::ca(&root_name, &root_name, ca.public_key_der(), 1, None).signed(&signer(&ca));
    let mut config = world.server_config();
    config.vehicle_roots.push(root);
    let server = VehicleServer::new(config).unwrap();
    let honest = Template::leaf(&root_name, "TSTV1234567890ABC", None, key.public_key_der(), 0x80);
    let by_root = signer(&ca);
    let (mut sent, mut believed) = (0, Vec::new());
    for Evil { defect, der } in evil::certificates(&honest, &by_root) {
        let (near, far) = sockets().await;
        let chain = [der];
        // A stream that was accepted is dropped at once: the other side waits for its end.
        let accepting = async {
            server
                .accept(far)
                .await
                .map(|(_, handshake)| handshake.peer_chain)
        };
        let both = async { tokio::join!(accepting, show(near, &chain, &key)) };
        let (accepted, shown) = tokio::time::timeout(TIMEOUT, both).await.expect("it ends");
        sent += usize::from(shown.is_some());
        match accepted {
            Ok(_) => believed.push(defect),
            Err(refusal) => println!("{defect}: {refusal}"),
        }
    }
    // Of these OpenSSL's client sends the certificate without the defect.
    assert_eq!(believed, ["octets behind the end", "an indefinite length (BER)"]);
    assert!(sent > 15, "{sent} could be sent");
    let met = meet(world.server_config(), world.client_config(Generation::Iso20)).await;
    met.server.unwrap();
}
