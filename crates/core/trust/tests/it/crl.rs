use gridlatch_trust::crl::{self, Crl, CrlError, CrlRequest, Scope};
use gridlatch_trust::revocation::{Reason, Revoked, Status};
use gridlatch_trust::{Generation, RustCrypto};
use gridlatch_vocab::Timestamp;

use crate::support::{Cpo, Entity, Key, Verifier, at, from_now, now, openssl, openssl_any, pem, said, write};
use gridlatch_trust::profile::{Kind, Profile};

fn revoked(serial: &[u8], reason: Reason) -> Revoked {
    Revoked {
        serial: serial.to_vec(),
        at: from_now(-1),
        reason,
    }
}

pub fn list(ca: &Entity, number: u64, base: Option<u64>, entries: &[Revoked]) -> Vec<u8> {
    let request = CrlRequest {
        issuer: &ca.der,
        number,
        base,
        this_update: now(),
        next_update: from_now(7),
        revoked: entries,
        delta_url: Some("http://crl.example/delta.crl"),
    };
    crl::build(&request, ca.key.algorithm(), &|m| ca.key.sign(m)).unwrap()
}

fn crl_pem(lists: &[&[u8]]) -> Vec<u8> {
    let one = |der: &&[u8]| der::pem::encode_string("X509 CRL", der::pem::LineEnding::LF, der).unwrap();
    lists.iter().map(one).collect::<String>().into_bytes()
}

fn attime() -> String {
    (now().0.unix_timestamp() + 60).to_string()
}

#[test]
fn openssl_verifies_our_lists_on_every_key_type() {
    let dir = tempfile::tempdir().unwrap();
    for key in [Key::p256(9), Key::p521(9), Key::ed448(dir.path(), "k.pem")] {
        let generation = if matches!(key, Key::P256(_)) {
            Profile::iso2
        } else {
            Profile::iso20
        };
        let ca = Entity::root(generation(Kind::V2gRoot), "Root", key);
        let der = list(
            &ca,
            7,
            None,
            &[
                revoked(&[0x80, 1], Reason::KeyCompromise),
                revoked(&[5], Reason::Unspecified),
            ],
        );
        let (file, root) = (
            write(dir.path(), "l.crl", &der),
            write(dir.path(), "ca.pem", &pem(&[&ca.der])),
        );
        let text = said(&openssl(
            [
                "crl", "-inform", "DER", "-in", &file, "-CAfile", &root, "-noout", "-text",
            ]
            .map(String::from),
        ));
        assert!(text.contains("verify OK"), "{text}");
        assert!(
            text.contains("Serial Number: 8001") && text.contains("Key Compromise"),
            "{text}"
        );
        let read = crl::parse(&der).unwrap();
        read.verify(&ca.der, &Verifier, now()).unwrap();
        assert_eq!((read.number(), read.base(), read.len()), (Some(7), None, 2));
        let gone = |reason| Status::Revoked {
            at: from_now(-1),
            reason,
        };
        assert_eq!(read.status(&[0, 0x80, 1]), gone(Reason::KeyCompromise));
        assert_eq!(read.status(&[5]), gone(Reason::Unspecified));
        assert_eq!(read.status(&[6]), Status::Good);
    }
}

