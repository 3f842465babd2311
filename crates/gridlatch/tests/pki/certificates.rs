//! Issuing, renewing, revoking, listing and judging, with OpenSSL as the witness.

use gridlatch_testkit::need;

use crate::{Desk, values};

/// A name that fits each kind of leaf.
const VEHICLE_SIDE: [(&str, &str); 5] = [
    ("secc-leaf", "DE*ACM*E1"),
    ("cps-leaf", "Acme-CPS"),
    ("oem-provisioning", "WBAACM1234567890A"),
    ("vehicle-leaf", "WBAACM1234567890A"),
    ("contract-leaf", "DEACMC12345678"),
];
const OCPP: [(&str, &str); 3] = [
    ("csms-server", "csms.acme.example"),
    ("station-client", "CS-1"),
    ("bill-signer", "Acme-bills"),
];

#[test]
fn every_leaf_of_every_tree_satisfies_openssl_at_its_strictest() {
    need!(openssl);
    let desk = Desk::with_ca("iso2,iso20,iso20-ed448,ocpp");
    desk.ok("pki bundle --roots all --out roots.pem");
    let vehicle_side = ["iso2", "iso20", "iso20-ed448"]
        .into_iter()
        .flat_map(|tree| VEHICLE_SIDE.map(|(kind, name)| (tree, kind, name)));
    let all = vehicle_side.chain(OCPP.map(|(kind, name)| ("ocpp", kind, name)));
    let mut count = 0;
    for (tree, kind, name) in all {
        let out = format!("{tree}-{kind}");
        let mut line = format!("pki issue {kind} --cn {name} --out {out}");
        if tree != "ocpp" {
            line.push_str(&format!(" --tree {tree}"));
        }
        desk.ok(&line);
        let chain = format!("{out}.crt.pem");
        let said = desk.peer(
            "openssl",
            &[
                "verify",
                "-x509_strict",
                "-CAfile",
                "roots.pem",
                "-untrusted",
                &chain,
                &chain,
            ],
        );
        assert!(said.ends_with("OK\n"), "{said}");
        // The key is the certificate's, and nobody else's to read.
        let key = desk.path(&format!("{out}.key.pem"));
        let of_key = desk.peer("openssl", &["pkey", "-in", &key.display().to_string(), "-pubout"]);
        let of_certificate = desk.peer("openssl", &["x509", "-in", &chain, "-noout", "-pubkey"]);
        assert_eq!(of_key, of_certificate, "{out}");
        use std::os::unix::fs::PermissionsExt as _;
        assert_eq!(key.metadata().unwrap().permissions().mode() & 0o777, 0o600);
        let said = desk.ok(&format!("pki verify {chain}"));
        assert!(
            said.starts_with("accepted as") && !said.contains("register"),
            "{said}"
        );
        count += 1;
    }
    assert_eq!(count, 18);
}

#[test]
fn a_certificate_lives_from_its_request_to_its_revocation() {
    need!(openssl);
    let desk = Desk::with_ca("iso2,iso20,ocpp");
    let request = |digest: &str, out: &str| {
        desk.peer(
            "openssl",
            &[
                "req",
                "-new",
                digest,
                "-newkey",
                "ec",
                "-pkeyopt",
                "ec_paramgen_curve:secp521r1",
                "-nodes",
                "-subj",
                "/CN=DE*ACM*E2/DC=CPO",
                "-keyout",
                "station.key",
                "-out",
                out,
            ],
        );
    };
    // What OpenSSL does unless told otherwise does not go with this curve, and the answer says what does.
    request("-sha256", "wrong.csr");
    desk.no(
        "pki issue secc-leaf --tree iso20 --csr wrong.csr --out station",
        1,
        "openssl req -sha512",
    );
    request("-sha512", "station.csr");
    desk.ok("pki issue secc-leaf --tree iso20 --csr station.csr --out station");
    desk.no(
        "pki issue secc-leaf --tree iso20 --csr station.csr --out again",
        1,
        "ca.request_replayed",
    );
    assert!(!desk.path("again.crt.pem").exists());
    desk.no(
        "pki issue secc-leaf --tree iso2 --csr station.csr --out again",
        1,
        "secp521r1",
    );
    desk.no(
        "pki issue secc-leaf --cn DE*ACM*E3 --out station",
        1,
        "station.crt.pem exists already",
    );
    desk.no("pki issue secc-leaf --cn DE_ACM --out odd", 1, "SECCID or EVSEID");

    // Renewed by its file, and by its number; the old one stays good.
    let issued = &desk.json("pki issue secc-leaf --cn DE*ACM*E4 --out secc")[0];
    let serial = issued["serial"].as_str().unwrap().to_owned();
    desk.no("pki renew secc.crt.pem", 2, "--out");
    let next = desk.json("pki renew secc.crt.pem --out next")[0]["serial"].clone();
    desk.ok(&format!(
        "pki renew {serial} --from iso2/cpo-sub2 --same-key --out same"
    ));
    assert!(!desk.path("same.key.pem").exists(), "the key is where it was");
    for file in ["secc", "next", "same"] {
        desk.ok(&format!("pki verify {file}.crt.pem"));
    }

    // Revoked: once, with a reason that counts, and what comes of it is said.
    desk.no("pki revoke secc.crt.pem --reason tired", 2, "keyCompromise");
    desk.no("pki revoke secc.crt.pem --reason removeFromCRL", 2, "one of");
    desk.no("pki revoke nothing", 2, "neither a file nor a CA");
    desk.no("pki revoke 1234 --from iso2/cpo-sub2", 1, "never issued");
    desk.ok("pki revoke secc.crt.pem --reason keyCompromise");
    desk.no("pki revoke secc.crt.pem", 1, "ca.already_revoked");
    desk.no("pki verify secc.crt.pem", 1, "keyCompromise");
    desk.ok("pki verify next.crt.pem");

    let good = desk.json("pki list --cn DE*ACM*E4");
    let states: Vec<&str> = good.iter().filter_map(|row| row["status"].as_str()).collect();
    assert_eq!(states, ["good", "good", "revoked"], "latest first");
    assert_eq!(good[1]["serial"], next);
    let revoked = desk.json("pki list --revoked");
    assert_eq!(
        (revoked.len(), &revoked[0]["reason"]),
        (1, &"keyCompromise".into())
    );
    let shown = &desk.json(&format!("pki show {serial} --from iso2/cpo-sub2"))[0];
    assert_eq!(shown["status"], "revoked");
    let pem = desk.ok(&format!("pki show {serial} --from iso2/cpo-sub2 --pem"));
    assert_eq!(
        pem.trim(),
        desk.text("secc.crt.pem").trim(),
        "fetched again, chain and all"
    );
    // Nothing to show is said, not printed.
    let said = desk.run("pki list --ending 3");
    assert!(
        said.out.is_empty() && said.err.contains("no such certificates"),
        "{said:?}"
    );
    assert!(desk.ok("pki list --ending 3650 --limit 5").lines().count() == 5);
}

