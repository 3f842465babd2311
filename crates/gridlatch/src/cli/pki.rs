//! `gridlatch pki`: running a certification authority from the command line.
//!
//! The CA lives in the folder `pki` below the data folder: `ca.db` and the keys. What every command did
//! is kept as events in the database (`pki list --events`).

mod approve;
mod backup;
mod bundle;
mod campaign;
mod client;
mod export;
mod files;
mod forecast;
mod init;
mod inventory;
mod issue;
mod key;
mod list;
mod policy;
mod pools;
mod reissue;
mod renew;
mod revoke;
mod rollover;
pub(crate) mod serve;
mod show;
mod succession;
mod verify;
mod why;

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use clap::{Args, Subcommand};
use gridlatch_host::DataDir;
use gridlatch_keys::PinSource;
use gridlatch_pki::ca::{Ca, CaError, DATABASE, KeyRing, Requester, Role};
use gridlatch_store::Store;
use gridlatch_vocab::{Code, Event, EventSink, catalogue::ca};
use serde_json::{Value, json};

use super::Format;
use crate::say;

const EXIT: &str =
    "Exit codes: 0 done; 1 refused, or the answer is no (the code is named); 2 usage or run error.";

/// Run the certification authority
#[derive(Debug, Args)]
#[command(after_help = EXIT)]
pub(crate) struct PkiCommand {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Set up a CA: every tree, every key, two operators
    Init(init::InitArgs),
    /// Issue a certificate, with a new key or for a request
    Issue(issue::IssueArgs),
    /// Issue again: a certificate, or the one of a CA
    Renew(renew::RenewArgs),
    /// Revoke a certificate
    Revoke(revoke::RevokeArgs),
    /// List certificates, CAs, requests for approval or events
    List(list::ListArgs),
    /// Show one certificate or CA
    Show(show::ShowArgs),
    /// Write roots or a chain as PEM
    Bundle(bundle::BundleArgs),
    /// Judge a chain by the CA's own roots and its revocations
    Verify(verify::VerifyArgs),
    /// Write certificates and keys as others load them
    Export(export::ExportArgs),
    /// Write one encrypted file with everything
    Backup(backup::BackupArgs),
    /// Restore a backup into an empty folder
    Restore(backup::RestoreArgs),
    /// Approve what takes two operators
    Approve(approve::ApproveArgs),
    /// Operators: make a key, register one
    Operator(approve::OperatorArgs),
    /// Private keys in files, PKCS#11 tokens and TPMs
    Key(key::KeyArgs),
    /// The Plug & Charge pools: clients and roots
    Pools(pools::PoolsArgs),
    /// Serve enrolment, OCSP and revocation lists
    Serve(serve::ServeArgs),
    /// Who may enrol with a secret, and requests that wait
    Client(client::ClientArgs),
    /// Show, check or replace the issuing policy
    Policy(policy::PolicyArgs),
    /// What stops working on which date if nothing is done
    Forecast(forecast::ForecastArgs),
    /// Who really holds which chains and roots, as of when
    Inventory(inventory::InventoryArgs),
    /// Explain why a chain is trusted or not
    Why(why::WhyArgs),
    /// Issue a fleet's certificates again, with progress, and from where it stopped
    Reissue(reissue::ReissueArgs),
    /// Replace a root in five stages
    Rollover(rollover::RolloverArgs),
    /// Certify another PKI's sub-CA
    Cross(rollover::CrossArgs),
    /// Certify an old root by the new one, or the reverse
    Link(rollover::LinkArgs),
}

