//! `pki approve` and `pki operator`: two people behind every root.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use gridlatch_keys::{FileKey, KeyAlgorithm, Signer as _, open};
use gridlatch_pki::ca::{Action, Ca, CaError, Outcome};
use serde_json::json;

use super::files::{Outputs, with_suffix};
use super::{CliError, Format, Place, files, print};

/// Approve what takes two operators.
///
/// Without a request, lists those that are open; with a request alone, shows what it would do.
#[derive(Debug, Args)]
#[command(after_help = super::EXIT)]
pub(crate) struct ApproveArgs {
    #[command(flatten)]
    pub(super) place: Place,
    /// The request
    #[arg(value_name = "REQUEST")]
    request: Option<String>,
    /// Who approves
    #[arg(long, value_name = "NAME", requires_all = ["request", "key"])]
    operator: Option<String>,
    /// The operator's private key: a file, or a token or TPM as a URI
    #[arg(long, value_name = "FILE|URI", requires = "operator")]
    key: Option<String>,
    /// Where the certificate goes if this approval issues one
    #[arg(long, value_name = "FILE", requires = "operator")]
    out: Option<PathBuf>,
    /// Take the request back instead: nobody can approve it any more
    #[arg(long, requires = "request", conflicts_with = "operator")]
    withdraw: bool,
}

pub(super) async fn run(args: ApproveArgs) -> Result<(), CliError> {
    let opened = args.place.open().await?;
    let result = match (&args.request, &args.operator, &args.key) {
        (Some(id), Some(operator), Some(key)) => approve(&opened.ca, &args, id, operator, key).await,
        (Some(id), _, _) if args.withdraw => withdraw(&opened.ca, &args.place, id).await,
        (Some(id), _, _) => look(&opened.ca, args.place.format, id).await,
        (None, _, _) => super::list::requests(&opened.ca, args.place.format, 1_000, true).await,
    };
    opened.finish(result).await
}

async fn withdraw(ca: &Ca, place: &Place, id: &str) -> Result<(), CliError> {
    ca.withdraw(id, &place.operator()).await?;
    print(
        place.format,
        &json!({ "request": id, "state": "withdrawn" }),
        || format!("{id} is withdrawn"),
    );
    Ok(())
}

/// Everything that would be done, for the one who is to agree to it.
async fn look(ca: &Ca, format: Format, id: &str) -> Result<(), CliError> {
    let request = ca.request(id).await?;
    print(format, &super::list::request_value(&request), || {
        let mut text = super::list::request_line(&request);
        match &request.action {
            Action::Policy { text: policy } => text.push_str(&format!("\n\n{}", policy.trim_end())),
            Action::Operator { key, .. } => text.push_str(&format!("\n  public key {key}")),
            _ => {}
        }
        if request.state == "open" {
            text.push_str(&format!(
                "\nto agree: gridlatch pki approve {id} --operator NAME --key FILE; to take it back: --withdraw"
            ));
        }
        text
    });
    Ok(())
}

async fn approve(ca: &Ca, args: &ApproveArgs, id: &str, operator: &str, key: &str) -> Result<(), CliError> {
    let request = ca.request(id).await?;
    let mut outputs = Outputs::default();
    if let Some(path) = &args.out {
        outputs.reserve(path, 0o644)?;
    }
    let uri = if key.contains(':') {
        key.to_owned()
    } else {
        format!("file:{key}")
    };
    let key = open(&uri.parse().map_err(CliError::run)?, &args.place.pin()).map_err(CliError::run)?;
    let signature = key.sign(&request.message).map_err(CliError::run)?;
    let summary = request.action.summary();
    let (value, text, chain) = match ca.approve(id, operator, &signature).await? {
        Outcome::Waiting { given, needed } => (
            json!({ "request": request.id, "given": given, "needed": needed }),
            if request.approved_by.iter().any(|name| name == operator) {
                format!("{operator} had approved before; still {given} of {needed} approvals: {summary}")
            } else {
                format!("{given} of {needed} approvals: {summary}")
            },
            None,
        ),
        Outcome::Issued(issued) => (
            json!({ "request": request.id, "done": summary, "serial": issued.serial.to_string(),
                    "chain": issued.chain.iter().map(|der| gridlatch_trust::certificate::to_pem(der)).collect::<Vec<_>>() }),
            format!("done: {summary}: {}", issued.serial),
            Some(issued.chain),
        ),
        Outcome::Renewed(der) => (
            json!({ "request": request.id, "done": summary }),
            format!("done: {summary}"),
            Some(vec![der]),
        ),
        Outcome::Done => (
            json!({ "request": request.id, "done": summary }),
            format!("done: {summary}"),
            None,
        ),
    };
    if let (Some(path), Some(chain)) = (&args.out, chain) {
        outputs.write(path, super::issue::pem(&chain).as_bytes())?;
    }
    print(args.place.format, &value, || text);
    Ok(())
}

