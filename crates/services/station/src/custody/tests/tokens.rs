//! Keys that a token keeps: SoftHSM2, in a process of its own (its module reads the environment once).

use gridlatch_keys::{KeyUri, PinSource, list};
use gridlatch_testkit::need;
use gridlatch_testkit::tokens::{PIN, SoftHsm, again, library};
use gridlatch_vocab::catalogue::key;

use super::listener::{listener, plug, talk};
use super::*;

const PIN_OF: &str = "TEST_TOKEN_PIN";

/// The calling test again where the token `charger` is. True where that has happened.
fn elsewhere() -> bool {
    if std::env::var_os("SOFTHSM2_CONF").is_some() {
        return again(&[]);
    }
    let hsm = SoftHsm::new(&["charger"]).unwrap();
    again(&[("SOFTHSM2_CONF", hsm.config().to_str().unwrap()), (PIN_OF, PIN)])
}

fn uri(token: &str) -> KeyUri {
    let module = library("libsofthsm2.so").unwrap();
    format!("pkcs11:{token}?module-path={}", module.display())
        .parse()
        .unwrap()
}

fn pin() -> PinSource {
    PinSource::Env(PIN_OF.to_owned())
}

fn on_token() -> Vec<KeyUri> {
    let listed = list(&uri("token=charger"), &pin()).unwrap();
    listed.into_iter().map(|listed| listed.uri).collect()
}

/// Files below a folder that hold a private key.
fn private_keys(folder: &std::path::Path) -> Vec<std::path::PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(private_keys(&path));
        } else if String::from_utf8_lossy(&std::fs::read(&path).unwrap()).contains("PRIVATE") {
            found.push(path);
        }
    }
    found
}

#[tokio::test]
async fn a_key_is_made_in_the_token_serves_vehicles_from_there_and_never_is_a_file() {
    need!(softhsm);
    if elsewhere() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let world = World::new("A");
    let mut config = world.config(folder.path());
    config.keys = KeyStore::Token {
        place: uri("token=charger"),
        pin: pin(),
    };
    let custody = Custody::open(config.clone(), now()).unwrap();
    let server = listener(custody.vehicle_credentials(now()));
    custody.serve(Arc::clone(&server));
    let ((mut vehicle, _), mut station) = plug(&server, &world.root).await;

    let spki = |request: &SigningRequest| {
        let der = csr::from_pem(request.csr.as_bytes()).unwrap();
        csr::parse(&der, &OpensslVerifier).unwrap().spki
    };
    let request = custody.request(CertificateUse::Vehicle).unwrap();
    let made = on_token();
    assert_eq!(made.len(), 1, "{made:?}");
    assert!(made[0].to_string().contains("GL-1-vehicle-2-"), "{}", made[0]);
    // A restart before the answer: the same key, found by its name.
    let custody = Custody::open(config.clone(), now()).unwrap();
    custody.serve(Arc::clone(&server));
    let again = custody.request(CertificateUse::Vehicle).unwrap();
    assert_eq!(spki(&again), spki(&request));
    assert_eq!(on_token(), made);

    let answer = world.answer(&again, (later(-1), None));
    custody.install(CertificateUse::Vehicle, &answer, now()).unwrap();
    let first = custody.vehicle_credentials(now())[0].clone();
    assert!(first.key.as_file().is_none());
    let ((_, shown), _) = plug(&server, &world.root).await;
    assert_eq!(
        shown.peer_chain[0], first.chain[0],
        "the token signed this handshake"
    );
    talk(&mut vehicle, &mut station).await;
    assert_eq!(private_keys(folder.path()), Vec::<std::path::PathBuf>::new());

    // After a restart the key is found in its token again.
    let custody = Custody::open(config.clone(), now()).unwrap();
    let held = custody.vehicle_credentials(now());
    assert_eq!(held[0].chain[0], first.chain[0]);
    let ((_, shown), _) = plug(&listener(held), &world.root).await;
    assert_eq!(shown.peer_chain[0], first.chain[0]);

    // The next one; when the crossover is over the old key leaves the token.
    let request = custody.request(CertificateUse::Vehicle).unwrap();
    assert_eq!(on_token().len(), 2);
    let answer = world.answer(&request, (later(-1), None));
    custody.install(CertificateUse::Vehicle, &answer, now()).unwrap();
    custody.tick(later(CROSSOVER + 1));
    let left = on_token();
    assert_eq!(left.len(), 1);
    assert_ne!(left, made);
    let shown = custody.vehicle_credentials(later(CROSSOVER + 1));
    assert_eq!(shown.len(), 1);
    shown[0].key.sign(b"still there").unwrap();

    // Without a place named, no key in a file follows one in a token.
    drop(custody);
    config.keys = KeyStore::Files;
    let custody = Custody::open(config, now()).unwrap();
    let error = custody.request(CertificateUse::Vehicle).unwrap_err();
    assert_eq!(error.code, codes::NO_KEY_PLACE, "{error}");
    assert_eq!(private_keys(folder.path()), Vec::<std::path::PathBuf>::new());
    assert_eq!(on_token(), left);
}

#[test]
fn a_token_that_is_away_makes_no_key_anywhere_else() {
    need!(softhsm);
    if elsewhere() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let world = World::new("A");
    let mut config = world.config(folder.path());
    config.keys = KeyStore::Token {
        place: uri("token=absent"),
        pin: pin(),
    };
    let custody = Custody::open(config, now()).unwrap();
    let error = custody.request(CertificateUse::Vehicle).unwrap_err();
    assert_eq!(error.code, key::UNAVAILABLE, "{error}");
    assert_eq!(private_keys(folder.path()), Vec::<std::path::PathBuf>::new());
    assert_eq!(shown(&custody, now()), ["delivered"]);
}
