use proptest::prelude::*;

use super::*;

fn parse(text: &str) -> KeyUri {
    text.parse().unwrap_or_else(|error| panic!("{text}: {error}"))
}

#[test]
fn the_three_kinds_are_read_and_written() {
    assert_eq!(parse("file:keys/a.pem"), KeyUri::File("keys/a.pem".into()));
    assert_eq!(parse("file:///k/a.pem"), KeyUri::File("/k/a.pem".into()));
    for path in ["k/a.pem", "/k/a.pem", "//k/a.pem", "///k"] {
        let uri = KeyUri::File(path.into());
        assert_eq!(parse(&uri.to_string()), uri);
    }
    let KeyUri::Pkcs11(uri) = parse(
        "pkcs11:model=SoftHSM%20v2;token=The%20CA;object=sub2;id=%01%FF;type=private\
         ?pin-source=file:/run/pin&module-path=/usr/lib/softhsm/libsofthsm2.so",
    ) else {
        panic!("not PKCS#11");
    };
    assert_eq!(uri.token.as_deref(), Some("The CA"));
    assert_eq!(uri.object.as_deref(), Some("sub2"));
    assert_eq!(uri.id.as_deref(), Some(&[1, 255][..]));
    assert_eq!(uri.pin_file.as_deref(), Some("/run/pin".as_ref()));
    assert_eq!(
        uri.to_string(),
        "pkcs11:token=The%20CA;object=sub2;id=%01%FF?module-path=/usr/lib/softhsm/libsofthsm2.so\
         &pin-source=file:/run/pin"
    );
    assert_eq!(
        parse("tpm:0x81010002"),
        KeyUri::Tpm(TpmUri {
            handle: Some(0x8101_0002),
            tcti: "device:/dev/tpmrm0".into()
        })
    );
    let swtpm = "tpm:0x81010002?tcti=swtpm:host=127.0.0.1,port=2321";
    assert_eq!(parse(swtpm).to_string(), swtpm);
}

#[test]
fn what_is_wrong_is_said_and_a_pin_is_never_repeated() {
    for (text, said) in [
        ("key.pem", "begins with none"),
        ("https://x", "begins with none"),
        ("file:", "no file"),
        ("pkcs11:token=a", "module-path"),
        ("pkcs11:token=a?module-path=m.so", "absolute"),
        ("pkcs11:object=a?module-path=/m.so", "no token"),
        ("pkcs11:token=a;token=b?module-path=/m.so", "twice"),
        ("pkcs11:token=a;tokn=b?module-path=/m.so", "unknown attribute"),
        ("pkcs11:token=%zz?module-path=/m.so", "hex"),
        ("pkcs11:token=%00?module-path=/m.so", "control"),
        ("pkcs11:token=a?module-path=/m.so&pin-value=1234", "process lists"),
        (
            "pkcs11:token=a?module-path=/m.so&pin-source=|ask",
            "must be a file",
        ),
        ("tpm:81010002", "0x81010002"),
        ("tpm:0x80000001", "persistent"),
        ("tpm:0x1810100020", "0x81010002"),
    ] {
        let error = text.parse::<KeyUri>().unwrap_err();
        assert_eq!(error.code(), key::INVALID_URI, "{text}");
        assert!(error.to_string().contains(said), "{text}: {error}");
        assert!(!error.to_string().contains("1234"), "{error}");
    }
    assert!(format!("file:{}", "x".repeat(MAX_URI)).parse::<KeyUri>().is_err());
}

proptest! {
    #[test]
    fn any_text_gets_an_answer(text in "(file|pkcs11|tpm)?:?[ -~é%;?&=]{0,60}") {
        let _ = text.parse::<KeyUri>();
    }

    #[test]
    fn what_is_written_is_read_back(
        token in "[ -~äß]{1,20}",
        object in proptest::option::of("[ -~]{1,20}"),
        id in proptest::option::of(proptest::collection::vec(0_u8.., 1..20)),
        module in "/[a-z/ ?;&=%]{1,20}",
    ) {
        let uri = KeyUri::Pkcs11(Pkcs11Uri { module: module.into(), token: Some(token), object, id, ..Pkcs11Uri::default() });
        prop_assert_eq!(uri.to_string().parse::<KeyUri>().unwrap(), uri);
    }
}
