//! SoftHSM2, the PKCS#11 token everybody has.

use gridlatch_keys::{KeyAlgorithm, KeyError, KeyUri, PinSource, free, generate, list, open, remove};
use gridlatch_testkit::need;
use gridlatch_testkit::tokens::{PIN, SoftHsm, again, given, library};
use gridlatch_vocab::catalogue::key;

pub(crate) const ENV_PIN: &str = "TEST_TOKEN_PIN";

pub(crate) fn pin() -> PinSource {
    PinSource::Env(ENV_PIN.into())
}

pub(crate) fn uri(token: &str, object: &str) -> KeyUri {
    let module = library("libsofthsm2.so").unwrap();
    format!(
        "pkcs11:token={token};object={object}?module-path={}",
        module.display()
    )
    .parse()
    .unwrap()
}

/// A folder with tokens, and the calling test again in a process that sees it. True where that has happened.
pub(crate) fn elsewhere(labels: &[&str], pin: &str) -> bool {
    if std::env::var_os("SOFTHSM2_CONF").is_some() {
        return again(&[]);
    }
    let hsm = SoftHsm::new(labels).unwrap();
    let tokens = hsm.tokens();
    again(&[
        ("SOFTHSM2_CONF", hsm.config().to_str().unwrap()),
        ("TEST_TOKENS", tokens.to_str().unwrap()),
        (ENV_PIN, pin),
    ])
}

#[test]
fn softhsm_conforms() {
    need!(softhsm, openssl);
    if elsewhere(&["conform"], PIN) {
        return;
    }
    super::conformance::conforms(
        "softhsm",
        &[KeyAlgorithm::P256, KeyAlgorithm::P521],
        true,
        &pin(),
        |name| uri("conform", name),
    );
}

#[test]
fn a_wrong_pin_is_tried_once_and_never_again() {
    need!(softhsm);
    if elsewhere(&["locked"], "000000") {
        return;
    }
    let first = open(&uri("locked", "a"), &pin()).unwrap_err();
    assert_eq!(first.code(), key::PIN_REFUSED);
    assert!(first.to_string().contains("PinIncorrect"), "{first}");
    // Another key, another operation, many threads: the token is not asked again.
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                let again = open(&uri("locked", "b"), &pin()).unwrap_err();
                assert_eq!(again.code(), key::PIN_REFUSED);
                assert!(again.to_string().contains("before"), "{again}");
            });
        }
    });
    let again = generate(&uri("locked", "c"), KeyAlgorithm::P256, &pin()).unwrap_err();
    assert!(again.to_string().contains("before"), "{again}");
    // The right one, from a file, is tried and works.
    let dir = gridlatch_testkit::temp::dir().unwrap();
    let file = dir.path().join("pin");
    gridlatch_keys::write_atomically(&file, format!("{PIN}\n").as_bytes(), 0o600).unwrap();
    generate(
        &uri("locked", "c"),
        KeyAlgorithm::P256,
        &PinSource::File(file.clone()),
    )
    .unwrap();
    // And by the URI itself.
    let named: KeyUri = format!("{}&pin-source=file:{}", uri("locked", "c"), file.display())
        .parse()
        .unwrap();
    open(&named, &PinSource::None).unwrap();
}

#[test]
fn without_a_pin_a_missing_token_key_or_name_is_told_apart() {
    need!(softhsm);
    if elsewhere(&["here"], PIN) {
        return;
    }
    let code = |uri: &KeyUri, pin: &PinSource, said: &str| {
        let error = open(uri, pin).unwrap_err();
        assert!(error.to_string().contains(said), "{error}");
        error.code()
    };
    assert_eq!(
        code(&uri("here", "x"), &PinSource::None, "none is configured"),
        key::PIN_REFUSED
    );
    assert_eq!(code(&uri("there", "x"), &pin(), "[\"here\"]"), key::UNAVAILABLE);
    assert_eq!(
        code(&uri("here", "x"), &pin(), "no private key by this name"),
        key::NOT_FOUND
    );
    let module = library("libsofthsm2.so").unwrap();
    let no_name: KeyUri = format!("pkcs11:token=here?module-path={}", module.display())
        .parse()
        .unwrap();
    assert_eq!(code(&no_name, &pin(), "add object="), key::INVALID_URI);
    assert_eq!(list(&no_name, &pin()).unwrap(), []);
    // Two keys by one label are told apart by their identifiers only.
    let numbered = |id: &str| -> KeyUri {
        format!(
            "pkcs11:token=here;object=twin;id=%{id}?module-path={}",
            module.display()
        )
        .parse()
        .unwrap()
    };
    let one = generate(&numbered("01"), KeyAlgorithm::P256, &pin()).unwrap();
    let two = generate(&numbered("02"), KeyAlgorithm::P521, &pin()).unwrap();
    assert_ne!(one.public_key_der(), two.public_key_der());
    assert_eq!(
        code(&uri("here", "twin"), &pin(), "2 private keys"),
        key::MISMATCH
    );
    assert_eq!(list(&no_name, &pin()).unwrap().len(), 2);
}

