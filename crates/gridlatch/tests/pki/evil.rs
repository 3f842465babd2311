//! Evil files for `gridlatch pki`: each command that reads one ends soon with a word about it, and has issued, revoked,
//! registered and written nothing.

use std::time::{Duration, Instant};

use gridlatch_keys::{FileKey, KeyAlgorithm, Signer as _};
use gridlatch_testkit::evil::{self, Evil, Template, der};
use gridlatch_trust::certificate;

use crate::{Desk, Said, files};

fn signer(key: &FileKey) -> impl Fn(&[u8]) -> Vec<u8> + '_ {
    |message| key.sign(message).unwrap()
}

/// The subject of a certificate, DER: what stands sixth in what is signed.
fn subject(certificate: &[u8]) -> Vec<u8> {
    fn split(octets: &[u8]) -> (usize, usize) {
        let long = usize::from(octets[1] & 0x7F);
        if octets[1] < 0x80 {
            return (2, 2 + long);
        }
        let length = octets[2..2 + long]
            .iter()
            .fold(0, |sum, octet| sum << 8 | usize::from(*octet));
        (2 + long, 2 + long + length)
    }
    let mut rest = &certificate[split(certificate).0..];
    rest = &rest[split(rest).0..];
    for _ in 0..5 {
        rest = &rest[split(rest).1..];
    }
    rest[..split(rest).1].to_vec()
}

/// A CA, and what its sub-CA could sign if somebody had its key.
struct Stolen {
    desk: Desk,
    key: FileKey,
    above: Vec<Vec<u8>>,
    honest: Template,
}

impl Stolen {
    fn new() -> Self {
        let desk = Desk::with_ca("iso2,ocpp");
        let shown = |name: &str| {
            let pem = desk.ok(&format!("pki show iso2/{name} --pem"));
            certificate::from_pem(pem.as_bytes()).unwrap().remove(0)
        };
        let above = vec![shown("cpo-sub2"), shown("cpo-sub1")];
        std::fs::write(desk.path("root.pem"), evil::pem(&shown("v2g-root"))).unwrap();
        let key = FileKey::load(&desk.path("data/pki/iso2/cpo-sub2.key.pem")).unwrap();
        let leaf = FileKey::generate(KeyAlgorithm::P256).unwrap();
        let honest = Template::leaf(
            &subject(&above[0]),
            "DE*ACM*E1",
            Some("CPO"),
            leaf.public_key_der(),
            0x88,
        );
        Self {
            desk,
            key,
            above,
            honest,
        }
    }

    fn chain(&self, leaf: &[u8]) -> String {
        let above = self.above.iter().map(|der| evil::pem(der));
        std::iter::once(evil::pem(leaf)).chain(above).collect()
    }
}

/// Runs a line that has to end with "no" or "wrong use" within seconds, and say why in few words.
fn refused(desk: &Desk, defect: &str, line: &str) -> Said {
    let begun = Instant::now();
    let said = desk.run(line);
    assert!(
        begun.elapsed() < Duration::from_secs(20),
        "{defect}: {:?}",
        begun.elapsed()
    );
    assert!(said.code == 1 || said.code == 2, "{defect}: {said:?}");
    let all = format!("{}{}", said.out, said.err);
    assert!(
        !all.contains('\0') && !all.contains("panicked") && all.len() < 16 * 1024,
        "{defect}: {said:?}"
    );
    assert!(!all.trim().is_empty(), "{defect}: nothing is said");
    if said.code == 1 {
        let coded = ["pki.", "ca.", "revocation.", "rollover."]
            .iter()
            .any(|area| all.contains(area));
        assert!(coded, "{defect}: no code: {said:?}");
    }
    said
}

/// Everything that a command could have added.
fn state(desk: &Desk) -> (String, Vec<String>) {
    let kept = files(&desk.path(""))
        .into_iter()
        .filter(|file| !file.contains("ca.db"));
    (desk.ok("pki list --format json"), kept.collect())
}

#[test]
fn every_defect_of_a_certificate_in_a_file_is_refused_by_each_command_that_reads_one() {
    let stolen = Stolen::new();
    let (desk, by_sub) = (&stolen.desk, signer(&stolen.key));
    let honest = stolen.honest.signed(&by_sub);
    std::fs::write(desk.path("evil.pem"), stolen.chain(&honest)).unwrap();
    std::fs::write(desk.path("evil.der"), &honest).unwrap();
    desk.ok("pki why evil.pem --root root.pem");
    // Nothing is wrong with it but that this CA never issued it, which only its register can know.
    let said = desk.ok("pki verify evil.pem --as secc-leaf");
    assert!(said.contains("not in the register: serial number"), "{said}");
    let before = state(desk);
    let cases = evil::certificates(&stolen.honest, &by_sub);
    assert!(cases.len() > 40);
    for Evil { defect, der } in &cases {
        std::fs::write(desk.path("evil.pem"), stolen.chain(der)).unwrap();
        std::fs::write(desk.path("evil.der"), der).unwrap();
        let explained = refused(desk, defect, "pki why evil.pem --root root.pem --format json");
        if explained.code == 1 {
            let value: serde_json::Value = serde_json::from_str(&explained.out).unwrap();
            assert!(
                value["reason"]["code"].as_str().unwrap().starts_with("pki."),
                "{defect}: {value}"
            );
        }
        // The commands that act on a certificate find it by what the register knows.
        refused(desk, defect, "pki verify evil.pem --as secc-leaf");
        let said = refused(desk, defect, "pki renew evil.der --out evil");
        assert!(
            !said.err.contains("damaged"),
            "the register is blamed for a file: {said:?}"
        );
    }
    assert_eq!(state(desk), before, "something was issued or written");
    desk.ok("pki issue secc-leaf --cn DE*ACM*E2 --out secc");
    desk.ok("pki why secc.crt.pem --root root.pem");
    let said = desk.ok("pki verify secc.crt.pem");
    assert!(!said.contains("register"), "{said}");
    desk.ok("pki renew secc.crt.pem --out next");
}

