//! `pki pools`: who may use the Plug & Charge pools of this CA, and whose roots they believe.

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};
use gridlatch_pki::pools::{NewClient, Places, Pools, Role};
use gridlatch_pki::provisioning::{Provisioner, ProvisioningError, RootKind};
use serde_json::json;

use super::{CliError, Place, files, print};
use crate::cli::Format;
use crate::services::provisioner;

/// The Plug & Charge pools: clients and roots. `pki serve` and `up` serve them.
#[derive(Debug, Args)]
#[command(after_help = super::EXIT)]
pub(crate) struct PoolsArgs {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Register a client, or give it other rights and a new secret
    Client(ClientArgs),
    /// Put a root certificate into the root pool
    AddRoot(RootArgs),
    /// Put a link certificate between two roots of the pool into it, for whoever holds one of them and checks the other
    AddLink(LinkArgs),
    /// List the root pool
    Roots(RootsArgs),
}

#[derive(Debug, Args)]
struct RootsArgs {
    #[command(flatten)]
    place: Place,
}

impl PoolsArgs {
    const fn place(&self) -> &Place {
        match &self.command {
            Command::Client(args) => &args.place,
            Command::AddRoot(args) => &args.place,
            Command::AddLink(args) => &args.place,
            Command::Roots(args) => &args.place,
        }
    }

    pub(super) const fn format(&self) -> Format {
        self.place().format
    }
}

#[derive(Debug, Args)]
struct ClientArgs {
    #[command(flatten)]
    place: Place,
    /// Its name, which is its client_id: 1 to 64 letters, digits, - and _
    name: String,
    /// What it is; may be repeated
    #[arg(long = "role", value_enum, required = true)]
    roles: Vec<RoleArg>,
    /// A world manufacturer identifier of an OEM, three characters; may be repeated
    #[arg(long = "wmi", value_name = "WMI")]
    wmis: Vec<String>,
    /// A provider id of an MO, country and provider (DE-ABC); may be repeated
    #[arg(long = "provider", value_name = "ID")]
    providers: Vec<String>,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum RoleArg {
    Admin,
    Oem,
    Mo,
    Cpo,
    Cps,
}

#[derive(Debug, Args)]
struct RootArgs {
    #[command(flatten)]
    place: Place,
    /// The certificate, PEM or DER
    file: PathBuf,
    /// Whose root it is: v2g, mo, oem or pe
    #[arg(long, value_name = "KIND", value_parser = kind)]
    kind: RootKind,
}

#[derive(Debug, Args)]
struct LinkArgs {
    #[command(flatten)]
    place: Place,
    /// The certificate, PEM or DER (`gridlatch pki link`)
    file: PathBuf,
}

fn kind(text: &str) -> Result<RootKind, String> {
    RootKind::parse(text).ok_or_else(|| "v2g, mo, oem or pe".to_owned())
}

fn refused(error: ProvisioningError) -> CliError {
    CliError::No(error.code(), error.to_string())
}

pub(super) async fn run(args: PoolsArgs) -> Result<(), CliError> {
    let opened = args.place().open().await?;
    let format = args.format();
    let by = args.place().by.clone();
    let done = async {
        // The CA's own roots are there, whatever else is.
        let provisioner = provisioner(&opened.ca, None, &by, opened.sink())
            .await
            .map_err(refused)?;
        match args.command {
            Command::Client(client) => {
                let value = register(&provisioner, client).await?;
                print(format, &value, || {
                    format!(
                        "client_id      {}\nclient_secret  {}\nThe secret is shown this once and kept nowhere.",
                        value["client_id"].as_str().unwrap_or_default(),
                        value["client_secret"].as_str().unwrap_or_default()
                    )
                });
            }
            Command::AddRoot(root) => {
                for der in files::certificates(&root.file)? {
                    let added = provisioner
                        .add_root(root.kind, &der, &by)
                        .await
                        .map_err(refused)?;
                    print(format, &json!({"id": added.id, "new": added.new}), || {
                        format!("{} {}", added.id, if added.new { "added" } else { "was there" })
                    });
                }
            }
            Command::AddLink(link) => {
                for der in files::certificates(&link.file)? {
                    let kept = provisioner.add_link(&der, &by).await.map_err(refused)?;
                    let value = json!({"issuer": kept.issuer, "subject": kept.subject});
                    print(format, &value, || {
                        format!("{} signed {}", kept.issuer, kept.subject)
                    });
                }
            }
            Command::Roots(_) => {
                let store = provisioner.store();
                for root in store.pool_roots(None).await.map_err(CliError::run)? {
                    let value = json!({
                        "id": root.id, "kind": root.kind, "fingerprint": root.fingerprint,
                        "addedBy": root.added_by, "at": root.at.to_rfc3339(),
                    });
                    print(format, &value, || {
                        format!(
                            "{} {:<3} {} by {}",
                            root.id, root.kind, root.fingerprint, root.added_by
                        )
                    });
                }
            }
        }
        Ok::<(), CliError>(())
    };
    let result = done.await;
    opened.finish(result).await
}

async fn register(provisioner: &Provisioner, client: ClientArgs) -> Result<serde_json::Value, CliError> {
    let named = |text: &str| {
        text.bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'))
    };
    if client.name.is_empty() || client.name.len() > 64 || !named(&client.name) {
        return Err(CliError::Usage(
            "a client's name is 1 to 64 letters, digits, - and _".to_owned(),
        ));
    }
    if let Some(wmi) = client.wmis.iter().find(|wmi| wmi.len() != 3 || !named(wmi)) {
        return Err(CliError::Usage(format!(
            "{wmi:?} is no manufacturer identifier of three characters"
        )));
    }
    if let Some(id) = client
        .providers
        .iter()
        .find(|id| id.replace('-', "").len() != 5 || !named(id))
    {
        return Err(CliError::Usage(format!(
            "{id:?} is no provider id such as DE-ABC"
        )));
    }
    let rights = NewClient {
        roles: client
            .roles
            .into_iter()
            .map(|role| match role {
                RoleArg::Admin => Role::Admin,
                RoleArg::Oem => Role::Oem,
                RoleArg::Mo => Role::Mo,
                RoleArg::Cpo => Role::Cpo,
                RoleArg::Cps => Role::Cps,
            })
            .collect(),
        wmis: client.wmis,
        providers: client.providers,
    };
    let pools = Pools::new(provisioner.clone(), Places::default());
    let secret = pools.register(&client.name, &rights).await.map_err(refused)?;
    Ok(json!({"client_id": client.name, "client_secret": secret.expose()}))
}