#[test]
fn keys_of_other_kinds_are_refused_with_the_reason() {
    need!(softhsm, tpm2_pkcs11);
    if elsewhere(&["kinds"], PIN) {
        return;
    }
    let module = library("libsofthsm2.so").unwrap();
    for (kind, name, said) in [
        ("EC:secp384r1", "p384", "neither P-256 nor P-521"),
        ("rsa:2048", "rsa", "RSA"),
    ] {
        let out = std::process::Command::new("pkcs11-tool")
            .arg("--module")
            .arg(&module)
            .args(["--token-label", "kinds", "--login", "--pin", PIN, "--keypairgen"])
            .args(["--key-type", kind, "--label", name, "--id", "07"])
            .output()
            .unwrap();
        assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
        let error = open(&uri("kinds", name), &pin()).unwrap_err();
        assert_eq!(error.code(), key::UNSUPPORTED);
        assert!(error.to_string().contains(said), "{error}");
    }
}

#[test]
fn a_token_that_goes_is_named_and_comes_back_or_is_refused_as_another() {
    need!(softhsm);
    if elsewhere(&["moving"], PIN) {
        return;
    }
    let tokens = std::path::PathBuf::from(given("TEST_TOKENS"));
    let key = generate(&uri("moving", "a"), KeyAlgorithm::P256, &pin()).unwrap();
    key.sign(b"1").unwrap();
    let away = tokens.with_extension("away");
    let folder = std::fs::read_dir(&tokens)
        .unwrap()
        .next()
        .unwrap()
        .unwrap()
        .path();
    std::fs::rename(&folder, &away).unwrap();
    let error = key.sign(b"2").unwrap_err();
    assert!(matches!(error, KeyError::Hardware { .. }));
    assert!(
        [key::UNAVAILABLE, key::NOT_FOUND].contains(&error.code()),
        "{} {error}",
        error.code()
    );
    assert!(error.to_string().contains("token=moving"), "{error}");
    std::fs::rename(&away, &folder).unwrap();
    // SoftHSM looks for tokens only when it starts; it is restarted at most every two seconds.
    let signature = (0..40)
        .find_map(|_| {
            std::thread::sleep(std::time::Duration::from_millis(250));
            key.sign(b"3").ok()
        })
        .unwrap_or_else(|| panic!("it is back, but: {}", key.sign(b"3").unwrap_err()));
    assert!(gridlatch_keys::verify(KeyAlgorithm::P256, key.public_key_der(), b"3", &signature).unwrap());
}

/// A token's failures on OpenSSL's queue would break the TLS connection that is served next on the same thread.
#[test]
fn nothing_is_left_for_openssl_to_stumble_over() {
    need!(softhsm);
    if elsewhere(&["quiet"], PIN) {
        return;
    }
    let clean = |after: &str| {
        let left = openssl::error::ErrorStack::get();
        assert!(left.errors().is_empty(), "after {after}: {left}");
    };
    let key = generate(&uri("quiet", "a"), KeyAlgorithm::P256, &pin()).unwrap();
    clean("making a key");
    key.sign(b"1").unwrap();
    clean("signing");
    open(&uri("quiet", "a"), &pin()).unwrap();
    clean("opening a key");
    open(&uri("quiet", "none"), &pin()).unwrap_err();
    clean("a key that is not there");
    list(&uri("quiet", "a"), &pin()).unwrap();
    clean("listing");
    remove(&uri("quiet", "a"), &pin()).unwrap();
    clean("removing a key");
    assert_eq!(
        open(&uri("quiet", "a"), &pin()).unwrap_err().code(),
        key::NOT_FOUND
    );
}

#[test]
fn a_removed_key_is_gone_with_both_halves_and_takes_no_other_with_it() {
    need!(softhsm);
    if elsewhere(&["room"], PIN) {
        return;
    }
    let keep = generate(&uri("room", "keep"), KeyAlgorithm::P256, &pin()).unwrap();
    generate(&uri("room", "old"), KeyAlgorithm::P521, &pin()).unwrap();
    let place: KeyUri = uri("room", "x")
        .to_string()
        .replace(";object=x", "")
        .parse()
        .unwrap();
    assert_eq!(free(&place, "old", &pin()).unwrap_err().code(), key::MISMATCH);
    assert_eq!(free(&place, "new", &pin()).unwrap(), uri("room", "new"));
    remove(&uri("room", "old"), &pin()).unwrap();
    assert_eq!(
        remove(&uri("room", "old"), &pin()).unwrap_err().code(),
        key::NOT_FOUND
    );
    assert_eq!(remove(&place, &pin()).unwrap_err().code(), key::INVALID_URI);
    assert_eq!(free(&place, "old", &pin()).unwrap(), uri("room", "old"));
    keep.sign(b"still here").unwrap();
    assert_eq!(list(&place, &pin()).unwrap().len(), 1);
}
