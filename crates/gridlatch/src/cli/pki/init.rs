//! `pki init`.

use std::path::PathBuf;
use std::sync::Arc;

use gridlatch_keys::KeyUri;
use gridlatch_pki::ca::{Ca, CaError, Control, FILE, Hardware, Plan, World};
use gridlatch_vocab::EventSink;
use serde_json::json;

use super::{CliError, Log, Opened, Place, files, print};

/// Set up a CA: the V2G, CPO, CPS, OEM, MO and OCPP hierarchies with their keys, and OCSP signers.
///
/// From then on nothing a root signs leaves without two operators, unless --single-operator says that
/// one is enough. Interrupted, the same command completes what is missing. Existing keys are never
/// replaced.
#[derive(Debug, clap::Args)]
#[command(after_help = super::EXIT)]
pub(crate) struct InitArgs {
    #[command(flatten)]
    pub(super) place: Place,
    /// Whose PKI it is; begins the name of every CA
    #[arg(long, default_value = "Gridlatch")]
    name: String,
    /// Country of the CAs, two letters
    #[arg(long, default_value = "DE")]
    country: String,
    /// Trees to set up: iso2, iso20, iso20-ed448, ocpp
    #[arg(long = "tree", value_name = "TREE", value_delimiter = ',', value_parser = tree, default_value = "iso2,iso20,iso20-ed448,ocpp")]
    trees: Vec<World>,
    /// An operator and the file of their public key, at least twice (`pki operator new` makes one)
    #[arg(long = "operator", value_name = "NAME=FILE")]
    operators: Vec<String>,
    /// One operator is enough for everything: laptops and tests only
    #[arg(long, conflicts_with = "operators")]
    single_operator: bool,
    /// Take over the development PKI that `gridlatch up` made in this folder, as it is
    #[arg(long, requires = "single_operator")]
    adopt: bool,
    /// The issuing policy; without it, the default one (`pki policy show --default`)
    #[arg(long, value_name = "FILE")]
    policy: Option<PathBuf>,
    /// Where keys of sub-CAs go: file, or a token or TPM as a URI without a key's name (no Ed448 tree then)
    #[arg(long, value_name = "URI", default_value = FILE)]
    keys: String,
    /// Where keys of roots go; without it, where the others go
    #[arg(long, value_name = "URI")]
    root_keys: Option<String>,
}

pub(super) fn tree(text: &str) -> Result<World, String> {
    World::from_folder(text).ok_or_else(|| "iso2, iso20, iso20-ed448 or ocpp".to_owned())
}

pub(super) async fn run(args: InitArgs) -> Result<(), CliError> {
    if args.operators.is_empty() && !args.single_operator {
        return Err(CliError::Usage(
            "name two operators with --operator NAME=FILE (their public keys; `gridlatch pki operator new NAME` \
             makes one), or say --single-operator if one person may do everything"
                .into(),
        ));
    }
    let log = Arc::new(Log::default());
    let sink: Arc<dyn EventSink> = log.clone();
    let ca = if args.adopt {
        let dev = gridlatch_pki::dev::ensure(&args.place.folder(), &*log, gridlatch_host::now())
            .map_err(CliError::run)?;
        Ca::adopt(args.place.store(true).await?, args.place.keys(), sink, &dev).await?
    } else {
        let mut ring = args.place.keys();
        let mut scheme = |text: &str| -> Result<String, CliError> {
            if text == FILE {
                return Ok(FILE.to_owned());
            }
            let place: KeyUri = text.parse().map_err(CliError::run)?;
            let source = Hardware::new(place, args.place.pin());
            let scheme = source.scheme().to_owned();
            ring = ring.clone().with(&scheme, Arc::new(source));
            Ok(scheme)
        };
        let keys = scheme(&args.keys)?;
        let root_keys = match &args.root_keys {
            Some(text) => scheme(text)?,
            None => keys.clone(),
        };
        let plan = Plan {
            name: args.name,
            country: args.country,
            worlds: args.trees,
            root_keys,
            keys,
            control: if args.single_operator {
                Control::Single
            } else {
                Control::Dual
            },
            operators: operators(&args.operators)?,
            policy: match &args.policy {
                Some(path) => Some(
                    String::from_utf8(files::read(path)?)
                        .map_err(|_| CliError::Usage(format!("{} is not text", path.display())))?,
                ),
                None => None,
            },
        };
        // Before a folder or a database is made for it.
        plan.check()?;
        let folder = args.place.folder();
        Ca::init(args.place.store(true).await?, ring, sink, &plan)
            .await
            .map_err(|error| match error {
                CaError::Exists(_) => CaError::Exists(format!("the CA in {}", folder.display())),
                other => other,
            })?
    };
    let opened = Opened::new(ca.clone(), log);
    opened.finish::<_, CliError>(Ok(())).await?;
    let count = ca.store().pki_count().await.map_err(CliError::run)?;
    let value = json!({
        "folder": args.place.folder(),
        "control": ca.control().as_str(),
        "authorities": ca.authorities().iter().map(|authority| authority.name.clone()).collect::<Vec<_>>(),
        "certificates": count,
    });
    print(args.place.format, &value, || {
        let mut text = format!(
            "{} CAs in {}, {}\n",
            ca.authorities().len(),
            args.place.folder().display(),
            ca.control().as_str()
        );
        text.push_str("next: gridlatch pki backup, then gridlatch pki issue --help");
        text
    });
    Ok(())
}

/// `NAME=FILE` pairs to names and public keys.
fn operators(pairs: &[String]) -> Result<Vec<(String, Vec<u8>)>, CliError> {
    pairs
        .iter()
        .map(|pair| {
            let (name, file) = pair
                .split_once('=')
                .filter(|(name, file)| !name.is_empty() && !file.is_empty())
                .ok_or_else(|| CliError::Usage(format!("--operator {pair}: NAME=FILE is meant")))?;
            let key = files::pem_or_der(file.as_ref(), "PUBLIC KEY")?;
            Ok((name.to_owned(), key))
        })
        .collect()
}
