use gridlatch_trust::ocsp::{
    self, CertId, Hash, Kind as Refusal, NonceRule, OcspError, Request, Responder, Single,
};
use gridlatch_trust::profile::{Kind, Profile};
use gridlatch_trust::revocation::{Reason, Status};
use gridlatch_trust::{Generation, RustCrypto};
use gridlatch_vocab::Timestamp;

use crate::support::{
    Cpo, Entity, Key, Validity, Verifier, from_now, now, openssl, openssl_any, pem, said, write,
};

const SERIAL: &[u8] = &[4];
/// OpenSSL judges the dates of an answer by the clock on the wall, whatever `-attime` says: with a grace of thirty years
/// (in seconds) it believes ours on any day.
const ANY_TIME: &str = "1000000000";

fn single(issuer: &Entity, hash: Hash, status: Status) -> Single {
    Single {
        id: CertId::new(&issuer.der, SERIAL, hash).unwrap(),
        status,
        this_update: now(),
        next_update: Some(from_now(1)),
    }
}

fn revoked() -> Status {
    Status::Revoked {
        at: from_now(-2),
        reason: Reason::KeyCompromise,
    }
}

/// Signed by `signer`, who brings `certs`.
fn answer(signer: &Entity, singles: &[Single], nonce: Option<&[u8]>, certs: &[&Entity]) -> Vec<u8> {
    let certs: Vec<Vec<u8>> = certs.iter().map(|entity| entity.der.clone()).collect();
    ocsp::build_response(
        &signer.der,
        now(),
        singles,
        nonce,
        &certs,
        signer.key.algorithm(),
        &|m| signer.key.sign(m),
    )
    .unwrap()
}

fn responder(ca: &Entity, generation: Generation) -> Entity {
    let profile = Profile {
        kind: Kind::OcspSigner,
        generation,
    };
    ca.child(profile, "OCSP", Key::of(generation, 77), 20)
}

fn believed(der: &[u8], issuer: &Entity, nonce: NonceRule<'_>, now: Timestamp) -> Result<Status, OcspError> {
    let response = ocsp::parse_response(der)?;
    ocsp::verify_response(&response, &issuer.der, SERIAL, nonce, now, &RustCrypto)
}

#[test]
fn openssl_believes_our_answers_delegated_and_direct_by_both_hashes() {
    for generation in [Generation::Iso2, Generation::Iso20] {
        let dir = tempfile::tempdir().unwrap();
        let tree = Cpo::new(generation, 1);
        let delegate = responder(&tree.sub2, generation);
        let root = write(dir.path(), "root.pem", &pem(&[&tree.root.der]));
        let subs = write(
            dir.path(),
            "subs.pem",
            &pem(&[tree.sub2.der.clone(), tree.sub1.der.clone()]),
        );
        let issuer = write(dir.path(), "issuer.pem", &pem(&[&tree.sub2.der]));
        let leaf = write(dir.path(), "leaf.pem", &pem(&[&tree.leaf.der]));
        let time = now().0.unix_timestamp().to_string();
        for (signer, certs) in [(&delegate, vec![&delegate]), (&tree.sub2, vec![])] {
            for (hash, flag) in [(Hash::Sha1, "-sha1"), (Hash::Sha256, "-sha256")] {
                for (status, word) in [
                    (Status::Good, ": good"),
                    (revoked(), ": revoked"),
                    (Status::Unknown, ": unknown"),
                ] {
                    let der = answer(signer, &[single(&tree.sub2, hash, status)], None, &certs);
                    let file = write(dir.path(), "answer.der", &der);
                    let text = said(&openssl(
                        [
                            "ocsp",
                            "-respin",
                            &file,
                            "-issuer",
                            &issuer,
                            flag,
                            "-cert",
                            &leaf,
                            "-CAfile",
                            &root,
                            "-verify_other",
                            &subs,
                            "-attime",
                            &time,
                            "-no_nonce",
                            "-validity_period",
                            ANY_TIME,
                        ]
                        .map(String::from),
                    ));
                    assert!(
                        text.contains("Response verify OK") && text.contains(word),
                        "{text}"
                    );
                    assert_eq!(believed(&der, &tree.sub2, NonceRule::NotSent, now()), Ok(status));
                }
            }
        }
    }
}

