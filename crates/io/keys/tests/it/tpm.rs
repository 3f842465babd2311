//! A TPM 2.0 directly (feature `tpm`): swtpm, which forgets nothing when it is killed and started again.

use gridlatch_keys::{KeyAlgorithm, KeyUri, PinSource, generate, list, open, verify};
use gridlatch_testkit::need;
use gridlatch_testkit::tokens::{SwTpm, again};
use gridlatch_vocab::catalogue::key;

fn at(tpm: &SwTpm, handle: u32) -> KeyUri {
    format!("tpm:{handle:#010x}?tcti={}", tpm.tcti()).parse().unwrap()
}

#[test]
fn a_tpm_conforms() {
    need!(swtpm, openssl);
    let tpm = SwTpm::new().unwrap();
    let uri = |name: &str| {
        let number = [
            "made-secp256r1",
            "made-secp521r1",
            "brought-secp256r1",
            "brought-secp521r1",
        ]
        .iter()
        .position(|known| *known == name);
        at(&tpm, 0x8101_0000 + number.unwrap_or(9) as u32)
    };
    super::conformance::conforms(
        "tpm",
        &[KeyAlgorithm::P256, KeyAlgorithm::P521],
        true,
        &PinSource::None,
        uri,
    );
}

#[test]
fn a_key_that_tpm2_tools_made_is_used_as_it_is() {
    need!(swtpm);
    let tpm = SwTpm::new().unwrap();
    let flush = "tpm2_flushcontext -t";
    for line in [
        "tpm2_createprimary -C o -G ecc256 -c prim.ctx -Q",
        flush,
        "tpm2_create -C prim.ctx -G ecc256 -u k.pub -r k.priv -a fixedtpm|fixedparent|sensitivedataorigin|userwithauth|sign|noda -Q",
        flush,
        "tpm2_load -C prim.ctx -u k.pub -r k.priv -c k.ctx -Q",
        flush,
        "tpm2_evictcontrol -C o -c k.ctx 0x81010002",
        flush,
    ] {
        tpm.tool(line).unwrap();
    }
    let key = open(&at(&tpm, 0x8101_0002), &PinSource::None).unwrap();
    let signature = key.sign(b"made elsewhere").unwrap();
    assert!(
        verify(
            KeyAlgorithm::P256,
            key.public_key_der(),
            b"made elsewhere",
            &signature
        )
        .unwrap()
    );
    let listed = list(
        &format!("tpm:?tcti={}", tpm.tcti()).parse().unwrap(),
        &PinSource::None,
    )
    .unwrap();
    assert_eq!(listed.len(), 1);
    assert_eq!(listed[0].uri, at(&tpm, 0x8101_0002));
    let error = open(&at(&tpm, 0x8101_0003), &PinSource::None).unwrap_err();
    assert_eq!(error.code(), key::NOT_FOUND, "{error}");
}

#[test]
fn a_tpm_that_goes_is_named_and_comes_back() {
    need!(swtpm);
    let mut tpm = SwTpm::new().unwrap();
    let key = generate(&at(&tpm, 0x8101_0000), KeyAlgorithm::P256, &PinSource::None).unwrap();
    key.sign(b"1").unwrap();
    tpm.stop();
    let error = key.sign(b"2").unwrap_err();
    assert_eq!(error.code(), key::UNAVAILABLE, "{error}");
    assert!(error.to_string().contains("tpm:0x81010000"), "{error}");
    tpm.start().unwrap();
    let signature = key.sign(b"3").unwrap();
    assert!(verify(KeyAlgorithm::P256, key.public_key_der(), b"3", &signature).unwrap());
    // Another TPM in its place is not the same key.
    tpm.stop();
    std::fs::remove_dir_all(tpm.dir().join("state")).unwrap();
    tpm.start().unwrap();
    assert_eq!(key.sign(b"4").unwrap_err().code(), key::NOT_FOUND);
    let _ = generate(&at(&tpm, 0x8101_0000), KeyAlgorithm::P256, &PinSource::None).unwrap();
    let error = key.sign(b"5").unwrap_err();
    assert_eq!(error.code(), key::MISMATCH, "{error}");
}

#[test]
fn a_wrong_pin_is_offered_once() {
    need!(swtpm);
    if again(&[("TEST_RIGHT", "1234"), ("TEST_WRONG", "4321")]) {
        return;
    }
    let tpm = SwTpm::new().unwrap();
    let uri = at(&tpm, 0x8101_0000);
    let (right, wrong) = (
        PinSource::Env("TEST_RIGHT".into()),
        PinSource::Env("TEST_WRONG".into()),
    );
    drop(generate(&uri, KeyAlgorithm::P256, &right).unwrap());
    // Keep the connection, so that what was refused is remembered.
    let key = open(&uri, &right).unwrap();
    let error = open(&uri, &wrong).unwrap_err();
    assert_eq!(error.code(), key::PIN_REFUSED, "{error}");
    assert!(error.to_string().contains("TPM said"), "{error}");
    let error = open(&uri, &wrong).unwrap_err();
    assert!(error.to_string().contains("before"), "{error}");
    let tries = |tpm: &SwTpm| {
        let text = tpm.tool("tpm2_getcap properties-variable").unwrap();
        text.lines()
            .find(|line| line.contains("LOCKOUT_COUNTER"))
            .unwrap()
            .trim()
            .to_owned()
    };
    key.sign(b"still good").unwrap();
    drop(key);
    assert_eq!(
        tries(&tpm),
        "TPM2_PT_LOCKOUT_COUNTER: 0x1",
        "more than one try reached the TPM"
    );
}
