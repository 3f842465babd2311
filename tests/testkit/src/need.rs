//! Skipping by name: a test that cannot run says so and why; where peers are required it fails instead.

use std::process::{Command, Stdio};
use std::sync::OnceLock;

/// Something outside this workspace that a test needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(non_camel_case_types, reason = "written as the names of programs in `need!`")]
pub enum Need {
    /// The superuser and `ip netns`: network namespaces and veth pairs.
    root,
    /// A Java runtime, for the EXI codec of Josev.
    java,
    /// Josev's Python environment (built on demand by `scripts/peers.sh`). Implies `java`.
    josev,
    /// The Python environment with the `ocpp` package (built on demand).
    ocpp,
    /// Chromium and its WebDriver.
    chromium,
    /// The `openssl` command.
    openssl,
    /// The `tshark` command.
    tshark,
    /// SoftHSM2: its tool and its PKCS#11 module.
    softhsm,
    /// The software TPM and the tools for it.
    swtpm,
    /// The PKCS#11 module on top of a TPM, and `pkcs11-tool`. Implies `swtpm`.
    tpm2_pkcs11,
    /// `gnutls-cli`.
    gnutls,
    /// The `curl` command.
    curl,
    /// The Python environment with `pyocmf`, `jwcrypto` and `rfc8785` (built on demand).
    receipts,
    /// The program around the crate `usg-est-client` (built on demand).
    est_client,
    /// The programs of a PostgreSQL server.
    postgres,
}

impl Need {
    /// Why this is not available here, or nothing. The answer is computed once per process.
    fn missing(self) -> Option<String> {
        static ANSWERS: [OnceLock<Option<String>>; 15] = [const { OnceLock::new() }; 15];
        ANSWERS[self as usize]
            .get_or_init(|| match self {
                Self::root => no_root(),
                Self::java => no_command("java", "-version", "openjdk-17-jre-headless"),
                Self::josev => Self::java
                    .missing()
                    .or_else(|| crate::python::josev().err().map(|e| format!("{e:#}"))),
                Self::receipts => crate::python::receipts().err().map(|e| format!("{e:#}")),
                Self::ocpp => crate::python::ocpp().err().map(|e| format!("{e:#}")),
                Self::chromium => no_command("chromium", "--version", "chromium")
                    .or_else(|| no_command("chromedriver", "--version", "chromium-driver")),
                Self::openssl => no_command("openssl", "version", "openssl"),
                Self::tshark => no_command("tshark", "--version", "tshark"),
                Self::softhsm => no_command("softhsm2-util", "--version", "softhsm2")
                    .or_else(|| no_library("libsofthsm2.so", "softhsm2")),
                Self::swtpm => no_command("swtpm", "--version", "swtpm")
                    .or_else(|| no_command("tpm2_flushcontext", "--version", "tpm2-tools")),
                Self::tpm2_pkcs11 => Self::swtpm
                    .missing()
                    .or_else(|| no_library("libtpm2_pkcs11.so", "libtpm2-pkcs11-1"))
                    .or_else(|| no_command("opensc-tool", "--version", "opensc")),
                Self::gnutls => no_command("gnutls-cli", "--version", "gnutls-bin"),
                Self::curl => no_command("curl", "--version", "curl"),
                Self::postgres => crate::postgres::program("postgres")
                    .err()
                    .map(|_| "no PostgreSQL server (Debian package postgresql)".to_owned())
                    .or_else(|| no_command("setpriv", "--version", "util-linux")),
                Self::est_client => crate::python::est_client().err().map(|e| format!("{e:#}")),
            })
            .clone()
    }
}

fn no_root() -> Option<String> {
    if !rustix::process::geteuid().is_root() {
        return Some("needs root (network namespaces)".to_owned());
    }
    let works = Command::new("ip")
        .args(["netns", "list"])
        .output()
        .is_ok_and(|out| out.status.success());
    (!works).then(|| "needs iproute2 with network namespaces".to_owned())
}

fn no_command(name: &str, version: &str, package: &str) -> Option<String> {
    let status = Command::new(name)
        .arg(version)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status();
    (!status.is_ok_and(|s| s.success())).then(|| format!("no {name} on PATH (Debian package {package})"))
}

fn no_library(name: &str, package: &str) -> Option<String> {
    crate::tokens::library(name)
        .is_none()
        .then(|| format!("no {name} (Debian package {package})"))
}

/// The first reason why these are not all available.
#[must_use]
pub fn missing(needs: &[Need]) -> Option<String> {
    needs.iter().find_map(|need| need.missing())
}

/// Prints why the running test is skipped.
///
/// # Panics
/// Where peers are required: with `CI=true` or `GRIDLATCH_REQUIRE_PEERS=1`.
#[allow(
    clippy::print_stderr,
    reason = "the reader of the test run is the user of this line"
)]
pub fn skip(reason: &str) {
    let test = crate::temp::test_name();
    let required = std::env::var("CI").is_ok_and(|v| v == "true" || v == "1")
        || std::env::var("GRIDLATCH_REQUIRE_PEERS").is_ok_and(|v| v == "1");
    assert!(
        !required,
        "{test}: {reason}; peers are required here (CI or GRIDLATCH_REQUIRE_PEERS)"
    );
    // Straight to the terminal's stream: the harness would swallow what a passing test prints.
    use std::io::Write as _;
    let _ = writeln!(std::io::stderr(), "skipped: {test}: {reason}");
}

/// `need!(root, josev)` at the top of a test: returns from it, saying why, where one of them is missing.
#[macro_export]
macro_rules! need {
    ($($need:ident),+ $(,)?) => {
        if let Some(reason) = $crate::missing(&[$($crate::Need::$need),+]) {
            $crate::skip(&reason);
            return;
        }
    };
}