#[test]
fn an_ed448_responder_is_believed_by_openssl_and_by_us() {
    let dir = tempfile::tempdir().unwrap();
    let ca = Entity::root(
        Profile::iso20(Kind::V2gRoot),
        "Root",
        Key::ed448(dir.path(), "ca.key"),
    );
    let der = answer(&ca, &[single(&ca, Hash::Sha256, Status::Good)], None, &[]);
    let root = write(dir.path(), "root.pem", &pem(&[&ca.der]));
    let file = write(dir.path(), "answer.der", &der);
    let text = said(&openssl(
        [
            "ocsp",
            "-respin",
            &file,
            "-issuer",
            &root,
            "-sha256",
            "-serial",
            "4",
            "-CAfile",
            &root,
            "-attime",
            &now().0.unix_timestamp().to_string(),
            "-validity_period",
            ANY_TIME,
        ]
        .map(String::from),
    ));
    assert!(
        text.contains("Response verify OK") && text.contains("4: good"),
        "{text}"
    );
    let response = ocsp::parse_response(&der).unwrap();
    let status = ocsp::verify_response(&response, &ca.der, SERIAL, NonceRule::NotSent, now(), &Verifier);
    assert_eq!(status, Ok(Status::Good));
}

#[test]
fn questions_made_by_openssl_are_read_and_ours_are_read_by_openssl() {
    let dir = tempfile::tempdir().unwrap();
    let tree = Cpo::new(Generation::Iso2, 1);
    let issuer = write(dir.path(), "issuer.pem", &pem(&[&tree.sub2.der]));
    let leaf = write(dir.path(), "leaf.pem", &pem(&[&tree.leaf.der]));
    let out = dir.path().join("q.der").display().to_string();
    for (flag, hash) in [("-sha1", Hash::Sha1), ("-sha256", Hash::Sha256)] {
        for nonce in ["-nonce", "-no_nonce"] {
            openssl(
                [
                    "ocsp", "-issuer", &issuer, flag, "-cert", &leaf, "-serial", "0xFFEE", "-serial", "0x0",
                    nonce, "-reqout", &out,
                ]
                .map(String::from),
            );
            let read = ocsp::parse_request(&std::fs::read(&out).unwrap()).unwrap();
            assert_eq!(
                read.ids,
                [
                    CertId::new(&tree.sub2.der, SERIAL, hash).unwrap(),
                    CertId::new(&tree.sub2.der, &[0xFF, 0xEE], hash).unwrap(),
                    CertId::new(&tree.sub2.der, &[0], hash).unwrap()
                ]
            );
            assert_eq!(read.nonce.is_some(), nonce == "-nonce");
            let ours = ocsp::build_request(&read).unwrap();
            let file = write(dir.path(), "ours.der", &ours);
            let text = said(&openssl(
                ["ocsp", "-reqin", &file, "-req_text", "-noverify"].map(String::from),
            ));
            assert!(text.contains("Serial Number: FFEE"), "{text}");
            assert_eq!(
                ours,
                std::fs::read(&out).unwrap(),
                "the same question is the same octets"
            );
        }
    }
}

#[test]
fn the_responder_of_openssl_is_believed_by_name_and_by_key() {
    let dir = tempfile::tempdir().unwrap();
    let tree = Cpo::new(Generation::Iso2, 1);
    let delegate = responder(&tree.sub2, Generation::Iso2);
    let issuer = write(dir.path(), "issuer.pem", &pem(&[&tree.sub2.der]));
    let signer = write(dir.path(), "signer.pem", &pem(&[&delegate.der]));
    let key = delegate.key.pem(dir.path(), "signer.key");
    let index = write(
        dir.path(),
        "index.txt",
        b"R\t380101000000Z\t260901120000Z,superseded\t04\tunknown\t/CN=x\nV\t380101000000Z\t\t05\tunknown\t/CN=y\n",
    );
    let nonce = [0xA5; 16];
    let ids =
        [&[4_u8][..], &[5], &[6]].map(|serial| CertId::new(&tree.sub2.der, serial, Hash::Sha1).unwrap());
    let question = ocsp::build_request(&Request {
        ids: ids.to_vec(),
        nonce: Some(nonce.to_vec()),
    })
    .unwrap();
    let question = write(dir.path(), "q.der", &question);
    let out = dir.path().join("a.der").display().to_string();
    for by_key in [false, true] {
        let mut arguments = vec![
            "ocsp", "-index", &index, "-CA", &issuer, "-rsigner", &signer, "-rkey", &key, "-reqin",
            &question, "-respout", &out, "-ndays", "3",
        ];
        if by_key {
            arguments.push("-resp_key_id");
        }
        openssl(arguments.into_iter().map(String::from));
        let response = ocsp::parse_response(&std::fs::read(&out).unwrap()).unwrap();
        assert_eq!(matches!(response.responder, Responder::Key(_)), by_key);
        // OpenSSL stamps the answer with its own clock.
        let when = response.produced_at;
        let ask = |serial: &[u8]| {
            let rule = NonceRule::Required(&nonce);
            ocsp::verify_response(&response, &tree.sub2.der, serial, rule, when, &RustCrypto).unwrap()
        };
        if when <= from_now(50) {
            assert!(matches!(
                ask(&[4]),
                Status::Revoked {
                    reason: Reason::Superseded,
                    ..
                }
            ));
            assert_eq!(ask(&[5]), Status::Good);
            assert_eq!(ask(&[6]), Status::Unknown);
        }
    }
}

