//! `pki policy`: who may get what.

use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};
use gridlatch_pki::ca::{Action, CaError, Policy};
use serde_json::json;

use super::{CliError, Format, Place, files, print};
use crate::say;

/// Who may get which certificate from which CA: a table of rules in TOML.
#[derive(Debug, Args)]
#[command(after_help = super::EXIT)]
pub(crate) struct PolicyArgs {
    #[command(subcommand)]
    command: PolicyCommand,
}

#[derive(Debug, Subcommand)]
enum PolicyCommand {
    /// Print the policy in force
    Show {
        #[command(flatten)]
        place: Box<Place>,
        /// The default policy instead
        #[arg(long)]
        default: bool,
    },
    /// Check a policy without using it
    Check {
        /// The file
        #[arg(value_name = "FILE")]
        file: PathBuf,
    },
    /// Replace the policy; under dual control two operators approve it
    Set {
        #[command(flatten)]
        place: Box<Place>,
        /// The file
        #[arg(value_name = "FILE")]
        file: PathBuf,
    },
}

impl PolicyArgs {
    pub(super) fn format(&self) -> Format {
        match &self.command {
            PolicyCommand::Check { .. } => Format::Text,
            PolicyCommand::Show { place, .. } | PolicyCommand::Set { place, .. } => place.format,
        }
    }
}

pub(super) async fn run(args: PolicyArgs) -> Result<(), CliError> {
    match args.command {
        PolicyCommand::Show { place, default } => {
            let text = if default {
                gridlatch_pki::ca::policy::DEFAULT.to_owned()
            } else {
                place.open().await?.ca.policy_text().await?
            };
            print(place.format, &json!({ "policy": text }), || {
                text.trim_end().to_owned()
            });
            Ok(())
        }
        PolicyCommand::Check { file } => {
            let policy = Policy::parse(&text(&file)?).map_err(CaError::from)?;
            say::result(format!("{} rules, all understood", policy.rules.len()));
            Ok(())
        }
        PolicyCommand::Set { place, file } => {
            let text = text(&file)?;
            let opened = place.open().await?;
            let set = opened.ca.set_policy(&text).await;
            let result = super::approve::file_or_say(&opened.ca, &place, Action::Policy { text }, set).await;
            if opened.finish(result).await? {
                print(place.format, &json!({ "policy": "set" }), || {
                    "the policy is in force".to_owned()
                });
            }
            Ok(())
        }
    }
}

fn text(path: &Path) -> Result<String, CliError> {
    String::from_utf8(files::read(path)?)
        .map_err(|_| CliError::Usage(format!("{} is not text", path.display())))
}