#[test]
fn openssl_refuses_what_our_list_names_and_only_that() {
    let dir = tempfile::tempdir().unwrap();
    let tree = Cpo::new(Generation::Iso2, 1);
    let other = tree
        .sub2
        .child(Profile::iso2(Kind::SeccLeaf), "DE*GLA*E2", Key::p256(99), 5);
    let lists = [
        list(&tree.root, 1, None, &[]),
        list(&tree.sub1, 1, None, &[]),
        list(
            &tree.sub2,
            1,
            None,
            &[revoked(&4_u16.to_be_bytes(), Reason::Superseded)],
        ),
    ];
    let lists = write(
        dir.path(),
        "lists.pem",
        &crl_pem(&lists.each_ref().map(Vec::as_slice)),
    );
    let root = write(dir.path(), "root.pem", &pem(&[&tree.root.der]));
    let subs = write(
        dir.path(),
        "subs.pem",
        &pem(&[tree.sub2.der.clone(), tree.sub1.der.clone()]),
    );
    for (leaf, fine) in [(&tree.leaf, false), (&other, true)] {
        let leaf = write(dir.path(), "leaf.pem", &pem(&[&leaf.der]));
        let output = openssl_any(
            [
                "verify",
                "-x509_strict",
                "-crl_check_all",
                "-CRLfile",
                &lists,
                "-CAfile",
                &root,
                "-untrusted",
                &subs,
                "-attime",
                &attime(),
                &leaf,
            ]
            .map(String::from),
        );
        assert_eq!(output.status.success(), fine, "{}", said(&output));
        assert!(fine || said(&output).contains("certificate revoked"));
    }
}

#[test]
fn openssl_follows_our_delta() {
    let dir = tempfile::tempdir().unwrap();
    let ca = Entity::root(Profile::iso2(Kind::V2gRoot), "Root", Key::p256(1));
    let sub = ca.child(Profile::iso2(Kind::CpoSub1), "Sub", Key::p256(2), 9);
    let full = list(&ca, 10, None, &[revoked(&[7], Reason::CertificateHold)]);
    let delta = list(
        &ca,
        11,
        Some(10),
        &[
            revoked(&[9], Reason::CaCompromise),
            revoked(&[7], Reason::RemoveFromCrl),
        ],
    );
    let file = write(dir.path(), "lists.pem", &crl_pem(&[&full, &delta]));
    let root = write(dir.path(), "root.pem", &pem(&[&ca.der]));
    let leaf = write(dir.path(), "sub.pem", &pem(&[sub.der]));
    let check = |delta: bool| {
        let mut arguments = vec![
            "verify",
            "-crl_check",
            "-CRLfile",
            &file,
            "-CAfile",
            &root,
            "-partial_chain",
        ];
        if delta {
            arguments.push("-use_deltas");
        }
        let time = attime();
        let mut arguments: Vec<String> = arguments.into_iter().map(String::from).collect();
        arguments.extend(["-attime".to_owned(), time, leaf.clone()]);
        openssl_any(arguments)
    };
    assert!(check(false).status.success(), "{}", said(&check(false)));
    assert!(
        said(&check(true)).contains("certificate revoked"),
        "{}",
        said(&check(true))
    );
    let (full, delta) = (crl::parse(&full).unwrap(), crl::parse(&delta).unwrap());
    assert!(delta.completes(&full) && !full.completes(&delta));
    assert_eq!(
        delta.status(&[8]),
        Status::Unknown,
        "a delta is silent about what it does not list"
    );
    assert_eq!(delta.status(&[7]), Status::Good);
    assert!(matches!(delta.status(&[9]), Status::Revoked { .. }));
    let late = list(&ca, 13, Some(11), &[]);
    assert!(
        !crl::parse(&late).unwrap().completes(&full),
        "its base is newer than the full list"
    );
}

/// A list made by `openssl ca -gencrl`.
fn foreign(ca: &Entity, index: &str, extensions: Option<&str>) -> Crl {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().display().to_string();
    write(dir.path(), "index.txt", index.as_bytes());
    write(dir.path(), "crlnumber", b"1F\n");
    let key = ca.key.pem(dir.path(), "ca.key");
    let cert = write(dir.path(), "ca.pem", &pem(&[&ca.der]));
    let crl_extensions = extensions.map_or("", |_| "crl_extensions=crlx\ncrlnumber=DIR/crlnumber\n");
    let config = format!(
        "[ca]\ndefault_ca=c\n[c]\ndatabase=DIR/index.txt\ndefault_md=sha256\ndefault_crl_days=30\n{crl_extensions}[crlx]\n{}\n",
        extensions.unwrap_or_default()
    )
    .replace("DIR", &path);
    let config = write(dir.path(), "ca.cnf", config.as_bytes());
    let out = dir.path().join("out.crl").display().to_string();
    openssl(
        [
            "ca", "-gencrl", "-config", &config, "-cert", &cert, "-keyfile", &key, "-out", &out,
        ]
        .map(String::from),
    );
    let der = openssl(["crl", "-in", &out, "-outform", "DER"].map(String::from)).stdout;
    crl::parse(&der).unwrap()
}

