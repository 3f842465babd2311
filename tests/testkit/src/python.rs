//! The environments of the peers, built once per user and version by `scripts/peers.sh`: Python, and one program.

use std::path::PathBuf;
use std::process::Command;
use std::sync::OnceLock;

use anyhow::{Context as _, Result, anyhow, bail};

/// The interpreter of Josev's environment (`iso15118==0.31.2`, `aiofile`).
///
/// # Errors
/// When the environment cannot be built: no Python, or no package index.
pub fn josev() -> Result<PathBuf> {
    static INTERPRETER: OnceLock<Result<PathBuf, String>> = OnceLock::new();
    remembered(&INTERPRETER, "josev")
}

/// The interpreter of the environment with `ocpp==2.1.0` and `websockets`.
///
/// # Errors
/// As for [`josev`].
pub fn ocpp() -> Result<PathBuf> {
    static INTERPRETER: OnceLock<Result<PathBuf, String>> = OnceLock::new();
    remembered(&INTERPRETER, "ocpp")
}

/// The interpreter of the environment with `pyocmf`, `jwcrypto` and `rfc8785`.
///
/// # Errors
/// As for [`josev`].
pub fn receipts() -> Result<PathBuf> {
    static INTERPRETER: OnceLock<Result<PathBuf, String>> = OnceLock::new();
    remembered(&INTERPRETER, "receipts")
}

/// The program around the crate `usg-est-client` 2.2.0 (`tests/peers/est_client`).
///
/// # Errors
/// When it cannot be built: no crate registry.
pub fn est_client() -> Result<PathBuf> {
    static PROGRAM: OnceLock<Result<PathBuf, String>> = OnceLock::new();
    PROGRAM
        .get_or_init(|| folder("est").map_err(|e| format!("{e:#}")))
        .clone()
        .map(|folder| folder.join("debug/est-client"))
        .map_err(|e| anyhow!(e))
}

fn remembered(cell: &OnceLock<Result<PathBuf, String>>, name: &str) -> Result<PathBuf> {
    cell.get_or_init(|| environment(name).map_err(|e| format!("{e:#}")))
        .clone()
        .map_err(|e| anyhow!(e))
}

fn environment(name: &str) -> Result<PathBuf> {
    Ok(folder(name)?.join("bin/python"))
}

fn folder(name: &str) -> Result<PathBuf> {
    let script = crate::temp::workspace().join("scripts/peers.sh");
    let out = Command::new("bash")
        .arg(&script)
        .arg(name)
        .output()
        .context("running scripts/peers.sh")?;
    if !out.status.success() {
        let why = String::from_utf8_lossy(&out.stderr);
        bail!(
            "scripts/peers.sh {name} failed: {}",
            why.trim().lines().next_back().unwrap_or("no message")
        );
    }
    let answer = String::from_utf8(out.stdout).context("reading the answer of scripts/peers.sh")?;
    let folder = answer
        .lines()
        .find_map(|line| line.strip_prefix(name)?.strip_prefix(' '))
        .with_context(|| format!("scripts/peers.sh named no folder for {name}"))?;
    Ok(PathBuf::from(folder))
}
