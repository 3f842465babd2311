//! `pki key`: private keys in files, PKCS#11 tokens and TPMs. What holds a key is named by its URI.

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};
use gridlatch_keys::{
    FileKey, KeyAlgorithm, KeyError, KeyUri, PinSource, Signer, generate, import, list, open, remove,
};
use gridlatch_pki::ca::to_pem_block;
use serde_json::json;

use super::{CliError, Format, print};

/// Private keys: in files, PKCS#11 tokens and TPMs
///
/// A key is named by a URI: file:PATH, pkcs11:token=NAME;object=NAME?module-path=PATH, or
/// tpm:0x81010002?tcti=device:/dev/tpmrm0 (builds with the feature tpm). A PIN comes from a file or a variable,
/// never from the command line.
#[derive(Debug, Args)]
#[command(after_help = super::EXIT)]
pub(crate) struct KeyArgs {
    #[command(subcommand)]
    command: KeyCommand,
}

#[derive(Debug, Subcommand)]
enum KeyCommand {
    /// Make a key where it will stay; one that is there is not replaced
    Generate {
        #[command(flatten)]
        place: KeyPlace,
        /// The kind of key; Ed448 in files only
        #[arg(long, value_enum, default_value = "p256")]
        algorithm: Algorithm,
    },
    /// Copy a key from a PEM file into a token or TPM. It is only as secret as the file was: prefer generate
    Import {
        #[command(flatten)]
        place: KeyPlace,
        /// The PEM file (mode 600); it is not removed
        #[arg(long, value_name = "FILE")]
        from: PathBuf,
    },
    /// List the keys of a token or a TPM
    List {
        #[command(flatten)]
        place: KeyPlace,
    },
    /// Remove a key from its token or TPM, for good
    Remove {
        #[command(flatten)]
        place: KeyPlace,
        /// It is meant: what the key stood for cannot sign any more
        #[arg(long, required = true)]
        yes: bool,
    },
    /// Open a key, sign with it once, and print its public key as PEM
    Check {
        #[command(flatten)]
        place: KeyPlace,
    },
}

#[derive(Debug, Args)]
struct KeyPlace {
    /// The key, or for list the token or TPM
    #[arg(long, value_name = "URI")]
    uri: String,
    /// File with the PIN (mode 600)
    #[arg(long, value_name = "FILE", conflicts_with = "pin_env")]
    pin_file: Option<PathBuf>,
    /// Variable with the PIN
    #[arg(long, value_name = "NAME")]
    pin_env: Option<String>,
    /// text, or json: one value a line
    #[arg(long, value_enum, default_value = "text")]
    format: Format,
}

/// Kinds of keys.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Algorithm {
    /// secp256r1: ISO 15118-2 and OCPP
    P256,
    /// secp521r1: ISO 15118-20
    P521,
    /// Ed448: the other choice of ISO 15118-20
    Ed448,
}

impl From<Algorithm> for KeyAlgorithm {
    fn from(algorithm: Algorithm) -> Self {
        match algorithm {
            Algorithm::P256 => Self::P256,
            Algorithm::P521 => Self::P521,
            Algorithm::Ed448 => Self::Ed448,
        }
    }
}

impl KeyPlace {
    fn uri(&self) -> Result<KeyUri, CliError> {
        self.uri.parse().map_err(refused)
    }

    fn pin(&self) -> PinSource {
        match (&self.pin_file, &self.pin_env) {
            (Some(path), _) => PinSource::File(path.clone()),
            (None, Some(name)) => PinSource::Env(name.clone()),
            (None, None) => PinSource::None,
        }
    }
}

impl KeyArgs {
    pub(super) const fn format(&self) -> Format {
        match &self.command {
            KeyCommand::Generate { place, .. }
            | KeyCommand::Import { place, .. }
            | KeyCommand::Remove { place, .. }
            | KeyCommand::List { place }
            | KeyCommand::Check { place } => place.format,
        }
    }
}

pub(super) fn run(args: &KeyArgs) -> Result<(), CliError> {
    match &args.command {
        KeyCommand::Generate { place, algorithm } => {
            let uri = place.uri()?;
            let key = generate(&uri, (*algorithm).into(), &place.pin()).map_err(refused)?;
            told(place.format, "made", &uri, &*key)
        }
        KeyCommand::Import { place, from } => {
            let uri = place.uri()?;
            let file = FileKey::load(from).map_err(refused)?;
            let key = import(&uri, &file, &place.pin()).map_err(refused)?;
            told(place.format, "imported", &uri, &*key)
        }
        KeyCommand::Check { place } => {
            let uri = place.uri()?;
            let key = open(&uri, &place.pin()).map_err(refused)?;
            key.sign(b"gridlatch pki key check").map_err(refused)?;
            told(place.format, "signs", &uri, &*key)
        }
        KeyCommand::Remove { place, .. } => {
            let uri = place.uri()?;
            if matches!(uri, KeyUri::File(_)) {
                return Err(CliError::Usage(format!(
                    "{uri}: a key in a file is removed as a file"
                )));
            }
            remove(&uri, &place.pin()).map_err(refused)?;
            let value = json!({ "key": uri.to_string(), "result": "removed" });
            print(place.format, &value, || format!("removed: {uri}"));
            Ok(())
        }
        KeyCommand::List { place } => {
            for listed in list(&place.uri()?, &place.pin()).map_err(refused)? {
                let algorithm = listed.algorithm.map_or("not usable here", KeyAlgorithm::as_str);
                let value = json!({ "uri": listed.uri.to_string(), "algorithm": listed.algorithm.map(KeyAlgorithm::as_str) });
                print(place.format, &value, || format!("{algorithm:16} {}", listed.uri));
            }
            Ok(())
        }
    }
}

fn told(format: Format, done: &str, uri: &KeyUri, key: &dyn Signer) -> Result<(), CliError> {
    let public = to_pem_block(key.public_key_der(), "PUBLIC KEY");
    let value = json!({ "key": uri.to_string(), "result": done, "algorithm": key.algorithm().as_str(), "public": public });
    print(format, &value, || {
        format!("{done}: {} {uri}\n{}", key.algorithm(), public.trim_end())
    });
    Ok(())
}

fn refused(error: KeyError) -> CliError {
    let mut text = error.to_string();
    let mut cause = std::error::Error::source(&error);
    while let Some(inner) = cause {
        text.push_str(": ");
        text.push_str(&inner.to_string());
        cause = inner.source();
    }
    CliError::No(error.code(), text)
}