/// Runs it; returns the exit code.
pub(crate) fn run(command: PkiCommand) -> u8 {
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return say::failed(&anyhow::Error::new(error).context("cannot start the runtime")),
    };
    runtime.block_on(async {
        let (format, answer) = match command.command {
            Command::Why(args) => return why::run(args).await,
            Command::Init(args) => (args.place.format, init::run(args).await),
            Command::Issue(args) => (args.place.format, issue::run(args).await),
            Command::Renew(args) => (args.place.format, renew::run(args).await),
            Command::Revoke(args) => (args.place.format, revoke::run(args).await),
            Command::List(args) => (args.place.format, list::run(args).await),
            Command::Show(args) => (args.place.format, show::run(args).await),
            Command::Bundle(args) => (args.place.format, bundle::run(args).await),
            Command::Verify(args) => (args.place.format, verify::run(args).await),
            Command::Export(args) => (args.place.format, export::run(args).await),
            Command::Backup(args) => (args.place.format, backup::backup(args).await),
            Command::Restore(args) => (args.place.format, backup::restore(args).await),
            Command::Approve(args) => (args.place.format, approve::run(args).await),
            Command::Operator(args) => (args.format(), approve::operator(args).await),
            Command::Key(args) => (args.format(), key::run(&args)),
            Command::Pools(args) => (args.format(), pools::run(args).await),
            Command::Serve(args) => (args.place.format, serve::run(args).await),
            Command::Client(args) => (args.format(), client::run(args)),
            Command::Policy(args) => (args.format(), policy::run(args).await),
            Command::Reissue(args) => (args.place.format, reissue::run(args).await),
            // These need no CA, and have exit codes of their own.
            Command::Forecast(args) => return forecast::run(&args).await,
            Command::Inventory(args) => return inventory::run(&args).await,
            Command::Rollover(args) => return rollover::run(&args).await,
            Command::Cross(args) => return rollover::run_cross(&args),
            Command::Link(args) => return rollover::run_link(&args),
        };
        match answer {
            Ok(()) => 0,
            Err(error) => failed(&error, format),
        }
    })
}

/// What every command needs to find the CA.
#[derive(Debug, Args)]
pub(crate) struct Place {
    /// The folder that holds all state
    #[arg(long, value_name = "DIR", env = "GRIDLATCH_DATA", default_value_os_t = DataDir::default_root())]
    pub(crate) data: PathBuf,
    /// text, or json: one value a line
    #[arg(long, value_enum, default_value = "text")]
    pub(crate) format: Format,
    /// File with the PIN of the token or TPM that holds keys (mode 600)
    #[arg(long, value_name = "FILE")]
    pin_file: Option<PathBuf>,
    /// Who asks, as the events will say
    #[arg(
        long = "by",
        value_name = "NAME",
        env = "USER",
        default_value = "operator",
        hide_env = true
    )]
    by: String,
}

impl Place {
    /// Who asks.
    pub(crate) fn operator(&self) -> Requester {
        Requester {
            role: Role::Operator,
            id: self.by.clone(),
        }
    }

    pub(crate) fn pin(&self) -> PinSource {
        self.pin_file
            .as_ref()
            .map_or(PinSource::None, |path| PinSource::File(path.clone()))
    }

    /// The CA's folder.
    pub(crate) fn folder(&self) -> PathBuf {
        self.data.join("pki")
    }

    /// The keys, in files and in whatever a URI names.
    pub(crate) fn keys(&self) -> KeyRing {
        KeyRing::in_folder(&self.folder()).with_hardware(&self.pin())
    }

    /// Refuses a folder without a CA before anything is made in it.
    pub(crate) fn present(&self) -> Result<(), CliError> {
        let path = self.folder().join(DATABASE);
        match std::fs::metadata(&path) {
            Ok(_) => Ok(()),
            Err(source) if source.kind() == std::io::ErrorKind::NotFound => Err(self.no_ca()),
            Err(source) => Err(CaError::File {
                operation: "use",
                path,
                source,
            }
            .into()),
        }
    }

    /// There is no CA, or only the beginning of one; where that is.
    fn no_ca(&self) -> CliError {
        let text = format!("there is no CA in {}", self.folder().display());
        CliError::No(ca::NOT_INITIALISED, text)
    }

    /// Opens the store; without `create`, only one that is there.
    pub(crate) async fn store(&self, create: bool) -> Result<Store, CliError> {
        let folder = self.folder();
        let path = folder.join(DATABASE);
        if create {
            DataDir::open(&self.data)
                .and_then(|data| data.dir("pki"))
                .map_err(CliError::run)?;
        } else {
            self.present()?;
        }
        let text = path
            .to_str()
            .ok_or_else(|| CliError::Usage(format!("{} is not text", path.display())))?;
        Store::open(text)
            .await
            .map_err(|error| CaError::from(error).into())
    }

