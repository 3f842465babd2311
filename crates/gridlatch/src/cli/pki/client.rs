//! `pki client`: who may enrol with a secret, and whose requests wait.

use clap::Subcommand;
use gridlatch_pki::ca::{Requester, Role};
use gridlatch_pki::est::clients::Clients;
use gridlatch_pki::est::pending::Pending;
use gridlatch_vocab::catalogue::enrolment;
use serde_json::json;

use super::{CliError, Place, print};
use crate::cli::Format;
use crate::services::{CLIENTS, WAITING};

/// Who may enrol over EST with a name and a secret.
#[derive(Debug, clap::Args)]
#[command(after_help = super::EXIT)]
pub(crate) struct ClientArgs {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, Subcommand)]
enum What {
    /// Add a client and print its secret, which is kept nowhere
    Add {
        #[command(flatten)]
        place: Place,
        /// What it calls itself (the user name of HTTP Basic)
        name: String,
        /// What it may get, by the policy: cpo, csms, station, oem, vehicle, mo, cps, operator
        #[arg(long, value_parser = role)]
        role: Role,
        /// Its id within the role, the station's for example; the name when not given
        #[arg(long)]
        id: Option<String>,
        /// A person approves each of its requests
        #[arg(long)]
        supervised: bool,
    },
    /// List clients
    List {
        #[command(flatten)]
        place: Place,
    },
    /// Remove a client; its certificates stay good
    Remove {
        #[command(flatten)]
        place: Place,
        /// Which
        name: String,
    },
    /// List requests that wait for a person
    Waiting {
        #[command(flatten)]
        place: Place,
    },
    /// Approve a request; the client gets the certificate when it asks again
    Approve {
        #[command(flatten)]
        place: Place,
        /// The first characters of its id
        request: String,
    },
    /// Refuse a request for good; the client is told when it asks again
    Deny {
        #[command(flatten)]
        place: Place,
        /// The first characters of its id
        request: String,
    },
}

fn role(text: &str) -> Result<Role, String> {
    // A CA's own certificates are nobody's to enrol for.
    let known = text.parse().ok().filter(|role| *role != Role::Ca);
    known.ok_or_else(|| {
        let all = Role::ALL.iter().filter(|role| **role != Role::Ca);
        let all: Vec<&str> = all.map(|role| role.as_str()).collect();
        format!("one of {}", all.join(", "))
    })
}

impl ClientArgs {
    pub(super) const fn format(&self) -> Format {
        self.place().format
    }

    const fn place(&self) -> &Place {
        match &self.what {
            What::Add { place, .. }
            | What::List { place }
            | What::Remove { place, .. }
            | What::Waiting { place }
            | What::Approve { place, .. }
            | What::Deny { place, .. } => place,
        }
    }
}

pub(super) fn run(args: ClientArgs) -> Result<(), CliError> {
    let format = args.format();
    args.place().present()?;
    let open = |place: &Place| Clients::open(&place.folder().join(CLIENTS)).map_err(CliError::run);
    let waiting = |place: &Place| Pending::in_folder(&place.folder().join(WAITING));
    match args.what {
        What::Add {
            place,
            name,
            role,
            id,
            supervised,
        } => {
            let requester = Requester {
                role,
                id: id.unwrap_or_else(|| name.clone()),
            };
            let secret = open(&place)?
                .add(&name, &requester, supervised, gridlatch_host::now())
                .map_err(CliError::run)?;
            let value =
                json!({ "name": name, "role": role.as_str(), "id": requester.id, "secret": secret.expose() });
            print(format, &value, || {
                format!(
                    "{name}:{}\n  (user and secret; it is not shown again)",
                    secret.expose()
                )
            });
        }
        What::List { place } => {
            let clients = open(&place)?.list();
            if clients.is_empty() && format == Format::Text {
                crate::say::talk("no clients");
            }
            for client in clients {
                let value = json!({ "name": client.name, "role": client.role, "id": client.id,
                    "supervised": client.supervised, "added": client.added });
                print(format, &value, || {
                    let watched = if client.supervised { ", supervised" } else { "" };
                    format!(
                        "{}  {}:{}{watched}, since {}",
                        client.name, client.role, client.id, client.added
                    )
                });
            }
        }
        What::Remove { place, name } => {
            if !open(&place)?.remove(&name).map_err(CliError::run)? {
                return Err(CliError::Usage(format!("there is no client named {name}")));
            }
            print(format, &json!({ "removed": name }), || format!("removed {name}"));
        }
        What::Waiting { place } => {
            let requests = waiting(&place).list().map_err(CliError::run)?;
            if requests.is_empty() && format == Format::Text {
                crate::say::talk("no requests wait");
            }
            for request in requests {
                let value = json!({ "id": request.id, "authority": request.authority, "kind": request.kind,
                    "name": request.label, "requester": request.requester, "since": request.since });
                print(format, &value, || {
                    let id: String = request.id.chars().take(12).collect();
                    format!(
                        "{id}  {} {} from {} for {}, since {}",
                        request.kind, request.label, request.authority, request.requester, request.since
                    )
                });
            }
        }
        What::Approve { place, request } => {
            let approved = waiting(&place).approve(&request).map_err(CliError::run)?;
            let approved = approved.ok_or_else(|| none(&request))?;
            print(format, &json!({ "approved": approved.id }), || {
                format!("approved: {} {}", approved.kind, approved.label)
            });
        }
        What::Deny { place, request } => {
            let denied = waiting(&place).deny(&request).map_err(CliError::run)?;
            let denied = denied.ok_or_else(|| none(&request))?;
            print(format, &json!({ "denied": denied.id }), || {
                format!("denied: {} {}", denied.kind, denied.label)
            });
        }
    }
    Ok(())
}

fn none(request: &str) -> CliError {
    let text = format!("no request, or more than one, that waits begins with {request}");
    CliError::No(enrolment::PENDING, text)
}
