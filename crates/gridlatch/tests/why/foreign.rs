//! Chains that other CAs' software made.

use std::path::{Path, PathBuf};

use gridlatch_vocab::Timestamp;

use crate::support::{World, json, now, odd, openssl, text};

/// A certificate as another CA's software would make it, by the key of one of the world's CAs.
fn foreign(
    world: &World,
    name: &str,
    (ca, ca_key): (&Path, &Path),
    subject: &str,
    days: &str,
    extensions: &str,
) -> (PathBuf, PathBuf) {
    let file = |end: &str| world.dir.path().join(format!("{name}.{end}"));
    let (key, csr, out) = (file("key"), file("csr"), file("pem"));
    let extensions = format!("subjectKeyIdentifier=hash\nauthorityKeyIdentifier=keyid\n{extensions}");
    let extensions = world.file(&format!("{name}.ext"), extensions.as_bytes());
    openssl(&[
        "req",
        "-new",
        "-newkey",
        "ec",
        "-pkeyopt",
        "ec_paramgen_curve:P-256",
        "-nodes",
        "-sha256",
        "-keyout",
        text(&key),
        "-out",
        text(&csr),
        "-subj",
        subject,
    ]);
    openssl(&[
        "x509",
        "-req",
        "-sha256",
        "-in",
        text(&csr),
        "-CA",
        text(ca),
        "-CAkey",
        text(ca_key),
        "-set_serial",
        "77",
        "-days",
        days,
        "-extfile",
        text(&extensions),
        "-out",
        text(&out),
    ]);
    (out, key)
}

const LEAF: &str = "basicConstraints=critical,CA:FALSE\nkeyUsage=critical,digitalSignature,keyAgreement\n";

#[test]
fn foreign_chains_with_odd_purposes_wrong_components_and_expired_sub_cas_are_explained() {
    let world = World::new();
    let root = world.root();
    let subs = world.pem("subs.pem", &world.chain[1..]);
    let (sub2, sub1) = (
        world.pem("sub2.pem", &world.chain[1..2]),
        world.pem("sub1.pem", &world.chain[2..3]),
    );
    let keys = world.dir.path().join("pki/iso2");
    let (sub2_key, sub1_key) = (keys.join("cpo-sub2.key.pem"), keys.join("cpo-sub1.key.pem"));
    let good = "/CN=DE*TST*E1/O=Foreign/C=DE/DC=CPO";
    let judged = |leaf: &Path, more: &[&str], exit| {
        json(
            leaf,
            &[
                &["--root", text(&root), "--as", "secc-leaf", "--generation", "2"][..],
                more,
            ]
            .concat(),
            exit,
        )
    };
    let extra = ["--extra", text(&subs)];
    let (plain, _) = foreign(&world, "plain", (&sub2, &sub2_key), good, "30", LEAF);
    assert_eq!(odd(&judged(&plain, &extra, 0)), Vec::<&str>::new());
    // As roots of some pools have them.
    let purposes = format!("{LEAF}extendedKeyUsage=serverAuth,clientAuth,1.3.6.1.4.1.311.20.2.2\n");
    let (purpose, _) = foreign(&world, "purpose", (&sub2, &sub2_key), good, "30", &purposes);
    let value = judged(&purpose, &extra, 0);
    assert_eq!(odd(&value), ["pki.odd_purpose"], "{value}");
    let wrong = "/CN=DE*TST*E1/O=Foreign/C=DE/DC=V2G";
    let (component, _) = foreign(&world, "component", (&sub2, &sub2_key), wrong, "30", LEAF);
    let value = judged(&component, &extra, 1);
    assert_eq!(value["reason"]["code"], "pki.domain_component");
    assert!(
        value["reason"]["clause"].as_str().unwrap().contains("15118"),
        "{value}"
    );
    // A sub-CA that ends before its leaf.
    let ca = "basicConstraints=critical,CA:TRUE,pathlen:0\nkeyUsage=critical,keyCertSign,cRLSign\n";
    let short = "/CN=Foreign Sub2/O=Foreign/C=DE/DC=V2G";
    let (sub, sub_key) = foreign(&world, "short", (&sub1, &sub1_key), short, "1", ca);
    let (leaf, _) = foreign(&world, "longer", (&sub, &sub_key), good, "30", LEAF);
    let both = [
        std::fs::read(&leaf).unwrap(),
        std::fs::read(&sub).unwrap(),
        std::fs::read(&sub1).unwrap(),
    ]
    .concat();
    let chain = world.file("expired-sub.pem", &both);
    // Days are rounded up: well inside the third day, or the second of the clock decides the count.
    let at = |hours| Timestamp(now().0 + time::Duration::hours(hours)).to_rfc3339();
    judged(&chain, &[], 0);
    let value = judged(&chain, &["--at", &at(60)], 1);
    assert_eq!(value["reason"]["code"], "pki.expired");
    assert_eq!(
        (&value["reason"]["failing"], &value["reason"]["depth"]),
        (&"Foreign Sub2".into(), &1.into())
    );
    assert_eq!(value["clock_days_ahead"], 2, "{value}");
}
