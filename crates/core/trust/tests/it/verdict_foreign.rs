//! Certificates as others make them, made by OpenSSL's command line.

use std::path::Path;

use gridlatch_trust::profile::{Kind, Profile};
use gridlatch_trust::verdict::{check, findings};
use gridlatch_trust::{Generation, certificate};
use gridlatch_vocab::Timestamp;
use gridlatch_vocab::catalogue::pki;

use crate::support::{Cpo, Entity, Key, now, openssl, pem, write};

/// A certificate for `key` under `ca`, or self-signed, with OpenSSL's extension lines.
fn made(
    dir: &Path,
    ca: Option<&Entity>,
    key: &str,
    subject: &str,
    serial: &str,
    extensions: &str,
) -> Vec<u8> {
    let config = write(
        dir,
        "x.cnf",
        format!("[req]\nprompt=no\nutf8=yes\nstring_mask=utf8only\ndistinguished_name=dn\n[dn]\n{subject}\n[x]\n{extensions}\n")
            .as_bytes(),
    );
    let request = openssl(["req", "-new", "-config", &config, "-key", key].map(String::from)).stdout;
    let request = write(dir, "x.csr", &request);
    let mut arguments = vec![
        "x509",
        "-req",
        "-in",
        &request,
        "-days",
        "60",
        "-outform",
        "DER",
        "-set_serial",
        serial,
    ];
    arguments.extend(["-extfile", &config, "-extensions", "x"]);
    let (cert, signer);
    match ca {
        Some(ca) => {
            cert = write(dir, "ca.pem", &pem(&[&ca.der]));
            signer = ca.key.pem(dir, "ca.key");
            arguments.extend(["-CA", &cert, "-CAkey", &signer]);
        }
        None => arguments.extend(["-signkey", key]),
    }
    openssl(arguments.into_iter().map(String::from)).stdout
}

/// A moment at which what OpenSSL has just made is valid: it stamps with its own clock.
fn while_valid(der: &[u8]) -> Timestamp {
    Timestamp(certificate::summary(der).unwrap().not_before.0 + time::Duration::hours(1))
}

const CA: &str =
    "basicConstraints=critical,CA:TRUE\nkeyUsage=critical,keyCertSign,cRLSign\nsubjectKeyIdentifier=hash";
const LEAF: &str = "basicConstraints=critical,CA:FALSE\nkeyUsage=critical,digitalSignature,keyAgreement";
const SECC: Profile = Profile::iso2(Kind::SeccLeaf);

fn codes(chain: &[Vec<u8>]) -> Vec<&'static str> {
    findings(chain, SECC)
        .iter()
        .map(|finding| finding.code.as_str())
        .collect()
}

#[test]
fn a_root_with_extended_key_usage_is_believed_and_the_oddity_told() {
    let dir = tempfile::tempdir().unwrap();
    let key = Key::p256(1);
    let file = key.pem(dir.path(), "root.key");
    let extensions = format!("{CA}\nextendedKeyUsage=serverAuth,clientAuth");
    let root = Entity {
        der: made(dir.path(), None, &file, "CN=Hub Root\nDC=V2G", "1", &extensions),
        key,
        name: "Hub Root".to_owned(),
    };
    let leaf_key = Key::p256(2).pem(dir.path(), "leaf.key");
    let leaf = made(
        dir.path(),
        Some(&root),
        &leaf_key,
        "CN=DE*HUB*E1\nDC=CPO",
        "0x1234",
        LEAF,
    );
    let when = while_valid(&root.der);
    check(&[leaf.clone()], &[root.der.clone()], SECC, when).unwrap();
    let told = findings(&[leaf, root.der], SECC);
    assert_eq!(
        told.iter().map(|f| f.code.as_str()).collect::<Vec<_>>(),
        ["pki.odd_purpose", "pki.root_sent"]
    );
    assert!(
        told[0].message.contains("serverAuth, clientAuth"),
        "{}",
        told[0].message
    );
}

#[test]
fn wrong_domain_wrong_curve_rsa_and_ed25519_are_named_for_what_they_are() {
    let dir = tempfile::tempdir().unwrap();
    let key = Key::p256(1);
    let root_key = key.pem(dir.path(), "root.key");
    let root = Entity {
        der: made(dir.path(), None, &root_key, "CN=Root", "1", CA),
        key,
        name: "Root".to_owned(),
    };
    let when = while_valid(&root.der);
    let refused = |subject: &str, algorithm: &[&str]| {
        let file = dir.path().join("leaf.key").display().to_string();
        let mut arguments = vec!["genpkey", "-out", &file, "-algorithm"];
        arguments.extend(algorithm);
        openssl(arguments.into_iter().map(String::from));
        let leaf = made(dir.path(), Some(&root), &file, subject, "5", LEAF);
        check(&[leaf], &[root.der.clone()], SECC, when).unwrap_err()
    };
    let p256 = ["EC", "-pkeyopt", "ec_paramgen_curve:P-256"];
    assert_eq!(refused("CN=DE*X*E1\nDC=V2G", &p256).code, pki::DOMAIN_COMPONENT);
    assert_eq!(refused("CN=DE*X*E1", &p256).code, pki::DOMAIN_COMPONENT);
    for (algorithm, words) in [
        (&["EC", "-pkeyopt", "ec_paramgen_curve:P-384"][..], "secp384r1"),
        (
            &["RSA", "-pkeyopt", "rsa_keygen_bits:2048"][..],
            "RSA with 2048 bits",
        ),
        (&["ED25519"][..], "Ed25519"),
        (&["ED448"][..], "Ed448"),
    ] {
        let rejected = refused("CN=DE*X*E1\nDC=CPO", algorithm);
        assert_eq!(rejected.code, pki::WRONG_CURVE);
        assert!(rejected.message.contains(words), "{rejected}");
    }
}

