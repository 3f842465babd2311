//! Files as others load them, looked at the way those others do.

use gridlatch_testkit::need;

use crate::{Desk, files};

#[test]
fn pem_and_der_are_the_same_certificates_for_openssl() {
    need!(openssl);
    let desk = Desk::with_ca("iso2,ocpp");
    desk.ok("pki export --as pem --out pem");
    desk.ok("pki export --as der --out der");
    desk.no("pki export --as pem --out pem", 1, "pem exists already");
    let names: Vec<String> = files(&desk.path("pem"))
        .into_iter()
        .map(|name| name.trim_end_matches(".pem").to_owned())
        .collect();
    assert_eq!(names.len(), 13, "{names:?}");
    for name in &names {
        let print = |form: &str| {
            let (form, file) = (form.to_uppercase(), format!("{form}/{name}.{form}"));
            desk.peer(
                "openssl",
                &[
                    "x509",
                    "-inform",
                    &form,
                    "-in",
                    &file,
                    "-noout",
                    "-fingerprint",
                    "-sha256",
                ],
            )
        };
        assert_eq!(print("pem"), print("der"), "{name}");
    }
}

#[test]
fn an_archive_opens_with_its_passphrase_only() {
    need!(openssl);
    let desk = Desk::with_ca("iso20,ocpp");
    desk.ok("pki issue contract-leaf --tree iso20 --cn DEACMC12345678 --out contract");
    std::fs::write(desk.path("pass"), "correct horse\nsecond line\n").unwrap();
    let line = "pki export --as pkcs12 --cert contract.crt.pem --key contract.key.pem --passphrase-file pass";
    desk.ok(&format!("{line} --out contract.p12"));
    desk.no(
        &format!("{line} --out contract.p12"),
        1,
        "contract.p12 exists already",
    );
    let open = |secret: &str, what: &str| {
        desk.peer(
            "openssl",
            &["pkcs12", "-in", "contract.p12", "-passin", secret, what, "-nodes"],
        )
    };
    let certificates = open("pass:correct horse", "-nokeys");
    assert_eq!(
        certificates.matches("BEGIN CERTIFICATE").count(),
        3,
        "{certificates}"
    );
    assert!(open("pass:correct horse", "-nocerts").contains("BEGIN PRIVATE KEY"));
    let wrong = std::process::Command::new("openssl")
        .args([
            "pkcs12",
            "-in",
            "contract.p12",
            "-passin",
            "pass:other",
            "-nokeys",
        ])
        .current_dir(desk.path(""))
        .output()
        .unwrap();
    assert!(!wrong.status.success());
    // Another's key makes no archive.
    desk.ok("pki issue contract-leaf --tree iso20 --cn DEACMC12345679 --out other");
    let line = line.replace("contract.key.pem", "other.key.pem");
    let said = desk.run(&format!("{line} --out other.p12"));
    assert!(said.code != 0 && !desk.path("other.p12").exists(), "{said:?}");
}

