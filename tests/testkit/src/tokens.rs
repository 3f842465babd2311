//! Hardware for keys, in software: SoftHSM2 as a PKCS#11 token, swtpm as a TPM 2.0.
//!
//! PKCS#11 modules read their configuration from the environment, once. A test that loads one therefore runs in a
//! process of its own: [`again`] starts the test program once more for that one test.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use tempfile::TempDir;

use crate::{Process, temp};

/// The PIN of every token made here.
pub const PIN: &str = "271828";
/// The security officer's.
pub const SO_PIN: &str = "3141592653";

const CHILD: &str = "GRIDLATCH_TEST_CHILD";
const LIMIT: Duration = Duration::from_secs(240);

/// Runs the calling test once more in a process of its own with `env` set, and fails if it fails there. True in the
/// first process: the test is done. False in the second: now do it.
///
/// # Panics
/// When the second run fails or does not end.
#[must_use]
pub fn again(env: &[(&str, &str)]) -> bool {
    if std::env::var_os(CHILD).is_some() {
        return false;
    }
    let thread = std::thread::current();
    let name = thread.name().expect("a test's thread has its name");
    let mut command = Command::new(std::env::current_exe().expect("the test program's path"));
    command
        .args([name, "--exact", "--nocapture", "--include-ignored"])
        .env(CHILD, "1")
        .envs(env.iter().copied());
    let mut process = Process::spawn("again", command).expect("starting the test once more");
    let status = process
        .wait_exit(LIMIT)
        .unwrap_or_else(|error| panic!("{error:#}"));
    let output = process.output();
    // What the test has to say (figures, for instance) is for the reader of this run.
    print(&output);
    assert!(status.success(), "in its own process, {name} failed:\n{output}");
    assert!(output.contains("1 passed"), "{name} did not run:\n{output}");
    true
}

#[allow(
    clippy::print_stdout,
    reason = "the harness shows it where it shows the test's own output"
)]
fn print(text: &str) {
    println!("{text}");
}

/// A variable that [`again`] was given.
///
/// # Panics
/// When it was not.
#[must_use]
pub fn given(name: &str) -> String {
    std::env::var(name).unwrap_or_else(|_| panic!("{name} is not set in the test's own process"))
}

/// The first of `paths` that exists, below every library folder of Debian.
#[must_use]
pub fn library(name: &str) -> Option<PathBuf> {
    let arch = std::env::consts::ARCH;
    [
        format!("/usr/lib/softhsm/{name}"),
        format!("/usr/lib/{arch}-linux-gnu/softhsm/{name}"),
        format!("/usr/lib/{arch}-linux-gnu/pkcs11/{name}"),
        format!("/usr/lib64/pkcs11/{name}"),
    ]
    .map(PathBuf::from)
    .into_iter()
    .find(|path| path.exists())
}

/// A folder with SoftHSM2 tokens.
#[derive(Debug)]
pub struct SoftHsm {
    dir: TempDir,
}

impl SoftHsm {
    /// Makes the folder and one token per label.
    ///
    /// # Errors
    /// When SoftHSM2 is not there or refuses.
    pub fn new(labels: &[&str]) -> Result<Self> {
        let this = Self { dir: temp::dir()? };
        std::fs::create_dir(this.tokens())?;
        std::fs::write(
            this.config(),
            format!(
                "directories.tokendir = {}\nlog.level = ERROR\n",
                this.tokens().display()
            ),
        )?;
        for label in labels {
            this.add(label)?;
        }
        Ok(this)
    }

    /// Makes one more token.
    ///
    /// # Errors
    /// When SoftHSM2 refuses.
    pub fn add(&self, label: &str) -> Result<()> {
        let out = Command::new("softhsm2-util")
            .args([
                "--init-token",
                "--free",
                "--label",
                label,
                "--pin",
                PIN,
                "--so-pin",
                SO_PIN,
            ])
            .env("SOFTHSM2_CONF", self.config())
            .output()
            .context("running softhsm2-util")?;
        if !out.status.success() {
            bail!("softhsm2-util: {}", String::from_utf8_lossy(&out.stderr));
        }
        Ok(())
    }

    /// The file that `SOFTHSM2_CONF` names.
    #[must_use]
    pub fn config(&self) -> PathBuf {
        self.dir.path().join("softhsm2.conf")
    }

