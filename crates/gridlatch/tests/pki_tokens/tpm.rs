//! Keys in a TPM: directly (feature `tpm`), and through PKCS#11 with any build.

use gridlatch_testkit::need;
use gridlatch_testkit::tokens::{SwTpm, library};

use crate::bench::Bench;

#[test]
fn a_ca_of_iso_15118_2_lives_in_a_tpm_behind_pkcs11_which_cannot_hold_one_of_20() {
    need!(tpm2_pkcs11, openssl);
    let module = library("libtpm2_pkcs11.so").unwrap();
    let tpm = SwTpm::new().unwrap();
    let store = tpm.pkcs11_token(&module, "ca").unwrap();
    let bench = Bench::new(vec![
        ("TPM2_PKCS11_STORE".into(), store.to_str().unwrap().into()),
        ("TPM2_PKCS11_TCTI".into(), tpm.tcti()),
        ("TPM2_PKCS11_LOG_LEVEL".into(), "0".into()),
    ]);
    let uri = format!("pkcs11:token=ca?module-path={}", module.display());
    // The module leaves its session in the chip when a process ends; here, no resource manager clears up.
    let flush = || {
        tpm.tool("tpm2_flushcontext -t")
            .and_then(|_| tpm.tool("tpm2_flushcontext -l"))
    };
    bench.pki_with("init --single-operator --tree iso2 --keys", &[&uri]);
    flush().unwrap();
    bench.pki_with("issue secc-leaf --out leaf --cn", &["DE*TST*E1"]);
    flush().unwrap();
    bench.openssl_accepts("leaf.crt.pem", "iso2/cpo-sub2");
    assert_eq!(bench.ca_key_files(), Vec::<std::path::PathBuf>::new());
    // Debian 12's module makes P-521 keys and cannot sign with them: refused with a code, no file in their place.
    let other = bench.path("other");
    bench.refused(
        "pki init --single-operator --tree iso20 --pin-file pin --keys",
        &[&uri, "--data", other.to_str().unwrap()],
        2,
        &["key."],
    );
    assert!(!other.join("pki/iso20").join("v2g-root.key.pem").exists());
}

#[cfg(not(feature = "tpm"))]
#[test]
fn a_build_without_the_feature_says_so() {
    let bench = Bench::new(Vec::new());
    bench.refused(
        "pki init --single-operator --tree iso2 --keys tpm:?tcti=swtpm:port=1",
        &[],
        2,
        &["key.unsupported", "feature \"tpm\""],
    );
}

#[cfg(feature = "tpm")]
#[test]
fn a_ca_of_both_generations_lives_in_a_tpm_and_outlasts_its_absence() {
    use crate::bench::{field, text};
    need!(swtpm, openssl, curl);
    let mut tpm = SwTpm::new().unwrap();
    let bench = Bench::new(Vec::new());
    let uri = format!("tpm:?tcti={}", tpm.tcti());
    bench.pki_with("init --single-operator --tree iso2,iso20,ocpp --keys", &[&uri]);
    assert_eq!(bench.ca_key_files(), Vec::<std::path::PathBuf>::new());
    let listed = bench.pki_with("key list", &["--uri", &uri]);
    assert_eq!(listed.lines().count(), 24, "{listed}");
    bench.pki_with("issue secc-leaf --tree iso20 --out twenty --cn", &["DE*TST*E1"]);
    bench.openssl_accepts("twenty.crt.pem", "iso20/cpo-sub2");
    bench.pki_with("issue secc-leaf --tree iso2 --out two --cn", &["DE*TST*E1"]);
    bench.openssl_accepts("two.crt.pem", "iso2/cpo-sub2");

    let secret = bench.pki("client add acme --role cpo --format json");
    let user = format!("acme:{}", field(&secret, "secret").as_str().unwrap());
    let serving = bench.serve();
    assert_eq!(bench.enrol(&serving, &user, "first").0, 200);
    tpm.stop();
    let (status, body) = bench.enrol(&serving, &user, "second");
    assert!(
        (500..600).contains(&status) && body.contains("key.unavailable"),
        "{status} {body}"
    );
    assert!(
        bench
            .ocsp(&serving, "two.crt.pem", "iso2/cpo-sub2")
            .contains("two.crt.pem: good")
    );
    tpm.start().unwrap();
    let mut last = (0, String::new());
    for _ in 0..20 {
        last = bench.enrol(&serving, &user, "third");
        if last.0 == 200 {
            break;
        }
        std::thread::sleep(std::time::Duration::from_millis(500));
    }
    assert_eq!(last.0, 200, "{}", last.1);
    serving.stop();
    // And the other way round: a TPM that is no TPM is named.
    tpm.stop();
    let refused = bench.with("pki issue secc-leaf --tree iso20 --out no --cn", &["DE*TST*E2"]);
    assert_eq!(refused.status.code(), Some(2));
    assert!(text(&refused).contains("key.unavailable"), "{}", text(&refused));
}
