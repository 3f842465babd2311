mod evil;
mod foreign;
mod hardware;
mod hostile;
mod judging;
mod pair;
mod probing;
mod revocation;
mod stapling;
mod tokens;
mod web;
mod world;

use crate::choose::{Facts, choose};
use crate::hello::{Authority, Extensions, Offer};
use gridlatch_trust::KeyAlgorithm;

#[test]
fn the_choice_follows_version_roots_curves_and_order() {
    let facts = |algorithm, root: &str| Facts {
        algorithm,
        root_name: root.as_bytes().to_vec(),
        root_key_id: Some(vec![root.len() as u8; 20]),
        root_sha1: None,
    };
    let have = [
        facts(KeyAlgorithm::P256, "A"),
        facts(KeyAlgorithm::P256, "BB"),
        facts(KeyAlgorithm::Ed448, "A"),
        facts(KeyAlgorithm::P521, "A"),
    ];
    let all = vec![0x0403, 0x0603, 0x0808];
    let offer = |groups: &[u16], authorities: &[Authority]| Offer {
        schemes: all.clone(),
        groups: groups.to_vec(),
        authorities: authorities.to_vec(),
        ..Offer::default()
    };
    let root = |name: &str| Authority::Name(name.as_bytes().to_vec());
    let index = |tls13, offer: &Offer| choose(&have, tls13, offer).map(|(index, _)| index);
    assert_eq!(
        index(false, &offer(&[23, 25, 30], &[])),
        Some(0),
        "TLS 1.2 is P-256, the first configured"
    );
    assert_eq!(
        index(false, &offer(&[23], &[root("BB")])),
        Some(1),
        "by the root's name"
    );
    assert_eq!(
        index(false, &offer(&[23], &[Authority::KeySha1([2; 20])])),
        Some(1),
        "by the root's key"
    );
    assert_eq!(
        index(false, &offer(&[23], &[root("C")])),
        Some(0),
        "an unknown root falls back to the first"
    );
    assert_eq!(
        index(true, &offer(&[23, 25, 30], &[])),
        Some(3),
        "the standard's first choice"
    );
    assert_eq!(index(true, &offer(&[30, 23], &[])), Some(2), "X448 without P-521");
    assert_eq!(
        index(true, &offer(&[23], &[])),
        Some(0),
        "Josev lists only secp256r1"
    );
    assert_eq!(
        index(true, &offer(&[25], &[root("BB")])),
        Some(1),
        "a root outweighs a curve"
    );
    let narrow = Offer {
        schemes: vec![0x0804],
        ..Offer::default()
    };
    assert_eq!(index(true, &narrow), None, "nothing it can verify");
}

#[test]
fn static_ecdh_alone_is_recognised() {
    let only = |suites: &[u16]| {
        Offer {
            suites: suites.to_vec(),
            ..Offer::default()
        }
        .only_static_ecdh()
    };
    assert!(only(&[0xC025, 0x00FF]));
    assert!(!only(&[0xC025, 0xC023]));
    assert!(!only(&[0x00FF]));
}

#[test]
fn trusted_ca_keys_is_read_and_its_lies_are_refused() {
    let parse = |body: &[u8]| {
        Offer::parse(
            &[],
            &Extensions {
                trusted_ca_keys: Some(body),
                ..Extensions::default()
            },
        )
    };
    let mut body = vec![0, 21 + 4, 1];
    body.extend([7; 20]);
    body.extend([2, 0, 1, b'x']);
    assert_eq!(
        parse(&body).unwrap().authorities,
        [Authority::KeySha1([7; 20]), Authority::Name(b"x".to_vec())]
    );
    assert_eq!(
        parse(&[0, 1, 0]).unwrap().authorities,
        [],
        "pre-agreed says nothing"
    );
    for bad in [
        &[][..],
        &[0],
        &[0, 2, 0],
        &[0, 1, 9],
        &[0, 4, 1, 1, 2, 3],
        &[0, 3, 2, 255, 255],
        &[0, 0, 0],
    ] {
        assert_eq!(parse(bad), Err("trusted_ca_keys"), "{bad:?}");
    }
}

proptest::proptest! {
    #[test]
    fn any_extension_bytes_get_an_answer(body in proptest::collection::vec(0_u8.., 0..200)) {
        let extensions = Extensions {
            supported_versions: Some(&body),
            supported_groups: Some(&body),
            signature_algorithms: Some(&body),
            trusted_ca_keys: Some(&body),
            certificate_authorities: Some(&body),
        };
        let _ = Offer::parse(&body, &extensions);
        let _ = Offer::parse(&[], &Extensions { trusted_ca_keys: Some(&body), ..Extensions::default() });
        let _ = Offer::parse(&[], &Extensions { certificate_authorities: Some(&body), ..Extensions::default() });
    }
}
