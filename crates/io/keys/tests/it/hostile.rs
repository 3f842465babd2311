//! Modules that are missing, broken or no modules at all.

use gridlatch_keys::{KeyUri, PinSource, TpmUri, open};
use gridlatch_testkit::temp;
use gridlatch_vocab::catalogue::key;

fn with_module(path: &str) -> KeyUri {
    format!("pkcs11:token=a;object=b?module-path={path}")
        .parse()
        .unwrap()
}

#[test]
fn a_module_that_is_missing_or_is_none_is_named() {
    let dir = temp::dir().unwrap();
    let text = dir.path().join("module.so");
    std::fs::write(&text, "this is no shared library").unwrap();
    for path in [
        "/nowhere/libsofthsm2.so",
        text.to_str().unwrap(),
        "/lib/x86_64-linux-gnu/libm.so.6",
    ] {
        let error = open(&with_module(path), &PinSource::None).unwrap_err();
        assert_eq!(error.code(), key::UNAVAILABLE, "{error}");
        assert!(error.to_string().contains("cannot be loaded"), "{error}");
    }
}

#[test]
fn a_file_that_is_missing_is_no_reason_to_look_elsewhere() {
    let dir = temp::dir().unwrap();
    let error = open(&KeyUri::File(dir.path().join("none.pem")), &PinSource::None).unwrap_err();
    assert_eq!(error.code(), key::FILE);
    assert!(error.to_string().contains("none.pem"), "{error}");
}

#[test]
fn a_tpm_that_is_not_there_is_named() {
    let uri = KeyUri::Tpm(TpmUri {
        handle: Some(0x8101_0002),
        tcti: "device:/dev/no-such-tpm".into(),
    });
    let error = open(&uri, &PinSource::None).unwrap_err();
    assert!(error.to_string().contains("tpm:0x81010002"), "{error}");
    if cfg!(feature = "tpm") {
        assert_eq!(error.code(), key::UNAVAILABLE, "{error}");
    } else {
        assert_eq!(error.code(), key::UNSUPPORTED);
        assert!(error.to_string().contains("libtpm2_pkcs11"), "{error}");
    }
}
