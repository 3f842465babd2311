//! The sub-command `explain`.

/// Arguments of `gridlatch explain`.
#[derive(Debug, clap::Args)]
pub(crate) struct ExplainArgs {}

/// Runs it; returns the exit code.
pub(crate) fn run(_args: ExplainArgs) -> u8 {
    2
}
