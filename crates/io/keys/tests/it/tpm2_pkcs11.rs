//! A TPM 2.0 through PKCS#11: needs nothing at build time, and is slow.

use gridlatch_keys::{KeyAlgorithm, KeyUri, PinSource, generate, open};
use gridlatch_testkit::need;
use gridlatch_testkit::tokens::{PIN, SwTpm, again, given, library};

const LABEL: &str = "charger";

fn uri(object: &str) -> KeyUri {
    let module = library("libtpm2_pkcs11.so").unwrap();
    format!(
        "pkcs11:token={LABEL};object={object}?module-path={}",
        module.display()
    )
    .parse()
    .unwrap()
}

fn elsewhere() -> bool {
    if std::env::var_os("TPM2_PKCS11_STORE").is_some() {
        return again(&[]);
    }
    let tpm = SwTpm::new().unwrap();
    let store = tpm
        .pkcs11_token(&library("libtpm2_pkcs11.so").unwrap(), LABEL)
        .unwrap();
    again(&[
        ("TPM2_PKCS11_STORE", store.to_str().unwrap()),
        ("TPM2_PKCS11_TCTI", &tpm.tcti()),
        ("TPM2_PKCS11_LOG_LEVEL", "0"),
        ("TEST_TOKEN_PIN", PIN),
    ])
}

#[test]
fn a_tpm_through_pkcs11_conforms_on_p256() {
    need!(tpm2_pkcs11, openssl);
    if elsewhere() {
        return;
    }
    assert!(given("TPM2_PKCS11_TCTI").starts_with("swtpm:"));
    super::conformance::conforms(
        "tpm2-pkcs11",
        &[KeyAlgorithm::P256],
        false,
        &super::softhsm::pin(),
        uri,
    );
}

/// Version 1.9 of the module makes a P-521 key and cannot sign with it. A later one may.
#[test]
fn p521_works_or_is_refused_by_what_the_module_said() {
    need!(tpm2_pkcs11);
    if elsewhere() {
        return;
    }
    match generate(&uri("wide"), KeyAlgorithm::P521, &super::softhsm::pin()) {
        Ok(key) => assert!(!key.sign(b"wide").unwrap().is_empty()),
        Err(error) => assert!(
            error.to_string().contains("the module's C_") && error.to_string().contains("object=wide"),
            "{error}"
        ),
    }
}

#[test]
fn what_it_cannot_import_it_says() {
    need!(tpm2_pkcs11);
    if elsewhere() {
        return;
    }
    let pin = super::softhsm::pin();
    let outside = gridlatch_keys::FileKey::generate(KeyAlgorithm::P256).unwrap();
    let error = gridlatch_keys::import(&uri("brought"), &outside, &pin).unwrap_err();
    assert!(error.to_string().contains("C_CreateObject"), "{error}");
    assert!(open(&uri("brought"), &pin).is_err(), "half a key was left behind");
    generate(&uri("made"), KeyAlgorithm::P256, &pin).unwrap();
    assert!(open(&uri("made"), &PinSource::None).is_ok() || open(&uri("made"), &pin).is_ok());
}
