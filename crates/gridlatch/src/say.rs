//! What the binary says to a person: results on stdout, talk on stderr, a closed pipe is success.

use std::io::Write as _;

/// Writes one line of result to stdout. A reader that has gone away is not our failure.
pub(crate) fn result(line: impl AsRef<str>) {
    let mut out = std::io::stdout().lock();
    let _ = writeln!(out, "{}", line.as_ref());
    let _ = out.flush();
}

/// Writes one line of talk to stderr.
pub(crate) fn talk(line: impl AsRef<str>) {
    let _ = writeln!(std::io::stderr().lock(), "{}", line.as_ref());
}

/// Reports a run error with its causes and returns the exit code for it.
pub(crate) fn failed(error: &anyhow::Error) -> u8 {
    talk(format!("gridlatch: {error:#}"));
    2
}
