use gridlatch_trust::build::AltName;
use gridlatch_trust::csr::{self, CsrError};
use gridlatch_trust::{KeyAlgorithm, RustCrypto};

use crate::support::{Key, Verifier, openssl, said, subject, write};

fn request(key: &Key) -> Vec<u8> {
    csr::build(
        &subject("DE*GLA*E1"),
        Some("CPO"),
        &key.spki(),
        key.algorithm(),
        &|m| key.sign(m),
    )
    .unwrap()
}

#[test]
fn openssl_accepts_our_requests_on_every_key_type() {
    let dir = tempfile::tempdir().unwrap();
    for key in [Key::p256(1), Key::p521(1), Key::ed448(dir.path(), "ed448.pem")] {
        let der = request(&key);
        let file = write(dir.path(), "csr.der", &der);
        let output = openssl(
            [
                "req", "-inform", "DER", "-in", &file, "-verify", "-noout", "-subject",
            ]
            .map(String::from),
        );
        let said = said(&output);
        assert!(said.contains("self-signature verify OK"), "{said}");
        assert!(
            said.contains("CN = DE*GLA*E1") && said.contains("DC = CPO"),
            "{said}"
        );
        let read = csr::parse(&der, &Verifier).unwrap();
        assert_eq!(read.algorithm, key.algorithm());
        assert_eq!(read.spki, key.spki());
        assert_eq!(read.subject.common_name.as_deref(), Some("DE*GLA*E1"));
        assert_eq!(read.subject.domain_component.as_deref(), Some("CPO"));
        assert!(read.alt_names.is_empty() && read.challenge.is_none() && !read.wants_ca);
    }
}

#[test]
fn a_request_made_by_openssl_is_read_with_everything_it_asks() {
    let dir = tempfile::tempdir().unwrap();
    let key = Key::p256(7);
    let config = write(
        dir.path(),
        "req.cnf",
        b"[req]\nprompt=no\ndistinguished_name=dn\nreq_extensions=ext\nattributes=attrs\nstring_mask=utf8only\n\
          [dn]\nCN=GL-AC-1\nO=Lab\nDC=CPO\n[attrs]\nchallengePassword=open sesame\n\
          [ext]\nbasicConstraints=CA:TRUE\nsubjectAltName=DNS:station.example,IP:192.0.2.7\n",
    );
    let key_file = key.pem(dir.path(), "key.pem");
    let der = openssl(
        [
            "req", "-new", "-config", &config, "-key", &key_file, "-outform", "DER",
        ]
        .map(String::from),
    )
    .stdout;
    let read = csr::parse(&der, &RustCrypto).unwrap();
    assert_eq!(read.subject.common_name.as_deref(), Some("GL-AC-1"));
    assert_eq!(read.challenge.as_deref(), Some("open sesame"));
    assert!(read.wants_ca);
    assert_eq!(
        read.alt_names,
        [
            AltName::Dns("station.example".to_owned()),
            AltName::Ip(vec![192, 0, 2, 7])
        ]
    );
}

#[test]
fn openssl_reads_the_names_and_the_challenge_we_ask_for() {
    let dir = tempfile::tempdir().unwrap();
    let key = Key::p256(8);
    let names = [
        AltName::Dns("csms.example".to_owned()),
        AltName::Ip(vec![127, 0, 0, 1]),
    ];
    let der = csr::build_with(
        &subject("csms"),
        None,
        &key.spki(),
        &names,
        Some("secret"),
        key.algorithm(),
        &|m| key.sign(m),
    )
    .unwrap();
    let file = write(dir.path(), "csr.der", &der);
    let text = said(&openssl(
        [
            "req", "-inform", "DER", "-in", &file, "-verify", "-noout", "-text",
        ]
        .map(String::from),
    ));
    assert!(text.contains("DNS:csms.example, IP Address:127.0.0.1"), "{text}");
    assert!(
        text.contains("challengePassword") && text.contains("secret"),
        "{text}"
    );
    let read = csr::parse(&der, &RustCrypto).unwrap();
    assert_eq!(read.alt_names, names);
    assert_eq!(read.challenge.as_deref(), Some("secret"));
}

#[test]
fn a_request_on_somebody_elses_key_proves_no_possession() {
    let (mine, theirs) = (Key::p256(1), Key::p256(2));
    let der = csr::build(
        &subject("DE*GLA*E1"),
        None,
        &theirs.spki(),
        KeyAlgorithm::P256,
        &|m| mine.sign(m),
    )
    .unwrap();
    let refused = csr::parse(&der, &RustCrypto).unwrap_err();
    assert_eq!(refused, CsrError::Possession);
    assert_eq!(refused.code().as_str(), "pki.csr_possession");
}

#[test]
fn every_flipped_bit_of_a_request_is_noticed() {
    let key = Key::p256(1);
    let der = request(&key);
    for at in 0..der.len() {
        let mut altered = der.clone();
        altered[at] ^= 1;
        assert!(csr::parse(&altered, &RustCrypto).is_err(), "octet {at}");
    }
}

#[test]
fn names_that_are_never_issued_are_refused() {
    let dir = tempfile::tempdir().unwrap();
    let key_file = Key::p256(3).pem(dir.path(), "key.pem");
    let made = |config: &str| {
        let config = write(dir.path(), "req.cnf", config.as_bytes());
        openssl(
            [
                "req", "-new", "-config", &config, "-key", &key_file, "-outform", "DER",
            ]
            .map(String::from),
        )
        .stdout
    };
    let two = made("[req]\nprompt=no\ndistinguished_name=dn\n[dn]\n0.CN=good\n1.CN=evil\n");
    let mail = made(
        "[req]\nprompt=no\ndistinguished_name=dn\nreq_extensions=e\n[dn]\nCN=x\n[e]\nsubjectAltName=email:a@b.example\n",
    );
    let wild = made(
        "[req]\nprompt=no\ndistinguished_name=dn\nreq_extensions=e\n[dn]\nCN=x\n[e]\nsubjectAltName=DNS:*.example\n",
    );
    for der in [two, mail, wild] {
        let refused = csr::parse(&der, &RustCrypto).unwrap_err();
        assert!(matches!(refused, CsrError::Name(_)), "{refused:?}");
    }
    let key = Key::p256(3);
    let nul = csr::build(
        &subject("good\0evil"),
        None,
        &key.spki(),
        KeyAlgorithm::P256,
        &|m| key.sign(m),
    )
    .unwrap();
    assert!(matches!(csr::parse(&nul, &RustCrypto), Err(CsrError::Name(_))));
}

#[test]
fn an_rsa_request_and_one_without_a_signature_worth_the_name_are_refused_by_code() {
    let dir = tempfile::tempdir().unwrap();
    let rsa = dir.path().join("rsa.pem").display().to_string();
    let der = openssl(
        [
            "req", "-new", "-newkey", "rsa:2048", "-nodes", "-keyout", &rsa, "-subj", "/CN=x", "-outform",
            "DER",
        ]
        .map(String::from),
    )
    .stdout;
    assert_eq!(csr::parse(&der, &RustCrypto), Err(CsrError::Key));
    assert_eq!(
        csr::parse(&vec![0x30; csr::MAX_OCTETS + 1], &RustCrypto),
        Err(CsrError::TooLarge)
    );
    let mut tail = request(&Key::p256(1));
    tail.push(0);
    assert!(matches!(
        csr::parse(&tail, &RustCrypto),
        Err(CsrError::Malformed(_))
    ));
}
