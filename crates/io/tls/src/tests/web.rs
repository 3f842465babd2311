//! The web server: clients with, without and with a foreign certificate.

use std::pin::Pin;

use gridlatch_keys::KeyAlgorithm;
use gridlatch_trust::profile::Kind;
use gridlatch_trust::{Generation, Profile};
use gridlatch_vocab::catalogue::tls;
use openssl::ssl::{Ssl, SslContextBuilder, SslMethod, SslVersion};
use tokio_openssl::SslStream;

use super::world::{Node, SECC, TIMEOUT, Tree, VALID, issue, sockets, tree};
use crate::{
    Credential, Handshake, Refusal, TlsStream, WebServer, WebServerConfig, channel_bindings, context,
};

fn server_certificate(root: &Node) -> Credential {
    let profile = Profile::iso2(Kind::CsmsServer);
    let node = issue(profile, KeyAlgorithm::P256, "localhost", Some(root), VALID);
    Credential::new("web", vec![node.der], node.key)
}

/// A plain OpenSSL client, and its end of the stream when the handshake went well there.
async fn meet(
    server: &WebServer,
    version: SslVersion,
    identity: Option<&Credential>,
) -> (Result<(TlsStream, Handshake), Refusal>, Option<TlsStream>) {
    let mut builder = SslContextBuilder::new(SslMethod::tls_client()).unwrap();
    builder.set_min_proto_version(Some(version)).unwrap();
    builder.set_max_proto_version(Some(version)).unwrap();
    if let Some(identity) = identity {
        context::install(&mut builder, identity).unwrap();
    }
    let (near, far) = sockets().await;
    let mut client = SslStream::new(Ssl::new(&builder.build()).unwrap(), near).unwrap();
    let (accepted, connected) = tokio::join!(server.accept(far), Pin::new(&mut client).connect());
    (accepted, connected.is_ok().then_some(client))
}

#[tokio::test]
async fn a_certificate_is_optional_but_never_a_foreign_one() {
    let csms = issue(
        Profile::iso2(Kind::CsmsRoot),
        KeyAlgorithm::P256,
        "Root",
        None,
        (-300, 400),
    );
    let known: Vec<Tree> = [
        (Generation::Iso2, KeyAlgorithm::P256),
        (Generation::Iso20, KeyAlgorithm::P521),
        (Generation::Iso20, KeyAlgorithm::Ed448),
    ]
    .into_iter()
    .map(|(generation, algorithm)| tree(generation, algorithm, SECC, "Known", VALID))
    .collect();
    let stranger = tree(Generation::Iso2, KeyAlgorithm::P256, SECC, "Stranger", VALID);
    let expired = tree(Generation::Iso2, KeyAlgorithm::P256, SECC, "Known", (-20, -10));
    let roots = known.iter().chain([&expired]).map(|tree| tree.root.der.clone());
    let server = WebServer::new(WebServerConfig {
        credential: server_certificate(&csms),
        client_roots: roots.collect(),
        handshake_timeout: TIMEOUT,
    })
    .unwrap();
    for version in [SslVersion::TLS1_2, SslVersion::TLS1_3] {
        let (accepted, client) = meet(&server, version, None).await;
        let (stream, handshake) = accepted.unwrap();
        assert!(handshake.peer_chain.is_empty() && !handshake.resumed);
        assert!(client.is_some());
        assert_eq!(channel_bindings(&stream).len(), 1);
        for tree in &known {
            let (accepted, _) = meet(&server, version, Some(&tree.leaf)).await;
            assert_eq!(accepted.unwrap().1.peer_chain, tree.leaf.chain);
        }
        for (identity, code) in [
            (&stranger.leaf, tls::UNKNOWN_CA),
            (&expired.leaf, tls::CERTIFICATE_EXPIRED),
        ] {
            let (accepted, _) = meet(&server, version, Some(identity)).await;
            let refusal = accepted.unwrap_err();
            assert_eq!(refusal.code, code, "{refusal}");
            let names_nobody = !refusal.message.contains("TST");
            assert!(
                refusal.message.contains("the client's") && names_nobody,
                "{refusal}"
            );
        }
    }
}

#[tokio::test]
async fn both_ends_of_a_connection_compute_the_same_binding_and_no_other_connection_does() {
    let csms = issue(
        Profile::iso2(Kind::CsmsRoot),
        KeyAlgorithm::P256,
        "Root",
        None,
        (-300, 400),
    );
    let server = WebServer::new(WebServerConfig {
        credential: server_certificate(&csms),
        client_roots: Vec::new(),
        handshake_timeout: TIMEOUT,
    })
    .unwrap();
    let mut seen = Vec::new();
    for version in [
        SslVersion::TLS1_2,
        SslVersion::TLS1_3,
        SslVersion::TLS1_2,
        SslVersion::TLS1_3,
    ] {
        let (accepted, client) = meet(&server, version, None).await;
        let client = client.unwrap();
        let bindings = channel_bindings(&accepted.unwrap().0);
        let own = if version == SslVersion::TLS1_3 {
            channel_bindings(&client)
        } else {
            let mut finished = [0; 64];
            let length = client.ssl().finished(&mut finished);
            vec![finished[..length].to_vec()]
        };
        assert_eq!(bindings, own, "{version:?}");
        assert!(!seen.contains(&bindings));
        seen.push(bindings);
    }
}

#[tokio::test]
async fn another_certificate_is_shown_from_the_next_connection_on() {
    let csms = issue(
        Profile::iso2(Kind::CsmsRoot),
        KeyAlgorithm::P256,
        "Root",
        None,
        (-300, 400),
    );
    let (first, second) = (server_certificate(&csms), server_certificate(&csms));
    let server = WebServer::new(WebServerConfig {
        credential: first.clone(),
        client_roots: Vec::new(),
        handshake_timeout: TIMEOUT,
    })
    .unwrap();
    let shown = async |server: &WebServer| {
        let (_accepted, client) = meet(server, SslVersion::TLS1_3, None).await;
        let leaf = client.unwrap().ssl().peer_certificate().unwrap();
        leaf.to_der().unwrap()
    };
    assert_eq!(shown(&server).await, first.chain[0]);
    let wrong = Credential::new("wrong", second.chain.clone(), first.key.clone());
    assert!(server.replace(wrong).is_err());
    assert_eq!(shown(&server).await, first.chain[0]);
    server.replace(second.clone()).unwrap();
    assert_eq!(shown(&server).await, second.chain[0]);
}