const INDEX: &str = "R\t380101000000Z\t260901120000Z,keyCompromise\t0A\tunknown\t/CN=a\n\
                     R\t380101000000Z\t260902120000Z\t00FF\tunknown\t/CN=b\nV\t380101000000Z\t\t0C\tunknown\t/CN=c\n";

#[test]
fn lists_made_by_openssl_are_read_with_and_without_extensions() {
    let ca = Entity::root(Profile::iso2(Kind::V2gRoot), "Root", Key::p256(1));
    let v1 = foreign(&ca, "V\t380101000000Z\t\t0C\tunknown\t/CN=c\n", None);
    let made = v1.this_update();
    v1.verify(&ca.der, &RustCrypto, made).unwrap();
    assert_eq!((v1.number(), v1.scope(), v1.is_empty()), (None, Scope::All, true));
    let v2 = foreign(
        &ca,
        INDEX,
        Some("authorityKeyIdentifier=keyid\nissuingDistributionPoint=critical,@idp\n[idp]\nonlyuser=TRUE"),
    );
    v2.verify(&ca.der, &RustCrypto, v2.this_update()).unwrap();
    assert_eq!(
        (v2.number(), v2.scope(), v2.len()),
        (Some(0x1F), Scope::Leaves, 2)
    );
    let when = at("2026-09-01T12:00:00Z");
    assert_eq!(
        v2.status(&[0x0A]),
        Status::Revoked {
            at: when,
            reason: Reason::KeyCompromise
        }
    );
    assert!(matches!(
        v2.status(&[0xFF]),
        Status::Revoked {
            reason: Reason::Unspecified,
            ..
        }
    ));
    assert_eq!(v2.status(&[0x0C]), Status::Good);
}

#[test]
fn a_partitioned_list_covers_only_certificates_that_name_it() {
    let ca = Entity::root(Profile::iso2(Kind::V2gRoot), "Root", Key::p256(1));
    let sub = ca.child(Profile::iso2(Kind::CpoSub1), "Sub", Key::p256(2), 9);
    let part = foreign(
        &ca,
        INDEX,
        Some("issuingDistributionPoint=critical,@idp\n[idp]\nfullname=URI:http://crl.example/shard1.crl"),
    );
    let certificate = gridlatch_trust::certificate::parse(&sub.der).unwrap();
    assert!(
        !part.covers(&certificate),
        "the certificate does not name shard 1: silence proves nothing"
    );
    let whole = crl::parse(&list(&ca, 1, None, &[])).unwrap();
    assert!(whole.covers(&certificate));
}

#[test]
fn a_list_is_not_believed_before_its_time_after_its_time_or_from_another() {
    let ca = Entity::root(Profile::iso2(Kind::V2gRoot), "Root", Key::p256(1));
    let twin = Entity::root(Profile::iso2(Kind::V2gRoot), "Root", Key::p256(2));
    let stranger = Entity::root(Profile::iso2(Kind::V2gRoot), "Stranger", Key::p256(1));
    let read = crl::parse(&list(&ca, 1, None, &[])).unwrap();
    let verify = |ca: &Entity, when: Timestamp| read.verify(&ca.der, &RustCrypto, when);
    let minutes = |count| Timestamp(now().0 + time::Duration::minutes(count));
    verify(&ca, minutes(-5)).unwrap();
    assert_eq!(verify(&ca, minutes(-6)), Err(CrlError::Future(now())));
    verify(&ca, Timestamp(from_now(7).0 + time::Duration::minutes(5))).unwrap();
    assert_eq!(verify(&ca, from_now(8)), Err(CrlError::Old(from_now(7))));
    assert_eq!(
        verify(&twin, now()),
        Err(CrlError::OtherIssuer),
        "same name, other key identifier"
    );
    assert_eq!(verify(&stranger, now()), Err(CrlError::OtherIssuer));
}

