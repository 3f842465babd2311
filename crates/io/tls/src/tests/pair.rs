//! Our vehicle against our station, and our charging station against our platform.

use gridlatch_keys::KeyAlgorithm;
use gridlatch_trust::profile::Kind;
use gridlatch_trust::{Generation, Profile};
use gridlatch_vocab::catalogue::tls;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use super::world::{SECC, TIMEOUT, VALID, VEHICLE, issue, meet, sockets, tree, world};
use crate::{
    Credential, PlatformClient, PlatformClientConfig, PlatformServer, PlatformServerConfig, refusal_of,
};

#[tokio::test]
async fn both_generations_meet_on_one_listener_and_talk() {
    let world = world();
    for (generation, version, suite, group, shown, certificates) in [
        (
            Generation::Iso2,
            "TLSv1.2",
            "ECDHE-ECDSA-AES128-GCM-SHA256",
            "prime256v1",
            &world.p256,
            0,
        ),
        (
            Generation::Iso20,
            "TLSv1.3",
            "TLS_AES_256_GCM_SHA384",
            "secp521r1",
            &world.p521,
            3,
        ),
    ] {
        let met = meet(world.server_config(), world.client_config(generation)).await;
        let (mut near, client) = met.client.unwrap();
        let (mut far, server) = met.server.unwrap();
        assert_eq!((client.version.as_str(), client.suite.as_str()), (version, suite));
        assert_eq!((server.version.as_str(), server.suite.as_str()), (version, suite));
        assert_eq!(server.group.as_deref(), Some(group));
        assert_eq!(server.own_label.as_deref(), Some(shown.leaf.label.as_str()));
        assert_eq!(client.peer_chain, shown.leaf.chain);
        assert_eq!(
            server.peer_chain.len(),
            certificates,
            "only a vehicle of -20 shows certificates"
        );
        assert!(!server.legacy && !server.resumed);
        near.write_all(b"ping").await.unwrap();
        let mut heard = [0; 4];
        far.read_exact(&mut heard).await.unwrap();
        assert_eq!(&heard, b"ping");
    }
}

#[tokio::test]
async fn ed448_is_shown_to_a_vehicle_that_trusts_only_its_root() {
    let world = world();
    let mut server = world.server_config();
    server.credentials.push(world.ed448.leaf.clone());
    let mut client = world.client_config(Generation::Iso20);
    client.roots = vec![world.ed448.root.der.clone()];
    let met = meet(server, client).await;
    met.client.unwrap();
    assert_eq!(met.server.unwrap().1.own_label, Some(world.ed448.leaf.label));
}

#[tokio::test]
async fn the_second_root_is_chosen_by_what_the_vehicle_trusts() {
    let world = world();
    let other = tree(Generation::Iso2, KeyAlgorithm::P256, SECC, "B", VALID);
    let mut server = world.server_config();
    server.credentials.push(other.leaf.clone());
    let mut client = world.client_config(Generation::Iso2);
    client.roots = vec![other.root.der.clone()];
    let met = meet(server, client).await;
    met.client.unwrap();
    assert_eq!(met.server.unwrap().1.own_label, Some(other.leaf.label));
}

#[tokio::test]
async fn a_wrong_root_is_named_on_both_sides() {
    let world = world();
    let other = tree(Generation::Iso2, KeyAlgorithm::P256, SECC, "B", VALID);
    for generation in [Generation::Iso2, Generation::Iso20] {
        let mut client = world.client_config(generation);
        client.roots = vec![other.root.der.clone()];
        let met = meet(world.server_config(), client).await;
        let (client, server) = (met.client.unwrap_err(), met.server.unwrap_err());
        assert_eq!(
            (client.code, server.code),
            (tls::UNKNOWN_CA, tls::UNKNOWN_CA),
            "{client} / {server}"
        );
        assert!(
            client.message.contains("Root") && client.message.contains("station"),
            "{client}"
        );
        assert!(
            server.message.contains("alert 48") && server.message.contains("it named other roots"),
            "{server}"
        );
    }
}

