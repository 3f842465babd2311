//! A root after another, as docs/rollover.md says it: link certificates, a sub-CA under both roots, the stages.

use gridlatch_testkit::need;

use crate::Desk;

#[test]
fn two_roots_vouch_for_each_other_and_openssl_agrees() {
    need!(openssl);
    let desk = Desk::with_ca("iso2,ocpp");
    desk.ok("pki init --single-operator --name Next --tree iso2,ocpp --data next");
    let file = |name: &str, content: String| std::fs::write(desk.path(name), content).unwrap();
    file("g1.pem", desk.ok("pki show iso2/v2g-root --pem"));
    file("g2.pem", desk.ok("pki show iso2/v2g-root --pem --data next"));
    for sub in ["cpo-sub1", "cpo-sub2"] {
        file(
            &format!("{sub}.pem"),
            desk.ok(&format!("pki show iso2/{sub} --pem")),
        );
    }
    let (old, new) = ("data/pki/iso2/v2g-root.key.pem", "next/pki/iso2/v2g-root.key.pem");
    let link = "pki link --old g1.pem --new g2.pem --way";
    desk.no(
        &format!("{link} old-with-new --key {old} --out owl.pem"),
        2,
        "does not belong",
    );
    desk.ok(&format!("{link} old-with-new --key {new} --out owl.pem"));
    desk.ok(&format!("{link} new-with-old --key {old} --out nwo.pem"));
    let cross = format!("pki cross --issuer g2.pem --issuer-key {new} --subject");
    desk.no(&format!("{cross} g1.pem --out bad.pem"), 1, "pki.path_too_long");
    assert!(!desk.path("bad.pem").exists());
    desk.ok(&format!("{cross} cpo-sub1.pem --out by-g2.pem"));
    desk.ok("pki issue secc-leaf --cn DE*ACM*E1 --out secc");
    // Whoever holds one root can check the other before trusting it.
    for (root, file, more) in [
        ("g2.pem", "owl.pem", &[][..]),
        ("g1.pem", "nwo.pem", &[]),
        ("g1.pem", "secc.crt.pem", &["cpo-sub1.pem", "cpo-sub2.pem"]),
        ("g2.pem", "secc.crt.pem", &["by-g2.pem", "cpo-sub2.pem"]),
    ] {
        let mut args = vec!["verify", "-x509_strict", "-CAfile", root];
        args.extend(more.iter().flat_map(|more| ["-untrusted", more]));
        args.push(file);
        assert!(desk.peer("openssl", &args).ends_with("OK\n"), "{root} {file}");
    }
    // The same question to `why`, with the same answers.
    desk.ok("pki why secc.crt.pem --root g1.pem");
    desk.ok("pki why secc.crt.pem --root g2.pem --extra by-g2.pem");
    let said = desk.run("pki why secc.crt.pem --root g2.pem");
    assert!(said.code == 1 && said.out.contains("pki.no_path"), "{said:?}");

    let plan = "pki rollover plan g2.json --old g1.pem --new g2.pem --link owl.pem --link nwo.pem \
                --recertified by-g2.pem";
    assert_eq!(desk.ok(plan).lines().count(), 5);
    desk.no(
        "pki rollover plan g2.json --old g1.pem --new g2.pem",
        2,
        "g2.json",
    );
    desk.no("pki rollover status nowhere.json", 2, "nowhere.json");
    let status = desk.json("pki rollover status g2.json");
    assert_eq!(
        (&status[0]["stage"], &status[0]["completed"]),
        (&"publish".into(), &false.into())
    );
    assert!(desk.ok("pki rollover done g2.json").contains("done"));
    let status = desk.run("pki rollover status g2.json");
    assert!(status.out.contains("cross-link"), "{status:?}");
}
