//! `pki backup` and `pki restore`.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use gridlatch_keys::open;
use gridlatch_pki::ca::backup::{Consent, check, restore_message};
use gridlatch_pki::ca::{Ca, CaError};
use gridlatch_vocab::catalogue::ca as catalogue;
use serde_json::json;

use super::{CliError, Log, Opened, Place, files, print};

/// The variable that holds the passphrase.
const VARIABLE: &str = "GRIDLATCH_BACKUP_PASSPHRASE";

/// Where the passphrase comes from.
#[derive(Debug, clap::Args)]
struct Secret {
    /// File whose first line is the passphrase, at least 10 characters; without it, the environment's
    /// GRIDLATCH_BACKUP_PASSPHRASE
    #[arg(long, value_name = "FILE")]
    passphrase_file: Option<PathBuf>,
}

impl Secret {
    fn read(&self) -> Result<String, CliError> {
        let text = match &self.passphrase_file {
            Some(path) => String::from_utf8(files::read(path)?)
                .map_err(|_| CliError::Usage(format!("{} is not text", path.display())))?,
            None => std::env::var(VARIABLE).map_err(|_| {
                CliError::Usage(format!(
                    "give the passphrase with --passphrase-file or in {VARIABLE}"
                ))
            })?,
        };
        Ok(text.lines().next().unwrap_or_default().to_owned())
    }
}

/// Write one encrypted file with the database and every key in a file, and read it back.
///
/// Keys in tokens and TPMs cannot leave them and are not in it; the command names them. The CA may be in use
/// meanwhile.
#[derive(Debug, clap::Args)]
#[command(after_help = super::EXIT)]
pub(crate) struct BackupArgs {
    #[command(flatten)]
    pub(super) place: Place,
    #[command(flatten)]
    secret: Secret,
    /// The file; never overwritten
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
}

pub(super) async fn backup(args: BackupArgs) -> Result<(), CliError> {
    let passphrase = args.secret.read()?;
    let opened = args.place.open().await?;
    let result = opened.ca.backup(&args.out, &passphrase).await;
    let elsewhere = opened.ca.keys_elsewhere();
    let contents = opened.finish(result).await?;
    let value = json!({
        "file": args.out,
        "files": contents.files,
        "bytes": contents.octets,
        "sha256": contents.digest,
        "keys_not_in_it": elsewhere.iter().map(|key| json!({ "ca": key.authority, "key": key.uri })).collect::<Vec<_>>(),
    });
    print(args.place.format, &value, || {
        let mut text = format!(
            "{}: {} files, {} bytes, read back\nSHA-256 {}",
            args.out.display(),
            contents.files,
            contents.octets,
            contents.digest
        );
        if !elsewhere.is_empty() {
            text.push_str(
                "\nnot in it, because tokens and TPMs keep their keys (back them up as their maker says):",
            );
        }
        for key in &elsewhere {
            text.push_str(&format!("\n  {:22} {}", key.authority, key.uri));
        }
        text
    });
    Ok(())
}

/// Restore a backup into a data folder without a CA.
///
/// Everything is checked before anything is put in place. A CA of two operators takes both: each with
/// --operator NAME=KEY, together or one after the other with --consent files.
#[derive(Debug, clap::Args)]
#[command(after_help = super::EXIT)]
pub(crate) struct RestoreArgs {
    #[command(flatten)]
    pub(super) place: Place,
    #[command(flatten)]
    secret: Secret,
    /// The backup
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// An operator who agrees, and their private key (file, or token as a URI)
    #[arg(long = "operator", value_name = "NAME=KEY")]
    operators: Vec<String>,
    /// Only write the consent of --operator to a file, for the one who restores
    #[arg(long, value_name = "FILE", requires = "operators")]
    write_consent: Option<PathBuf>,
    /// A consent that an operator wrote elsewhere
    #[arg(long = "consent", value_name = "FILE")]
    consents: Vec<PathBuf>,
    /// Only check the backup
    #[arg(long, conflicts_with_all = ["operators", "consents"])]
    check: bool,
}

