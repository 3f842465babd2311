//! Folders for one test.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use tempfile::TempDir;

/// The name of the running test (its thread's name), fit for a file name.
#[must_use]
pub fn test_name() -> String {
    let thread = std::thread::current();
    thread.name().unwrap_or("unnamed").replace("::", "-")
}

/// A scratch folder that goes with the returned value.
///
/// # Errors
/// When the system's temporary folder cannot be written.
pub fn dir() -> Result<TempDir> {
    tempfile::Builder::new()
        .prefix("gridlatch-")
        .tempdir()
        .context("making a scratch folder")
}

/// The build folder this test runs from.
#[must_use]
pub fn target() -> PathBuf {
    let exe = std::env::current_exe().unwrap_or_default();
    exe.ancestors()
        .find(|folder| folder.join("CACHEDIR.TAG").exists())
        .map_or_else(|| workspace().join("target"), Path::to_path_buf)
}

/// The root of the source tree.
#[must_use]
pub fn workspace() -> PathBuf {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.ancestors().nth(2).unwrap_or(here).to_path_buf()
}

/// A folder for the logs of the running test's processes, `target/peers/<test>`: it stays after the test.
///
/// # Errors
/// When it cannot be made.
pub fn logs() -> Result<PathBuf> {
    let folder = target().join("peers").join(test_name());
    std::fs::create_dir_all(&folder).with_context(|| format!("making {}", folder.display()))?;
    Ok(folder)
}