#[test]
fn a_signer_the_ca_has_not_delegated_is_refused_with_the_reason() {
    let tree = Cpo::new(Generation::Iso2, 1);
    let good = [single(&tree.sub2, Hash::Sha1, Status::Good)];
    let why = |signer: &Entity, certs: &[&Entity], when| match believed(
        &answer(signer, &good, None, certs),
        &tree.sub2,
        NonceRule::NotSent,
        when,
    ) {
        Err(OcspError::Unauthorised(why)) => why,
        other => panic!("{other:?}"),
    };
    let delegate = responder(&tree.sub2, Generation::Iso2);
    assert!(why(&delegate, &[], now()).contains("neither the CA nor among"));
    let stranger = responder(&Cpo::new(Generation::Iso2, 2).sub2, Generation::Iso2);
    assert!(why(&stranger, &[&stranger], now()).contains("another CA"));
    assert!(why(&tree.leaf, &[&tree.leaf], now()).contains("OCSPSigning"));
    // Another CA of the same name delegates: the signature of the delegation shows it.
    let impostor = Entity::root(Profile::iso2(Kind::V2gRoot), "Sub2 1", Key::p256(200));
    let fake = responder(&impostor, Generation::Iso2);
    let said = why(&fake, &[&fake], now());
    assert!(
        said.contains("another CA") || said.contains("not signed by the CA"),
        "{said}"
    );
    let profile = Profile::iso2(Kind::OcspSigner);
    let short = tree
        .sub2
        .child_valid(profile, "OCSP", Key::p256(78), 21, Validity { from: -20, to: -1 });
    assert!(why(&short, &[&short], now()).contains("valid from"));
}

#[test]
fn an_answer_about_another_certificate_from_another_time_or_with_another_nonce_is_refused() {
    let tree = Cpo::new(Generation::Iso2, 1);
    let ca = &tree.sub2;
    let der = answer(
        ca,
        &[single(ca, Hash::Sha256, Status::Good)],
        Some(b"0123456789abcdef"),
        &[],
    );
    let response = ocsp::parse_response(&der).unwrap();
    let ask = |serial: &[u8], nonce, when| {
        ocsp::verify_response(&response, &ca.der, serial, nonce, when, &RustCrypto)
    };
    assert_eq!(
        ask(SERIAL, NonceRule::Required(b"0123456789abcdef"), now()),
        Ok(Status::Good)
    );
    assert_eq!(ask(SERIAL, NonceRule::NotSent, now()), Ok(Status::Good));
    assert_eq!(
        ask(&[9], NonceRule::NotSent, now()),
        Err(OcspError::OtherCertificate)
    );
    assert!(matches!(
        ask(SERIAL, NonceRule::Preferred(b"x"), now()),
        Err(OcspError::Nonce(_))
    ));
    assert!(matches!(
        ask(SERIAL, NonceRule::Required(b"x"), now()),
        Err(OcspError::Nonce(_))
    ));
    let minutes = |count| Timestamp(now().0 + time::Duration::minutes(count));
    assert_eq!(ask(SERIAL, NonceRule::NotSent, minutes(-5)), Ok(Status::Good));
    assert!(matches!(
        ask(SERIAL, NonceRule::NotSent, minutes(-6)),
        Err(OcspError::Future(_))
    ));
    assert_eq!(
        ask(SERIAL, NonceRule::NotSent, from_now(2)),
        Err(OcspError::Old(from_now(1)))
    );

    let silent = answer(ca, &[single(ca, Hash::Sha256, Status::Good)], None, &[]);
    assert_eq!(
        believed(&silent, ca, NonceRule::Preferred(b"x"), now()),
        Ok(Status::Good)
    );
    assert!(matches!(
        believed(&silent, ca, NonceRule::Required(b"x"), now()),
        Err(OcspError::Nonce(_))
    ));
    let open = Single {
        next_update: None,
        ..single(ca, Hash::Sha1, Status::Good)
    };
    let open = answer(ca, &[open], None, &[]);
    assert_eq!(
        believed(&open, ca, NonceRule::NotSent, from_now(7)),
        Ok(Status::Good)
    );
    assert_eq!(
        believed(&open, ca, NonceRule::NotSent, from_now(8)),
        Err(OcspError::Old(now()))
    );
}