    /// The folder with one folder per token.
    #[must_use]
    pub fn tokens(&self) -> PathBuf {
        self.dir.path().join("tokens")
    }
}

/// A TPM 2.0 in software, listening on a pair of local ports until it is dropped.
#[derive(Debug)]
pub struct SwTpm {
    process: Option<Process>,
    port: u16,
    dir: TempDir,
}

impl SwTpm {
    /// Starts one with empty state.
    ///
    /// # Errors
    /// When swtpm is not there or finds no ports.
    pub fn new() -> Result<Self> {
        let mut this = Self {
            process: None,
            // The TSS finds the control port by adding one.
            port: crate::ports::tcp_pair()?,
            dir: temp::dir()?,
        };
        this.start()?;
        Ok(this)
    }

    /// Starts it, again with the state it had.
    ///
    /// # Errors
    /// When it does not come up.
    pub fn start(&mut self) -> Result<()> {
        let state = self.dir.path().join("state");
        std::fs::create_dir_all(&state)?;
        let mut command = Command::new("swtpm");
        command
            .args(["socket", "--tpm2", "--flags", "not-need-init,startup-clear"])
            .args(["--tpmstate", &format!("dir={}", state.display())])
            .args([
                "--server",
                &format!("type=tcp,port={},bindaddr=127.0.0.1", self.port),
            ])
            .args([
                "--ctrl",
                &format!("type=tcp,port={},bindaddr=127.0.0.1", self.port + 1),
            ]);
        let process = Process::spawn("swtpm", command)?;
        let until = Instant::now() + Duration::from_secs(20);
        // A connection to the server port is a TPM user, of which swtpm takes one; the control port tells as much.
        while std::net::TcpStream::connect(("127.0.0.1", self.port + 1)).is_err() {
            let gone = !Path::new(&format!("/proc/{}", process.id())).exists();
            if gone || Instant::now() > until || process.output().contains("ould not") {
                bail!("swtpm does not listen: {}", process.output());
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        self.process = Some(process);
        Ok(())
    }

    /// Kills it, as a device that is pulled out.
    pub fn stop(&mut self) {
        self.process = None;
    }

    /// How the TSS reaches it.
    #[must_use]
    pub fn tcti(&self) -> String {
        format!("swtpm:host=127.0.0.1,port={}", self.port)
    }

    /// Its scratch folder.
    #[must_use]
    pub fn dir(&self) -> &Path {
        self.dir.path()
    }

    /// Runs a tool of tpm2-tools on it.
    ///
    /// # Errors
    /// When the tool fails; what it said.
    pub fn tool(&self, line: &str) -> Result<String> {
        let mut words = line.split_whitespace();
        let out = Command::new(words.next().context("a command")?)
            .args(words)
            .current_dir(self.dir.path())
            .env("TPM2TOOLS_TCTI", self.tcti())
            .stdin(Stdio::null())
            .output()
            .with_context(|| format!("running {line}"))?;
        if !out.status.success() {
            bail!("{line}: {}", String::from_utf8_lossy(&out.stderr));
        }
        Ok(String::from_utf8_lossy(&out.stdout).into_owned())
    }

    /// Makes a PKCS#11 token on it with pkcs11-tool; returns the folder for `TPM2_PKCS11_STORE`.
    ///
    /// # Errors
    /// When a tool fails.
    pub fn pkcs11_token(&self, module: &Path, label: &str) -> Result<PathBuf> {
        let store = self.dir.path().join("pkcs11");
        std::fs::create_dir_all(&store)?;
        for args in [
            &[
                "--slot-index",
                "0",
                "--init-token",
                "--label",
                label,
                "--so-pin",
                SO_PIN,
            ][..],
            &[
                "--token-label",
                label,
                "--init-pin",
                "--so-pin",
                SO_PIN,
                "--pin",
                PIN,
            ],
        ] {
            let out = Command::new("pkcs11-tool")
                .arg("--module")
                .arg(module)
                .args(args)
                .env("TPM2_PKCS11_STORE", &store)
                .env("TPM2_PKCS11_TCTI", self.tcti())
                .env("TPM2_PKCS11_LOG_LEVEL", "0")
                .stdin(Stdio::null())
                .output()
                .context("running pkcs11-tool")?;
            if !out.status.success() {
                bail!("pkcs11-tool {args:?}: {}", String::from_utf8_lossy(&out.stderr));
            }
        }
        Ok(store)
    }
}