pub(super) async fn restore(args: RestoreArgs) -> Result<(), CliError> {
    let passphrase = args.secret.read()?;
    let contents = check(&args.file, &passphrase)?;
    let message = restore_message(&contents.digest);
    let mut consents: Vec<Consent> = Vec::new();
    for pair in &args.operators {
        let (name, key) = pair
            .split_once('=')
            .ok_or_else(|| CliError::Usage(format!("--operator {pair}: NAME=KEY is meant")))?;
        let uri = if key.contains(':') {
            key.to_owned()
        } else {
            format!("file:{key}")
        };
        let key = open(&uri.parse().map_err(CliError::run)?, &args.place.pin()).map_err(CliError::run)?;
        consents.push((name.to_owned(), key.sign(&message).map_err(CliError::run)?));
    }
    if let Some(path) = &args.write_consent {
        write_consents(path, &consents)?;
        print(
            args.place.format,
            &json!({ "consent": path, "sha256": contents.digest }),
            || {
                format!(
                    "{}: consent to restoring the backup with SHA-256 {}\nwho restores: gridlatch pki restore {} \
                     --operator NAME=KEY --consent {}",
                    path.display(),
                    contents.digest,
                    args.file.display(),
                    path.display()
                )
            },
        );
        return Ok(());
    }
    for path in &args.consents {
        consents.extend(read_consents(path)?);
    }
    let value = json!({ "file": args.file, "files": contents.files, "sha256": contents.digest });
    if args.check {
        print(args.place.format, &value, || {
            format!("whole: {} files, {} bytes", contents.files, contents.octets)
        });
        return Ok(());
    }
    let log = Arc::new(Log::default());
    gridlatch_host::DataDir::open(&args.place.data).map_err(CliError::run)?;
    let folder = args.place.folder();
    let restored = Ca::restore(&args.file, &folder, &passphrase, &consents, log.clone()).await;
    let ca = restored.map_err(|error| match error {
        // Nothing is filed here: the CA that could keep a request does not exist yet.
        CaError::ApprovalNeeded { what, needed } => CliError::No(
            catalogue::APPROVAL_NEEDED,
            format!(
                "{what} takes {needed} operators: --operator NAME=KEY for each who is here, --consent FILE for one \
                 who is elsewhere and said --write-consent FILE"
            ),
        ),
        other => other.into(),
    })?;
    Opened::new(ca, log).finish::<_, CliError>(Ok(())).await?;
    // Opened again: keys in tokens need a PIN, and restoring itself needs no token.
    let opened = args.place.open().await?;
    let away = away(&opened.ca);
    let held = opened.ca.keys_elsewhere().len();
    let count = opened.ca.authorities().len();
    let mut value = value;
    value["keys_in_tokens"] = json!(held);
    value["keys_away"] = json!(away);
    print(args.place.format, &value, || {
        let mut text = format!("{count} CAs restored to {}", folder.display());
        if held > 0 {
            text.push_str(&format!(
                "\n{} of {held} keys in tokens and TPMs answer",
                held - away.len()
            ));
        }
        for why in &away {
            text.push_str(&format!("\n  {why}"));
        }
        if !away.is_empty() {
            text.push_str(
                "\nthose CAs sign nothing until their token is here again (or one it was copied to); everything else \
                 works, and what they issued is known",
            );
        }
        text
    });
    Ok(())
}

/// Which keys in tokens and TPMs do not answer, and why.
fn away(ca: &Ca) -> Vec<String> {
    ca.keys_elsewhere()
        .into_iter()
        .filter_map(|key| match ca.signer(&key.authority) {
            Ok(_) => None,
            Err(error) => Some(format!(
                "{}: {}: {}",
                key.authority,
                error.code(),
                super::causes(&error)
            )),
        })
        .collect()
}

fn write_consents(path: &Path, consents: &[Consent]) -> Result<(), CliError> {
    let lines: String = consents
        .iter()
        .map(|(name, signature)| {
            let hex: String = signature.iter().map(|octet| format!("{octet:02x}")).collect();
            format!("{}\n", json!({ "operator": name, "signature": hex }))
        })
        .collect();
    let mut outputs = files::Outputs::default();
    outputs.reserve(path, 0o644)?;
    outputs.write(path, lines.as_bytes())
}

fn read_consents(path: &Path) -> Result<Vec<Consent>, CliError> {
    let wrong = || CliError::Usage(format!("{} is no consent", path.display()));
    let text = String::from_utf8(files::read(path)?).map_err(|_| wrong())?;
    text.lines()
        .map(|line| {
            let value: serde_json::Value = serde_json::from_str(line).map_err(|_| wrong())?;
            let field = |name: &str| value.get(name).and_then(|field| field.as_str()).ok_or_else(wrong);
            let signature = gridlatch_pki::ca::from_hex(field("signature")?).ok_or_else(wrong)?;
            Ok((field("operator")?.to_owned(), signature))
        })
        .collect()
}