/// The module EvseSecurity of EVerest, as it is configured by default: four bundles of roots, and two folders with
/// leaves, each with its key beside it under the same name. The bundle of the manufacturer says who may sign firmware;
/// an empty one is what the library makes itself where there is none.
#[test]
fn everest_finds_its_roots_and_its_leaves_and_no_firmware_signer() {
    need!(openssl);
    let desk = Desk::with_ca("iso2,iso20,ocpp");
    for tree in ["iso2", "iso20"] {
        desk.ok(&format!(
            "pki export --as everest --tree {tree} --station CS-1 --evse DE*ACM*E7 --out {tree}"
        ));
        assert_eq!(
            files(&desk.path(tree)),
            [
                "ca/csms/CSMS_ROOT_CA.pem",
                "ca/mf/MF_ROOT_CA.pem",
                "ca/mo/MO_ROOT_CA.pem",
                "ca/v2g/V2G_ROOT_CA.pem",
                "client/csms/CSMS_CERT_CHAIN.pem",
                "client/csms/CSMS_LEAF.key",
                "client/csms/CSMS_LEAF.pem",
                "client/cso/CPO_CERT_CHAIN.pem",
                "client/cso/SECC_LEAF.key",
                "client/cso/SECC_LEAF.pem",
            ]
        );
        assert_eq!(desk.text(&format!("{tree}/ca/mf/MF_ROOT_CA.pem")), "");
        for (folder, chain, leaf, root) in [
            ("cso", "CPO_CERT_CHAIN", "SECC_LEAF", "v2g/V2G_ROOT_CA"),
            ("csms", "CSMS_CERT_CHAIN", "CSMS_LEAF", "csms/CSMS_ROOT_CA"),
        ] {
            let file = |name: &str, end: &str| format!("{tree}/client/{folder}/{name}.{end}");
            let said = desk.peer(
                "openssl",
                &[
                    "verify",
                    "-x509_strict",
                    "-CAfile",
                    &format!("{tree}/ca/{root}.pem"),
                    "-untrusted",
                    &file(chain, "pem"),
                    &file(leaf, "pem"),
                ],
            );
            assert!(said.ends_with("OK\n"), "{said}");
            assert!(
                desk.text(&file(chain, "pem"))
                    .starts_with(&desk.text(&file(leaf, "pem"))),
                "the leaf comes first"
            );
            let of_key = desk.peer("openssl", &["pkey", "-in", &file(leaf, "key"), "-pubout"]);
            let of_leaf = desk.peer(
                "openssl",
                &["x509", "-in", &file(leaf, "pem"), "-noout", "-pubkey"],
            );
            assert_eq!(of_key, of_leaf);
        }
    }
    // A manufacturer's root goes where it was given; a name that no certificate may have leaves no folder behind.
    std::fs::copy(desk.path("iso2/ca/mo/MO_ROOT_CA.pem"), desk.path("maker.pem")).unwrap();
    desk.ok("pki export --as everest --station CS-1 --evse DE*ACM*E7 --mf-root maker.pem --out with");
    assert_eq!(desk.text("with/ca/mf/MF_ROOT_CA.pem"), desk.text("maker.pem"));
    desk.no(
        "pki export --as everest --station CS-1 --evse what! --out bad",
        1,
        "pki.lint_refused",
    );
    assert!(!desk.path("bad").exists());
    desk.ok("pki export --as everest --station CS-1 --evse DE*ACM*E7 --out bad");
}

/// What Josev's own code says it loads.
const LOADS: &str = "
import iso15118.shared.security as s
for group, folder in ((s.CertPath, 'certs'), (s.KeyPath, 'private_keys'), (s.KeyPasswordPath, 'private_keys')):
    for entry in group:
        print(folder + '/' + entry.value.split('/')[-1])
";

#[test]
fn josev_finds_every_file_it_loads() {
    need!(josev, openssl);
    let desk = Desk::with_ca("iso2,iso20,ocpp");
    let said = desk.ok("pki export --as josev --out josev");
    assert!(said.contains("PKI_PATH="), "{said}");
    desk.no("pki export --as josev --out josev", 1, "exists already");
    let made = files(&desk.path("josev/iso15118_2"));
    let python = gridlatch_testkit::python::josev().unwrap();
    let loads = desk.peer(python.to_str().unwrap(), &["-c", LOADS]);
    let mut missing: Vec<&str> = loads
        .lines()
        .filter(|file| !made.iter().any(|have| have == file))
        .collect();
    missing.sort_unstable();
    assert!(loads.lines().count() > 30, "{loads}");
    assert!(
        missing.is_empty(),
        "Josev loads, and we do not write: {missing:#?}"
    );
    let folder = "josev/iso15118_2/certs";
    let said = desk.peer(
        "openssl",
        &[
            "verify",
            "-x509_strict",
            "-CAfile",
            &format!("{folder}/v2gRootCACert.pem"),
            "-untrusted",
            &format!("{folder}/cpoCertChain.pem"),
            &format!("{folder}/seccLeafCert.pem"),
        ],
    );
    assert!(said.ends_with("OK\n"), "{said}");
    // What was issued for Josev is in the books; keys of CAs do not leave one of two operators.
    let listed = desk.ok("pki list --limit 10");
    assert!(listed.contains("secc-leaf"), "{listed}");
    let two = crate::ceremony::two_operators();
    two.no("pki export --as josev --out josev", 1, "two operators");
    assert!(!two.path("josev").exists());
}