#[test]
fn a_list_of_thousands_and_one_beyond_2049_come_back_as_they_were() {
    let ca = Entity::root(Profile::iso2(Kind::V2gRoot), "Root", Key::p256(1));
    let entries: Vec<Revoked> = (1..=5000_u32)
        .map(|serial| Revoked {
            serial: (serial * 77).to_be_bytes().to_vec(),
            at: from_now(-i64::from(serial % 900)),
            reason: Reason::ALL[serial as usize % 7],
        })
        .collect();
    let read = crl::parse(&list(&ca, 1, None, &entries)).unwrap();
    assert_eq!(read.len(), 5000);
    for entry in &entries {
        let expected = Status::Revoked {
            at: entry.at,
            reason: entry.reason,
        };
        assert_eq!(read.status(&entry.serial), expected);
        assert_eq!(read.status(&[&entry.serial[..], &[1]].concat()), Status::Good);
    }
    let (this_update, next_update) = (at("2051-03-01T00:00:00Z"), at("2051-04-01T00:00:00Z"));
    let request = CrlRequest {
        issuer: &ca.der,
        number: u64::MAX,
        base: None,
        this_update,
        next_update,
        revoked: &[],
        delta_url: None,
    };
    let der = crl::build(&request, ca.key.algorithm(), &|m| ca.key.sign(m)).unwrap();
    let read = crl::parse(&der).unwrap();
    assert_eq!(
        (read.this_update(), read.next_update()),
        (this_update, Some(next_update))
    );
    assert_eq!(read.number(), Some(u64::MAX));
    read.verify(&ca.der, &RustCrypto, this_update).unwrap();
}

#[test]
fn every_flipped_bit_of_a_list_is_noticed() {
    let ca = Entity::root(Profile::iso2(Kind::V2gRoot), "Root", Key::p256(1));
    let der = list(&ca, 1, None, &[revoked(&[5], Reason::KeyCompromise)]);
    for at in 0..der.len() {
        let mut altered = der.clone();
        altered[at] ^= 0x01;
        let believed =
            crl::parse(&altered).is_ok_and(|list| list.verify(&ca.der, &RustCrypto, now()).is_ok());
        assert!(!believed, "octet {at}");
    }
}

#[test]
fn contradictory_lists_are_not_made() {
    let ca = Entity::root(Profile::iso2(Kind::V2gRoot), "Root", Key::p256(1));
    let make = |base, next_update, entries: &[Revoked]| {
        let request = CrlRequest {
            issuer: &ca.der,
            number: 3,
            base,
            this_update: now(),
            next_update,
            revoked: entries,
            delta_url: Some("http://crl.example/delta.crl"),
        };
        crl::build(&request, ca.key.algorithm(), &|m| ca.key.sign(m)).is_ok()
    };
    assert!(make(
        Some(2),
        from_now(1),
        &[revoked(&[7], Reason::RemoveFromCrl)]
    ));
    assert!(!make(Some(3), from_now(1), &[]), "a base that is no older");
    assert!(!make(None, now(), &[]), "no time to live");
    assert!(!make(None, from_now(1), &[revoked(&[7], Reason::RemoveFromCrl)]));
    assert!(!make(
        None,
        from_now(1),
        &[
            revoked(&[7], Reason::Superseded),
            revoked(&[0, 7], Reason::Superseded)
        ]
    ));
}