#[test]
fn an_rsa_root_is_refused_as_an_algorithm_no_profile_allows() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("rsa.key").display().to_string();
    openssl(["genpkey", "-algorithm", "RSA", "-out", &file].map(String::from));
    let root = made(dir.path(), None, &file, "CN=Rsa Root", "1", CA);
    let leaf_key = Key::p256(2).pem(dir.path(), "leaf.key");
    let config = write(
        dir.path(),
        "l.cnf",
        format!("[req]\nprompt=no\ndistinguished_name=dn\n[dn]\nCN=DE*X*E1\nDC=CPO\n[x]\n{LEAF}\n")
            .as_bytes(),
    );
    let request = openssl(["req", "-new", "-config", &config, "-key", &leaf_key].map(String::from)).stdout;
    let (request, ca) = (
        write(dir.path(), "l.csr", &request),
        write(dir.path(), "rsa.pem", &pem(&[&root])),
    );
    let leaf = openssl(
        [
            "x509",
            "-req",
            "-in",
            &request,
            "-CA",
            &ca,
            "-CAkey",
            &file,
            "-extfile",
            &config,
            "-extensions",
            "x",
            "-outform",
            "DER",
        ]
        .map(String::from),
    )
    .stdout;
    let when = while_valid(&root);
    let rejected = check(&[leaf.clone()], &[root.clone()], SECC, when).unwrap_err();
    assert_eq!(rejected.code, pki::UNSUPPORTED_ALGORITHM, "{rejected}");
    assert!(codes(&[leaf, root]).contains(&"pki.wrong_curve"));
}

#[test]
fn negative_serials_and_hidden_characters_are_told() {
    let dir = tempfile::tempdir().unwrap();
    let key = Key::p256(1).pem(dir.path(), "k.key");
    let negative = made(dir.path(), None, &key, "CN=Odd", "-5", CA);
    assert_eq!(codes(&[negative]), ["pki.odd_serial"]);
    let zero = made(dir.path(), None, &key, "CN=Odd", "0", CA);
    assert_eq!(codes(&[zero]), ["pki.odd_serial"]);
    // A NUL in a name: OpenSSL's command line cannot make one, a bent certificate can show it.
    let mut nul = Cpo::new(Generation::Iso2, 1).sub1.der;
    let at = nul.windows(6).rposition(|w| w == b"Sub1 1").unwrap();
    nul[at + 4] = 0;
    assert_eq!(codes(&[nul]), ["pki.odd_name"]);
}

#[test]
fn a_key_of_sixteen_thousand_bits_and_an_extension_sent_twice_are_refused_at_once() {
    let tree = Cpo::new(Generation::Iso2, 1);
    // SEQUENCE { rsaEncryption, BIT STRING { SEQUENCE { INTEGER of 2048 octets, 65537 } } }
    let mut modulus = vec![0x02, 0x82, 0x08, 0x01, 0x00];
    modulus.extend([0xC5; 2048]);
    modulus.extend([0x02, 0x03, 0x01, 0x00, 0x01]);
    let wrap = |tag: u8, inner: &[u8]| {
        let length = u16::try_from(inner.len()).unwrap().to_be_bytes();
        [&[tag, 0x82, length[0], length[1]], inner].concat()
    };
    let bits = wrap(0x03, &[&[0], &wrap(0x30, &modulus)[..]].concat());
    let algorithm = hex::decode("300d06092a864886f70d0101010500").unwrap();
    let spki = wrap(0x30, &[algorithm, bits].concat());
    let leaf = certificate::parse(&tree.leaf.der).unwrap();
    let mut huge = leaf.clone();
    huge.tbs_certificate.subject_public_key_info = der::Decode::from_der(&spki).unwrap();
    let huge = der::Encode::to_der(&huge).unwrap();
    let anchors = [tree.root.der.clone()];
    let judge = |leaf: Vec<u8>| {
        let mut chain = tree.chain();
        chain[0] = leaf;
        check(&chain, &anchors, SECC, now()).unwrap_err()
    };
    let rejected = judge(huge);
    assert_eq!(rejected.code, pki::TOO_LARGE, "{rejected}");
    let mut twice = leaf;
    let extensions = twice.tbs_certificate.extensions.as_mut().unwrap();
    extensions.push(extensions[2].clone());
    let rejected = judge(der::Encode::to_der(&twice).unwrap());
    assert_eq!(rejected.code, pki::MALFORMED);
    assert!(rejected.message.contains("occurs twice"), "{rejected}");
}
