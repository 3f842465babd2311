//! The sub-command `decode`.

/// Arguments of `gridlatch decode`.
#[derive(Debug, clap::Args)]
pub(crate) struct DecodeArgs {}

/// Runs it; returns the exit code.
pub(crate) fn run(_args: DecodeArgs) -> u8 {
    2
}
