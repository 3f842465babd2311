//! Handshakes with keys in real tokens: SoftHSM2, a TPM through PKCS#11 and, with the feature `tpm`,
//! a TPM directly; against ourselves, OpenSSL and GnuTLS.

use std::time::Instant;

use gridlatch_keys::{KeyAlgorithm, KeyUri, PinSource, import};
use gridlatch_testkit::need;
use gridlatch_testkit::tokens::{PIN, SoftHsm, SwTpm, again, library};
use gridlatch_trust::Generation;

use super::foreign::{path, s_client, vehicle20};
use super::world::{Files, Tree, World, meet, world};

const ROUNDS: u32 = 60;

fn pin() -> PinSource {
    PinSource::Env("TEST_TOKEN_PIN".into())
}

/// Moves the key of a tree's leaf to `uri`.
fn moved(tree: &mut Tree, uri: &KeyUri, pin: &PinSource) {
    let file = tree.leaf.key.as_file().unwrap().clone();
    tree.leaf.key = import(uri, &file, pin).unwrap_or_else(|error| panic!("{error}"));
    assert!(tree.leaf.key.as_file().is_none());
}

/// [`ROUNDS`] handshakes of each generation without a failure, and their rate.
#[allow(clippy::print_stdout, reason = "a test prints its figures")]
async fn many(place: &str, world: &World, generations: &[Generation]) {
    for generation in generations {
        let started = Instant::now();
        for round in 0..ROUNDS {
            let met = meet(world.server_config(), world.client_config(*generation)).await;
            met.server
                .unwrap_or_else(|refusal| panic!("{place} {generation} {round}: {refusal}"));
            met.client
                .unwrap_or_else(|refusal| panic!("{place} {generation} {round}: {refusal}"));
        }
        println!(
            "figure: {place}, {generation}: {ROUNDS} of {ROUNDS} handshakes, {:.0} per second",
            f64::from(ROUNDS) / started.elapsed().as_secs_f64()
        );
    }
}

async fn openssl_meets(world: &World) {
    let files = Files::new();
    let root = files.certificates("root.pem", std::slice::from_ref(&world.p256.root.der));
    let args = [
        "-tls1_2",
        "-CAfile",
        path(&root),
        "-verify_return_error",
        "-cipher",
        "ECDHE-ECDSA-AES128-SHA256",
    ];
    let (served, text) = s_client(world.server_config(), &args).await;
    served.unwrap_or_else(|refusal| panic!("{refusal}\n{text}"));
    assert!(text.contains("Verify return code: 0 (ok)"), "{text}");
}

#[test]
fn softhsm_serves_station_and_vehicle_of_both_generations() {
    need!(softhsm, openssl);
    if std::env::var_os("SOFTHSM2_CONF").is_none() {
        let hsm = SoftHsm::new(&["tls"]).unwrap();
        let config = hsm.config();
        let _ = again(&[
            ("SOFTHSM2_CONF", config.to_str().unwrap()),
            ("TEST_TOKEN_PIN", PIN),
        ]);
        return;
    }
    let module = library("libsofthsm2.so").unwrap();
    let uri = |object: &str| -> KeyUri {
        format!(
            "pkcs11:token=tls;object={object}?module-path={}",
            module.display()
        )
        .parse()
        .unwrap()
    };
    let mut world = world();
    moved(&mut world.p256, &uri("secc-2"), &pin());
    moved(&mut world.p521, &uri("secc-20"), &pin());
    let mut plain_vehicle = super::world::world();
    std::mem::swap(&mut plain_vehicle.vehicle, &mut world.vehicle);
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(async {
        // OpenSSL's command line plays the vehicle and needs that key in a file.
        openssl_meets(&world).await;
        let (served, text) = vehicle20(&world, &["-curves", "P-521"]).await;
        served.unwrap_or_else(|refusal| panic!("{refusal}\n{text}"));
        moved(&mut world.vehicle, &uri("vehicle"), &pin());
        many("softhsm", &world, &[Generation::Iso2, Generation::Iso20]).await;
        crowd(&world).await;
    });
}

/// More handshakes at a time than the token has sessions: all succeed.
async fn crowd(world: &World) {
    let all: Vec<_> = (0..24)
        .map(|_| {
            let (server, client) = (world.server_config(), world.client_config(Generation::Iso2));
            tokio::spawn(async move { meet(server, client).await })
        })
        .collect();
    for met in all {
        met.await
            .unwrap()
            .server
            .unwrap_or_else(|refusal| panic!("{refusal}"));
    }
}

#[test]
fn a_tpm_through_pkcs11_serves_a_station_of_iso_15118_2() {
    need!(tpm2_pkcs11, openssl);
    let module = library("libtpm2_pkcs11.so").unwrap();
    if std::env::var_os("TPM2_PKCS11_STORE").is_none() {
        let tpm = SwTpm::new().unwrap();
        let store = tpm.pkcs11_token(&module, "tls").unwrap();
        let _ = again(&[
            ("TPM2_PKCS11_STORE", store.to_str().unwrap()),
            ("TPM2_PKCS11_TCTI", &tpm.tcti()),
            ("TPM2_PKCS11_LOG_LEVEL", "0"),
            ("TEST_TOKEN_PIN", PIN),
        ]);
        return;
    }
    let uri: KeyUri = format!("pkcs11:token=tls;object=secc?module-path={}", module.display())
        .parse()
        .unwrap();
    let key = gridlatch_keys::generate(&uri, KeyAlgorithm::P256, &pin()).unwrap();
    let mut world = world();
    world.p256 = super::world::tree_for(&key, Generation::Iso2, super::world::SECC, "T");
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(async {
        openssl_meets(&world).await;
        many("tpm2-pkcs11", &world, &[Generation::Iso2]).await;
    });
}

#[cfg(feature = "tpm")]
#[test]
fn a_tpm_serves_station_and_vehicle_of_both_generations() {
    need!(swtpm, openssl);
    let tpm = SwTpm::new().unwrap();
    let at = |number: u32| -> KeyUri { format!("tpm:{number:#x}?tcti={}", tpm.tcti()).parse().unwrap() };
    let make =
        |number, algorithm| gridlatch_keys::generate(&at(number), algorithm, &PinSource::None).unwrap();
    let mut world = world();
    world.p256 = super::world::tree_for(
        &make(0x8101_0002, KeyAlgorithm::P256),
        Generation::Iso2,
        super::world::SECC,
        "T",
    );
    world.p521 = super::world::tree_for(
        &make(0x8101_0003, KeyAlgorithm::P521),
        Generation::Iso20,
        super::world::SECC,
        "T",
    );
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(async {
        openssl_meets(&world).await;
        let (served, text) = vehicle20(&world, &["-curves", "P-521"]).await;
        served.unwrap_or_else(|refusal| panic!("{refusal}\n{text}"));
        world.vehicle = super::world::tree_for(
            &make(0x8101_0004, KeyAlgorithm::P521),
            Generation::Iso20,
            super::world::VEHICLE,
            "T",
        );
        many("tpm", &world, &[Generation::Iso2, Generation::Iso20]).await;
        crowd(&world).await;
    });
}
