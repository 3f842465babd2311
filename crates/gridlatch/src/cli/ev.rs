//! The sub-command `ev`.

/// Arguments of `gridlatch ev`.
#[derive(Debug, clap::Args)]
pub(crate) struct EvCommand {}

/// Runs it; returns the exit code.
pub(crate) fn run(_args: EvCommand) -> u8 {
    2
}