    /// Opens the CA.
    pub(crate) async fn open(&self) -> Result<Opened, CliError> {
        let store = self.store(false).await?;
        let log = Arc::new(Log::default());
        match Ca::open(store, self.keys(), log.clone()).await {
            Ok(ca) => Ok(Opened { ca, log }),
            Err(CaError::NotInitialised) => Err(self.no_ca()),
            Err(error) => Err(error.into()),
        }
    }
}

/// An opened CA whose events are kept when the command ends.
pub(crate) struct Opened {
    pub(crate) ca: Ca,
    log: Arc<Log>,
}

impl Opened {
    pub(crate) const fn new(ca: Ca, log: Arc<Log>) -> Self {
        Self { ca, log }
    }

    /// Where events go until then.
    pub(crate) fn sink(&self) -> Arc<dyn EventSink> {
        Arc::<Log>::clone(&self.log)
    }

    /// Keeps what happened, whether it succeeded or not, and hands the result on.
    pub(crate) async fn finish<T, E: Into<CliError>>(self, result: Result<T, E>) -> Result<T, CliError> {
        let events = std::mem::take(&mut *self.log.0.lock().unwrap_or_else(PoisonError::into_inner));
        let kept = self.ca.store().event_append(events).await;
        let value = result.map_err(Into::into)?;
        kept.map_err(CaError::from)?;
        Ok(value)
    }
}

/// Collects events until they are written.
#[derive(Debug, Default)]
pub(crate) struct Log(Mutex<Vec<Event>>);

impl EventSink for Log {
    fn emit(&self, event: Event) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(event);
    }
}

/// Why a command failed.
#[derive(Debug)]
pub(crate) enum CliError {
    /// The CA refused or failed: exit 1 for a refusal, 2 for a failure.
    Ca(Box<CaError>),
    /// The answer is no: exit 1.
    No(Code, String),
    /// The arguments cannot be meant: exit 2.
    Usage(String),
    /// Something else failed: exit 2.
    Run(anyhow::Error),
}

impl CliError {
    pub(crate) fn run(error: impl Into<anyhow::Error>) -> Self {
        Self::Run(error.into())
    }
}

impl From<CaError> for CliError {
    fn from(error: CaError) -> Self {
        Self::Ca(Box::new(error))
    }
}

impl From<anyhow::Error> for CliError {
    fn from(error: anyhow::Error) -> Self {
        Self::Run(error)
    }
}

fn failed(error: &CliError, format: Format) -> u8 {
    let (code, message, exit) = match error {
        CliError::Ca(error) => {
            let exit = match &**error {
                CaError::Store(_) | CaError::File { .. } | CaError::Key { .. } | CaError::Entropy => 2,
                _ => 1,
            };
            (Some(error.code()), causes(&**error), exit)
        }
        CliError::No(code, message) => (Some(*code), message.clone(), 1),
        CliError::Usage(message) => (None, message.clone(), 2),
        CliError::Run(error) => (None, format!("{error:#}"), 2),
    };
    match (format, code) {
        (Format::Json, _) => say::result(
            json!({ "error": message, "code": code.map(Code::as_str), "remedy": code.map(|code| code.row().remedy) })
                .to_string(),
        ),
        (Format::Text, Some(code)) => {
            say::talk(format!("gridlatch: {code}: {message}"));
            say::talk(format!("  {}", code.row().remedy));
        }
        (Format::Text, None) => say::talk(format!("gridlatch: {message}")),
    }
    exit
}

/// An error with its causes on one line.
fn causes(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let next = error.to_string();
        if !text.ends_with(&next) {
            text.push_str(": ");
            text.push_str(&next);
        }
        cause = error.source();
    }
    text
}

/// Prints one value: as JSON, or the lines for people.
pub(crate) fn print(format: Format, value: &Value, text: impl FnOnce() -> String) {
    match format {
        Format::Json => say::result(value.to_string()),
        Format::Text => say::result(text()),
    }
}
