//! The seeds of the fuzz corpora are what the builders make today: keys, times and signatures here are
//! always the same, so that a format that changes shows. `WRITE_SEEDS=1` writes them again.

use std::path::Path;

use gridlatch_trust::build::AltName;
use gridlatch_trust::ocsp::{self, CertId, Hash, Kind as Refusal, Request, Single};
use gridlatch_trust::profile::{Kind, Profile};
use gridlatch_trust::revocation::{Reason, Revoked, Status};
use gridlatch_trust::{Generation, cms, csr};

use crate::support::{Cpo, Key, cross, from_now, now, subject};

fn seed(target: &str, name: &str, content: &[u8]) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../../../fuzz/corpus")
        .join(target);
    let path = folder.join(name);
    if std::env::var_os("WRITE_SEEDS").is_some() {
        std::fs::create_dir_all(&folder).unwrap();
        std::fs::write(&path, content).unwrap();
    }
    let kept = std::fs::read(&path).unwrap_or_default();
    assert!(kept == content, "{target}/{name} is not what is built today");
}

/// As the target `judge` reads it.
fn parts(parts: &[(u8, &[u8])]) -> Vec<u8> {
    let one = |(kind, content): &(u8, &[u8])| {
        let length = u16::try_from(content.len()).unwrap().to_be_bytes();
        [&[*kind, length[0], length[1]], *content].concat()
    };
    parts.iter().flat_map(one).collect()
}

#[test]
fn the_seeds_of_the_fuzz_corpora_are_what_is_built_today() {
    let generation = Generation::Iso2;
    let (a, b) = (Cpo::new(generation, 1), Cpo::new(generation, 2));
    let key = Key::p256(5);
    let names = [
        AltName::Dns("station.example".to_owned()),
        AltName::Ip(vec![192, 0, 2, 7]),
    ];
    let request = |key: &Key| {
        let (spki, algorithm) = (key.spki(), key.algorithm());
        csr::build_with(
            &subject("DE*GLA*E1"),
            Some("CPO"),
            &spki,
            &names,
            Some("secret"),
            algorithm,
            &|m| key.sign(m),
        )
        .unwrap()
    };
    seed("csr", "p256", &request(&key));
    seed("csr", "p521", &request(&Key::p521(5)));
    seed("csr", "truncated", &request(&key)[..100]);

    let entries = [4, 9, 200].map(|serial| Revoked {
        serial: vec![serial],
        at: from_now(-1),
        reason: Reason::KeyCompromise,
    });
    let full = crate::crl::list(&a.sub2, 5, None, &entries[1..]);
    let delta = crate::crl::list(&a.sub2, 6, Some(5), &entries[..1]);
    seed("crl", "full", &full);
    seed("crl", "delta", &delta);
    seed("crl", "empty", &crate::crl::list(&a.root, 1, None, &[]));

    let id = |hash| CertId::new(&a.sub2.der, &[4], hash).unwrap();
    let question = Request {
        ids: vec![id(Hash::Sha1), id(Hash::Sha256)],
        nonce: Some(vec![7; 16]),
    };
    seed(
        "ocsp-request",
        "two-with-nonce",
        &ocsp::build_request(&question).unwrap(),
    );
    let plain = Request {
        ids: vec![id(Hash::Sha1)],
        nonce: None,
    };
    seed("ocsp-request", "plain", &ocsp::build_request(&plain).unwrap());

    let single = |status| Single {
        id: id(Hash::Sha256),
        status,
        this_update: now(),
        next_update: Some(from_now(1)),
    };
    let delegate = a
        .sub2
        .child(Profile::iso2(Kind::OcspSigner), "OCSP", Key::p256(77), 20);
    let answer = |status| {
        let certs = [delegate.der.clone()];
        let algorithm = delegate.key.algorithm();
        ocsp::build_response(
            &delegate.der,
            now(),
            &[single(status)],
            Some(&[7; 16]),
            &certs,
            algorithm,
            &|m| delegate.key.sign(m),
        )
        .unwrap()
    };
    let revoked = Status::Revoked {
        at: from_now(-1),
        reason: Reason::Superseded,
    };
    seed("ocsp-response", "good-delegated", &answer(Status::Good));
    seed("ocsp-response", "revoked", &answer(revoked));
    seed(
        "ocsp-response",
        "try-later",
        &ocsp::error_response(Refusal::TryLater),
    );

    seed("cms", "chain", &cms::certs_only(&a.chain()).unwrap());
    seed("cms", "empty", &cms::certs_only(&[]).unwrap());

    let over = cross(&b.sub1, Kind::CpoSub1, &a.root, generation, 71);
    let good = answer(Status::Good);
    seed(
        "judge",
        "crossed-with-evidence",
        &parts(&[
            (0, &b.leaf.der),
            (0, &b.sub2.der),
            (0, &b.sub1.der),
            (0, &over),
            (1, &a.root.der),
            (2, &b.root.der),
            (3, &full),
            (3, &delta),
            (4, &good),
        ]),
    );
    seed(
        "judge",
        "stapled",
        &parts(&[
            (0, &a.leaf.der),
            (0, &a.sub2.der),
            (0, &a.sub1.der),
            (1, &a.root.der),
            (4, &good),
            (3, &full),
        ]),
    );
    seed(
        "judge",
        "nothing-trusted",
        &parts(&[(0, &a.leaf.der), (0, &a.sub2.der), (2, &a.sub1.der)]),
    );
}