#[test]
fn of_two_statuses_for_one_certificate_the_worse_counts() {
    let ca = Cpo::new(Generation::Iso2, 1).sub2;
    let both = [
        single(&ca, Hash::Sha1, revoked()),
        single(&ca, Hash::Sha256, Status::Good),
    ];
    let der = answer(&ca, &both, None, &[]);
    assert_eq!(believed(&der, &ca, NonceRule::NotSent, now()), Ok(revoked()));
}

#[test]
fn refusals_are_five_octets_that_openssl_reads() {
    let dir = tempfile::tempdir().unwrap();
    for (kind, word) in [
        (Refusal::MalformedRequest, "malformedrequest"),
        (Refusal::InternalError, "internalerror"),
        (Refusal::TryLater, "trylater"),
        (Refusal::SigRequired, "sigrequired"),
        (Refusal::Unauthorized, "unauthorized"),
    ] {
        let der = ocsp::error_response(kind);
        assert_eq!(ocsp::parse_response(&der), Err(OcspError::Refused(kind)));
        let file = write(dir.path(), "a.der", &der);
        let text = said(&openssl_any(
            ["ocsp", "-respin", &file, "-noverify"].map(String::from),
        ));
        assert!(text.contains(word), "{text}");
    }
}

#[test]
fn every_flipped_bit_of_an_answer_is_noticed() {
    let tree = Cpo::new(Generation::Iso2, 1);
    let delegate = responder(&tree.sub2, Generation::Iso2);
    let der = answer(
        &delegate,
        &[single(&tree.sub2, Hash::Sha1, Status::Good)],
        None,
        &[&delegate],
    );
    for at in 0..der.len() {
        let mut altered = der.clone();
        altered[at] ^= 0x01;
        let outcome = believed(&altered, &tree.sub2, NonceRule::NotSent, now());
        assert!(outcome.is_err(), "octet {at}: {outcome:?}");
    }
}

#[test]
fn questions_beyond_the_bounds_are_refused() {
    let ca = Cpo::new(Generation::Iso2, 1).sub2;
    let ids = |count: u8| {
        (1..=count)
            .map(|n| CertId::new(&ca.der, &[n], Hash::Sha1).unwrap())
            .collect::<Vec<_>>()
    };
    let fine = ocsp::build_request(&Request {
        ids: ids(64),
        nonce: Some(vec![1; 32]),
    })
    .unwrap();
    assert_eq!(ocsp::parse_request(&fine).unwrap().ids.len(), 64);
    assert_eq!(
        ocsp::build_request(&Request {
            ids: ids(65),
            nonce: None
        }),
        Err(OcspError::TooLarge)
    );
    assert_eq!(
        ocsp::build_request(&Request {
            ids: vec![],
            nonce: None
        }),
        Err(OcspError::TooLarge)
    );
    assert!(
        ocsp::build_request(&Request {
            ids: ids(1),
            nonce: Some(vec![1; 33])
        })
        .is_err()
    );
    assert_eq!(
        ocsp::parse_request(&vec![0x30; ocsp::MAX_REQUEST + 1]),
        Err(OcspError::TooLarge)
    );
    // One more than allowed, as a client would send it: openssl asks about 65 serial numbers.
    let dir = tempfile::tempdir().unwrap();
    let issuer = write(dir.path(), "issuer.pem", &pem(&[ca.der]));
    let out = dir.path().join("q.der").display().to_string();
    let mut arguments = vec![
        "ocsp".to_owned(),
        "-issuer".to_owned(),
        issuer,
        "-reqout".to_owned(),
        out.clone(),
    ];
    for serial in 1..=65 {
        arguments.extend(["-serial".to_owned(), serial.to_string()]);
    }
    openssl(arguments);
    assert_eq!(
        ocsp::parse_request(&std::fs::read(&out).unwrap()),
        Err(OcspError::TooLarge)
    );
}