/// Operators of dual control.
#[derive(Debug, Args)]
#[command(after_help = super::EXIT)]
pub(crate) struct OperatorArgs {
    #[command(subcommand)]
    command: OperatorCommand,
}

#[derive(Debug, Subcommand)]
enum OperatorCommand {
    /// Make a key for an operator: PREFIX.key.pem stays with them, PREFIX.pub.pem is registered
    New {
        /// Where the two files go, without extension
        #[arg(value_name = "PREFIX")]
        prefix: PathBuf,
    },
    /// Register an operator; takes the approval of two who are registered
    Add {
        #[command(flatten)]
        place: Box<Place>,
        /// The name
        #[arg(value_name = "NAME")]
        name: String,
        /// The public key's file
        #[arg(value_name = "FILE")]
        public: PathBuf,
    },
    /// Take an operator off the register; takes the approval of two, and two have to remain
    Remove {
        #[command(flatten)]
        place: Box<Place>,
        /// The name
        #[arg(value_name = "NAME")]
        name: String,
    },
    /// Names of the registered operators
    List {
        #[command(flatten)]
        place: Box<Place>,
    },
}

impl OperatorArgs {
    pub(super) fn format(&self) -> Format {
        match &self.command {
            OperatorCommand::New { .. } => Format::Text,
            OperatorCommand::Add { place, .. }
            | OperatorCommand::Remove { place, .. }
            | OperatorCommand::List { place } => place.format,
        }
    }
}

pub(super) async fn operator(args: OperatorArgs) -> Result<(), CliError> {
    match args.command {
        OperatorCommand::New { prefix } => {
            let (key_path, public_path) =
                (with_suffix(&prefix, ".key.pem"), with_suffix(&prefix, ".pub.pem"));
            let mut outputs = Outputs::default();
            outputs.reserve(&key_path, 0o600)?;
            outputs.reserve(&public_path, 0o644)?;
            let key = FileKey::generate(KeyAlgorithm::P256).map_err(CliError::run)?;
            outputs.write(&key_path, &key.to_pem().map_err(CliError::run)?)?;
            let public = gridlatch_pki::ca::to_pem_block(key.public_key_der(), "PUBLIC KEY");
            outputs.write(&public_path, public.as_bytes())?;
            crate::say::result(format!("{}\n{}", key_path.display(), public_path.display()));
            Ok(())
        }
        OperatorCommand::Add { place, name, public } => {
            let key = files::pem_or_der(&public, "PUBLIC KEY")?;
            let opened = place.open().await?;
            let action = Action::Operator {
                name,
                key: key.iter().map(|octet| format!("{octet:02x}")).collect(),
            };
            let result = opened.ca.file(&action, &place.operator()).await;
            let request = opened.finish(result).await?;
            say_filed(place.format, &request.id, "another operator");
            Ok(())
        }
        OperatorCommand::Remove { place, name } => {
            let opened = place.open().await?;
            let action = Action::RemoveOperator { name };
            let result = opened.ca.file(&action, &place.operator()).await;
            let request = opened.finish(result).await?;
            say_filed(place.format, &request.id, "removing an operator");
            Ok(())
        }
        OperatorCommand::List { place } => {
            let opened = place.open().await?;
            for name in opened.ca.operators().await? {
                print(place.format, &json!({ "operator": name }), || name.clone());
            }
            Ok(())
        }
    }
}

/// Says that a request was filed and how it goes on.
pub(super) fn say_filed(format: Format, id: &str, what: &str) {
    print(format, &json!({ "request": id, "needs": what }), || {
        format!(
            "{what} takes two operators; request {id} is filed\neach: gridlatch pki approve {id} --operator NAME --key FILE"
        )
    });
}

/// The policy file's requests go the same way.
pub(super) async fn file_or_say(
    ca: &Ca,
    place: &Place,
    action: Action,
    result: Result<(), CaError>,
) -> Result<bool, CliError> {
    match result {
        Ok(()) => Ok(true),
        Err(CaError::ApprovalNeeded { what, .. }) => {
            let request = ca.file(&action, &place.operator()).await?;
            say_filed(place.format, &request.id, what);
            Ok(false)
        }
        Err(error) => Err(error.into()),
    }
}
