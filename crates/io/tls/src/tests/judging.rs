//! A vehicle that is stricter than usual, and one whose clock is wrong.

use gridlatch_keys::{KeyAlgorithm, Signer as _};
use gridlatch_trust::Generation;
use gridlatch_trust::cross::{CrossRequest, Reach, cross};
use gridlatch_trust::profile::Kind;
use gridlatch_vocab::Timestamp;
use gridlatch_vocab::catalogue::{pki, tls};

use super::world::{SECC, VALID, sockets, tree, world};
use crate::{Judging, Refusal, VehicleClient, VehicleClientConfig, VehicleServer, VehicleServerConfig};

async fn judged(
    server: VehicleServerConfig,
    client: VehicleClientConfig,
    judging: Judging,
) -> (Result<(), Refusal>, Result<(), Refusal>) {
    let (near, far) = sockets().await;
    let server = VehicleServer::new(server).unwrap();
    let client = VehicleClient::judging(client, judging).unwrap();
    let (server, client) = tokio::join!(server.accept(far), client.connect(near, None));
    (server.map(|_| ()), client.map(|_| ()))
}

#[tokio::test]
async fn a_strict_vehicle_refuses_a_cross_certificate_over_a_root_and_says_so() {
    let world = world();
    let foreign = tree(Generation::Iso2, KeyAlgorithm::P256, SECC, "B", VALID);
    let root = &world.p256.root;
    let crossed = cross(
        &CrossRequest {
            subject: &foreign.root.der,
            kind: Kind::V2gRoot,
            generation: Generation::Iso2,
            serial: &[77],
            not_before: Timestamp(time::OffsetDateTime::now_utc()),
            not_after: None,
            ocsp_url: None,
            crl_url: None,
            reach: Reach::OverRootForExperiment,
        },
        &root.der,
        KeyAlgorithm::P256,
        &|message| root.key.sign(message).map_err(Into::into),
    )
    .unwrap();
    let mut server = world.server_config();
    server.credentials = vec![foreign.leaf];
    server.credentials[0].chain.push(crossed);
    let client = world.client_config(Generation::Iso2);
    let (_, lenient) = judged(server.clone(), client.clone(), Judging::default()).await;
    lenient.unwrap();
    let strict = Judging {
        strict_path: true,
        ..Judging::default()
    };
    let (station, vehicle) = judged(server, client.clone(), strict).await;
    let refusal = vehicle.unwrap_err();
    assert_eq!(refusal.code, pki::PATH_TOO_LONG, "{refusal}");
    assert_eq!(
        station.unwrap_err().code,
        tls::UNKNOWN_CA,
        "alert 48 is all TLS has for it"
    );
    let (_, usual) = judged(world.server_config(), client, strict).await;
    usual.unwrap();
}

#[tokio::test]
async fn a_vehicle_whose_clock_is_wrong_refuses_with_the_direction() {
    let world = world();
    for (days, code) in [
        (-3, tls::CERTIFICATE_NOT_YET_VALID),
        (60, tls::CERTIFICATE_EXPIRED),
    ] {
        let clock = Some(Timestamp(
            time::OffsetDateTime::now_utc() + time::Duration::days(days),
        ));
        let judging = Judging {
            clock,
            ..Judging::default()
        };
        let (_, vehicle) = judged(
            world.server_config(),
            world.client_config(Generation::Iso20),
            judging,
        )
        .await;
        assert_eq!(vehicle.unwrap_err().code, code);
    }
}