#[test]
fn a_bundle_is_what_its_reader_needs_and_nothing_else() {
    need!(openssl);
    let desk = Desk::with_ca("iso2,iso20,ocpp");
    for (line, certificates) in [
        ("--roots v2g", 2),
        ("--roots v2g --tree iso20", 1),
        ("--roots oem", 2),
        ("--roots csms", 1),
        ("--roots all", 7),
        ("--chain iso2/cpo-sub2", 2),
        ("--chain ocpp/csms-sub", 1),
    ] {
        let pem = desk.ok(&format!("pki bundle {line}"));
        assert_eq!(pem.matches("BEGIN CERTIFICATE").count(), certificates, "{line}");
        assert!(!pem.contains("PRIVATE"), "{line}");
    }
    desk.ok("pki bundle --roots v2g --tree iso2 --out root.pem");
    desk.ok("pki bundle --chain iso2/cpo-sub2 --out chain.pem");
    desk.no(
        "pki bundle --roots v2g --out root.pem",
        1,
        "root.pem exists already",
    );
    desk.no("pki bundle", 2, "--roots");
    desk.no("pki bundle --roots csms --tree iso2", 2, "list --authorities");
    desk.no("pki bundle --chain iso2/cpo-sub9", 1, "cpo-sub9");
    let said = desk.peer(
        "openssl",
        &[
            "verify",
            "-x509_strict",
            "-CAfile",
            "root.pem",
            "-untrusted",
            "chain.pem",
            "chain.pem",
        ],
    );
    assert!(said.ends_with("OK\n"), "{said}");
}

#[test]
fn what_is_promised_as_json_is_json_refusals_too() {
    let desk = Desk::with_ca("iso2,ocpp");
    desk.ok("pki issue secc-leaf --cn DE*ACM*E1 --out secc");
    for line in [
        "pki list",
        "pki list --authorities",
        "pki list --events",
        "pki show iso2/cpo-sub2",
        "pki show secc.crt.pem",
        "pki bundle --roots all",
        "pki verify secc.crt.pem",
        "pki renew secc.crt.pem --out secc2",
        "pki renew iso2/cpo-sub2",
        "pki export --as pem --out folder",
        "pki client add acme --role cpo",
        "pki client list",
        "pki client remove acme",
        "pki revoke secc.crt.pem",
    ] {
        assert!(!desk.json(line).is_empty(), "{line}");
    }
    for (line, exit, code) in [
        ("pki verify secc.crt.pem", 1, Some("revocation.revoked")),
        ("pki show iso2/nobody", 2, None),
        ("pki verify nowhere.pem", 2, Some("ca.store_failed")),
        ("pki revoke secc.crt.pem", 1, Some("ca.already_revoked")),
        ("pki list --data nowhere", 1, Some("ca.not_initialised")),
    ] {
        let said = desk.run(&format!("{line} --format json"));
        let value = &values(&said.out)[0];
        assert_eq!((said.code, value["code"].as_str()), (exit, code), "{said:?}");
        assert!(
            value["error"].as_str().is_some_and(|text| !text.is_empty()),
            "{said:?}"
        );
        assert_eq!(code.is_some(), value["remedy"].is_string(), "{said:?}");
    }
}