#[tokio::test]
async fn a_vehicle_without_certificate_or_of_a_foreign_maker_is_refused() {
    let world = world();
    let mut bare = world.client_config(Generation::Iso20);
    bare.identity = None;
    let met = meet(world.server_config(), bare).await;
    assert_eq!(met.server.unwrap_err().code, tls::CERTIFICATE_REQUIRED);
    // In TLS 1.3 the vehicle learns it with its first read.
    let (mut stream, _) = met.client.unwrap();
    let error = stream.read_u8().await.unwrap_err();
    assert_eq!(
        refusal_of(&error).unwrap().code,
        tls::CERTIFICATE_REQUIRED,
        "{error}"
    );

    let foreign = tree(Generation::Iso20, KeyAlgorithm::P521, VEHICLE, "Foreign", VALID);
    let mut client = world.client_config(Generation::Iso20);
    client.identity = Some(foreign.leaf);
    let refusal = meet(world.server_config(), client).await.server.unwrap_err();
    assert_eq!(refusal.code, tls::UNKNOWN_CA);
    assert!(
        !refusal.message.contains("TSTV1234567890ABC"),
        "a PCID is personal: {refusal}"
    );
}

#[tokio::test]
async fn expired_early_and_wrong_kinds_of_certificates_are_told_apart() {
    let world = world();
    let stations = [
        (
            tree(Generation::Iso2, KeyAlgorithm::P256, SECC, "Old", (-30, -2)),
            tls::CERTIFICATE_EXPIRED,
        ),
        (
            tree(Generation::Iso2, KeyAlgorithm::P256, SECC, "Young", (2, 30)),
            tls::CERTIFICATE_NOT_YET_VALID,
        ),
    ];
    for (station, code) in stations {
        let mut server = world.server_config();
        server.credentials = vec![station.leaf.clone()];
        let mut client = world.client_config(Generation::Iso2);
        client.roots = vec![station.root.der.clone()];
        let met = meet(server, client).await;
        let refusal = met.client.unwrap_err();
        assert_eq!(refusal.code, code, "{refusal}");
        assert!(refusal.message.contains("DE*TST*E1"), "{refusal}");
        assert!(met.server.is_err());
    }
    // A provisioning certificate is no station's.
    let profile = Profile::iso2;
    let root = &world.p256.root;
    let wrong = issue(
        profile(Kind::ContractLeaf),
        KeyAlgorithm::P256,
        "DEGDLC12345678",
        Some(root),
        VALID,
    );
    let mut server = world.server_config();
    server.credentials = vec![Credential::new("wrong", vec![wrong.der], wrong.key)];
    let refusal = meet(server, world.client_config(Generation::Iso2))
        .await
        .client
        .unwrap_err();
    assert_eq!(refusal.code, tls::WRONG_DOMAIN, "{refusal}");
}

#[tokio::test]
async fn versions_and_suites_that_do_not_meet_have_their_codes() {
    let world = world();
    let mut only20 = world.server_config();
    only20.iso2 = false;
    let met = meet(only20, world.client_config(Generation::Iso2)).await;
    assert_eq!(met.server.unwrap_err().code, tls::PROTOCOL_VERSION);
    assert_eq!(met.client.unwrap_err().code, tls::PROTOCOL_VERSION);

    let mut no_p521 = world.server_config();
    no_p521.credentials = vec![world.p256.leaf.clone()];
    let mut client = world.client_config(Generation::Iso20);
    client.roots = vec![world.p256.root.der.clone()];
    let met = meet(no_p521, client).await;
    assert_eq!(
        met.server.unwrap().1.own_label,
        Some(world.p256.leaf.label.clone()),
        "P-256 is the last resort"
    );
}

#[tokio::test]
async fn configurations_that_cannot_work_are_refused_at_start() {
    let world = world();
    let mut config = world.server_config();
    config.credentials = vec![world.p521.leaf.clone()];
    assert!(crate::VehicleServer::new(config).is_err(), "-2 needs P-256");
    let mut config = world.server_config();
    config.credentials[0].key = world.vehicle.leaf.key.clone();
    let error = crate::VehicleServer::new(config).unwrap_err();
    assert!(error.to_string().contains("does not belong"), "{error}");
    let mut config = world.server_config();
    config.vehicle_roots.clear();
    assert!(crate::VehicleServer::new(config).is_err());
}

#[tokio::test]
async fn credentials_are_swapped_without_a_restart() {
    let world = world();
    let server = crate::VehicleServer::new(world.server_config()).unwrap();
    let other = tree(Generation::Iso2, KeyAlgorithm::P256, SECC, "B", VALID);
    let mut config = world.client_config(Generation::Iso2);
    config.roots.push(other.root.der.clone());
    let client = crate::VehicleClient::new(config).unwrap();
    for label in [&world.p256.leaf.label, &other.leaf.label] {
        let (near, far) = sockets().await;
        let (accepted, connected) = tokio::join!(server.accept(far), client.connect(near, None));
        connected.unwrap();
        assert_eq!(accepted.unwrap().1.own_label.as_ref(), Some(label));
        assert!(
            server.replace_credentials(&[]).is_err(),
            "a useless set is refused and the old one stays"
        );
        server
            .replace_credentials(std::slice::from_ref(&other.leaf))
            .unwrap();
    }
}