#[test]
fn every_defect_of_a_request_a_root_and_an_operators_key_in_a_file_is_refused() {
    let stolen = Stolen::new();
    let desk = &stolen.desk;
    let (key, other) = (
        FileKey::generate(KeyAlgorithm::P256).unwrap(),
        FileKey::generate(KeyAlgorithm::P256).unwrap(),
    );
    std::fs::write(desk.path("evil.csr"), b"").unwrap();
    std::fs::write(desk.path("evil.pem"), b"").unwrap();
    std::fs::write(desk.path("evil.pub"), b"").unwrap();
    desk.ok("pki operator new alice");
    let before = state(desk);
    let name = evil::name(b"DE*ACM*E1", Some("CPO"));
    let requests = evil::requests(&name, key.public_key_der(), &signer(&key), &signer(&other));
    for Evil { defect, der } in requests {
        std::fs::write(desk.path("evil.csr"), der).unwrap();
        refused(desk, defect, "pki issue secc-leaf --csr evil.csr --out evil");
    }
    let root_name = evil::name(b"Next Root", None);
    let root = Template::ca(&root_name, &root_name, key.public_key_der(), 1, None);
    for Evil { defect, der } in evil::certificates(&root, &signer(&key)) {
        // A root may well have the basic constraints of a CA.
        if defect == "basic constraints of a CA in a leaf" {
            continue;
        }
        std::fs::write(desk.path("evil.pem"), evil::pem(&der)).unwrap();
        refused(
            desk,
            defect,
            "pki rollover plan evil.json --old root.pem --new evil.pem",
        );
    }
    let spki = key.public_key_der();
    let mut bent = spki.to_vec();
    *bent.last_mut().unwrap() ^= 1;
    let label = |octets: &[u8]| evil::pem(octets).replace("CERTIFICATE", "PUBLIC KEY");
    for (defect, octets) in [
        ("nothing", Vec::new()),
        ("half of it", spki[..spki.len() / 2].to_vec()),
        ("octets behind the end", [spki, &[0, 0]].concat()),
        ("a point that is not on the curve", bent),
        ("an RSA key of 16384 bits", evil::rsa(2048)),
        ("sixty thousand octets of nothing", vec![0x30; 60_000]),
        ("an empty sequence", der::seq(&[])),
    ] {
        std::fs::write(desk.path("evil.pub"), label(&octets)).unwrap();
        refused(desk, defect, "pki operator add mallory evil.pub");
        // A CA of two operators, one of whom could never approve, would have locked itself.
        refused(
            desk,
            defect,
            "pki init --name Two --operator alice=alice.pub.pem --operator mallory=evil.pub --data two",
        );
    }
    assert!(!desk.path("two/pki/ca.db").exists());
    for file in ["evil.csr", "evil.pem", "evil.pub"] {
        std::fs::write(desk.path(file), b"").unwrap();
    }
    assert_eq!(state(desk), before, "something was issued, registered or written");
    std::fs::write(desk.path("next.pem"), evil::pem(&root.signed(&signer(&key)))).unwrap();
    desk.ok("pki rollover plan good.json --old root.pem --new next.pem");
}

#[test]
fn a_device_without_an_end_is_no_file() {
    let stolen = Stolen::new();
    let desk = &stolen.desk;
    std::fs::write(desk.path("pass"), "correct horse battery").unwrap();
    let before = state(desk);
    for line in [
        "pki why /dev/zero --root root.pem",
        "pki why root.pem --root /dev/zero",
        "pki why root.pem --root root.pem --crl /dev/zero",
        "pki why root.pem --root root.pem --ocsp /dev/zero",
        "pki verify /dev/zero",
        "pki renew /dev/zero --out evil",
        "pki revoke /dev/zero",
        "pki issue secc-leaf --csr /dev/zero --out evil",
        "pki operator add mallory /dev/zero",
        "pki policy check /dev/zero",
        "pki restore /dev/zero --passphrase-file pass --data elsewhere",
        "pki rollover plan evil.json --old root.pem --new /dev/zero",
        "pki rollover status /dev/zero",
        "pki forecast --inventory /dev/zero",
        "pki forecast --published /dev/zero",
    ] {
        refused(desk, "a device", line);
    }
    assert_eq!(state(desk), before);
}