#[tokio::test]
async fn station_and_platform_know_each_other() {
    let profile = Profile::iso2;
    let long = (-2, 300);
    let root = issue(
        profile(Kind::CsmsRoot),
        KeyAlgorithm::P256,
        "CSMS Root",
        None,
        (-3, 400),
    );
    let credential = |kind, cn: &str| {
        let node = issue(profile(kind), KeyAlgorithm::P256, cn, Some(&root), long);
        Credential::new(cn, vec![node.der], node.key)
    };
    let server = PlatformServer::new(PlatformServerConfig {
        credential: credential(Kind::CsmsServer, "localhost"),
        station_roots: vec![root.der.clone()],
        handshake_timeout: TIMEOUT,
    })
    .unwrap();
    let client = |identity| {
        PlatformClient::new(PlatformClientConfig {
            identity,
            platform_roots: vec![root.der.clone()],
            handshake_timeout: TIMEOUT,
        })
        .unwrap()
    };
    let good = client(credential(Kind::StationClient, "GL-AC-1"));
    for host in ["localhost", "127.0.0.1"] {
        let (near, far) = sockets().await;
        let (accepted, connected) = tokio::join!(server.accept(far), good.connect(near, host));
        let (_, handshake) = accepted.unwrap();
        let leaf = gridlatch_trust::certificate::summary(&handshake.peer_chain[0]).unwrap();
        assert_eq!(
            (leaf.subject_cn.as_str(), handshake.version.as_str()),
            ("GL-AC-1", "TLSv1.3")
        );
        let (_, seen) = connected.unwrap();
        let path = |handshake: &crate::Handshake| handshake.peer_path.len();
        assert_eq!((path(&handshake), path(&seen)), (2, 2), "leaf and root");
        assert_eq!(handshake.peer_path[1], root.der);
    }
    let gone = client(credential(Kind::StationClient, "GL-AC-2"));
    let (near, far) = sockets().await;
    let (accepted, connected) = tokio::join!(server.accept(far), gone.connect(near, "localhost"));
    connected.unwrap();
    server.revoke(&accepted.unwrap().1.peer_chain[0]).unwrap();
    let (near, far) = sockets().await;
    let (accepted, connected) = tokio::join!(server.accept(far), gone.connect(near, "localhost"));
    assert_eq!(accepted.unwrap_err().code, tls::CERTIFICATE_REVOKED);
    // The station wrote at once, as it does; the alert reaches it all the same.
    let (mut stream, _) = connected.unwrap();
    let mut octets = [0; 16];
    let _ = stream.write_all(b"GET /ocpp/GL-AC-2 HTTP/1.1").await;
    let error = stream.read(&mut octets).await.unwrap_err();
    let refusal = refusal_of(&error).unwrap();
    assert_eq!(
        (refusal.code, refusal.alert),
        (tls::CERTIFICATE_REVOKED, Some(44))
    );
    assert!(server.revoke(b"no certificate").is_err());
    let (near, far) = sockets().await;
    let (accepted, connected) = tokio::join!(server.accept(far), good.connect(near, "localhost"));
    assert!(accepted.is_ok() && connected.is_ok(), "others are let in");

    let (near, far) = sockets().await;
    let (accepted, connected) = tokio::join!(server.accept(far), good.connect(near, "example.org"));
    assert_eq!(connected.unwrap_err().code, tls::NAME_MISMATCH);
    assert!(accepted.is_err());

    let stranger_root = issue(
        profile(Kind::CsmsRoot),
        KeyAlgorithm::P256,
        "Other Root",
        None,
        (-3, 400),
    );
    let stranger = issue(
        profile(Kind::StationClient),
        KeyAlgorithm::P256,
        "GL-AC-1",
        Some(&stranger_root),
        long,
    );
    let stranger = client(Credential::new("s", vec![stranger.der], stranger.key));
    let (near, far) = sockets().await;
    let (accepted, _) = tokio::join!(server.accept(far), stranger.connect(near, "localhost"));
    assert_eq!(accepted.unwrap_err().code, tls::UNKNOWN_CA);
}
