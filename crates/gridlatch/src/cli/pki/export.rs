//! `pki export`: certificates and keys as others load them.

use std::fs;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use clap::ValueEnum;
use gridlatch_keys::FileKey;
use gridlatch_pki::ca::{Ca, CaError, Control, World};
use gridlatch_trust::certificate;
use gridlatch_trust::profile::Kind;
use gridlatch_vocab::StationId;
use serde_json::json;

use super::files::{self, Outputs};
use super::issue::pem;
use super::{CliError, Place, print};

/// How others want it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Layout {
    /// Every CA certificate as PEM, one file each
    Pem,
    /// Every CA certificate as DER, one file each
    Der,
    /// One certificate with its chain and its key (--cert, --key) as one archive
    Pkcs12,
    /// The folders of Josev (ISO 15118-2, with its own test station and car): development PKI only
    Josev,
    /// The folders of EVerest's libevse-security, for one station (--station)
    Everest,
}

/// Write certificates and keys in the files and folders that others load. Nothing is overwritten.
#[derive(Debug, clap::Args)]
#[command(after_help = super::EXIT)]
pub(crate) struct ExportArgs {
    #[command(flatten)]
    pub(super) place: Place,
    /// How others want it
    #[arg(long = "as", value_enum, value_name = "LAYOUT")]
    layout: Layout,
    /// The folder, or for pkcs12 the file
    #[arg(long, value_name = "PATH")]
    out: PathBuf,
    /// pkcs12: the certificate, followed by its chain (what `pki issue` writes)
    #[arg(long, value_name = "FILE", required_if_eq("layout", "pkcs12"))]
    cert: Option<PathBuf>,
    /// pkcs12: its key
    #[arg(long, value_name = "FILE", required_if_eq("layout", "pkcs12"))]
    key: Option<PathBuf>,
    /// pkcs12: file whose first line is the archive's passphrase
    #[arg(long, value_name = "FILE", required_if_eq("layout", "pkcs12"))]
    passphrase_file: Option<PathBuf>,
    /// everest: the station's identity; its certificates are issued anew
    #[arg(long, value_name = "ID", required_if_eq("layout", "everest"))]
    station: Option<StationId>,
    /// everest: the EVSEID in its SECC certificate
    #[arg(long, value_name = "EVSEID", required_if_eq("layout", "everest"))]
    evse: Option<String>,
    /// everest: the tree of the vehicle side
    #[arg(long, value_name = "TREE", value_parser = super::init::tree, default_value = "iso2")]
    tree: World,
    /// everest: the root that signs the station's firmware, from its manufacturer; without it, none
    #[arg(long, value_name = "FILE")]
    mf_root: Option<PathBuf>,
}

pub(super) async fn run(args: ExportArgs) -> Result<(), CliError> {
    if args.layout == Layout::Josev {
        return josev(&args).await;
    }
    let opened = args.place.open().await?;
    let result = export(&opened.ca, &args).await;
    let written = opened.finish(result).await?;
    print(
        args.place.format,
        &json!({ "out": args.out, "files": written }),
        || {
            let files = if written == 1 { "file" } else { "files" };
            format!("{}: {written} {files}", args.out.display())
        },
    );
    Ok(())
}

async fn export(ca: &Ca, args: &ExportArgs) -> Result<usize, CliError> {
    let written = match args.layout {
        Layout::Pem | Layout::Der => authorities(ca, args)?,
        Layout::Pkcs12 => pkcs12(args)?,
        Layout::Everest => everest(ca, args).await?,
        Layout::Josev => 0,
    };
    ca.exported(&format!("{:?}", args.layout).to_lowercase(), &args.out, written);
    Ok(written)
}

fn authorities(ca: &Ca, args: &ExportArgs) -> Result<usize, CliError> {
    let mut folder = Folder::new(&args.out)?;
    for authority in ca.authorities().iter().filter(|authority| authority.active) {
        if args.layout == Layout::Pem {
            folder.put(
                &format!("{}.pem", authority.name),
                certificate::to_pem(&authority.der).as_bytes(),
                false,
            )?;
        } else {
            folder.put(&format!("{}.der", authority.name), &authority.der, false)?;
        }
    }
    Ok(folder.finish())
}

fn pkcs12(args: &ExportArgs) -> Result<usize, CliError> {
    let (Some(cert), Some(key), Some(passphrase)) = (&args.cert, &args.key, &args.passphrase_file) else {
        return Err(CliError::Usage(
            "pkcs12 takes --cert, --key and --passphrase-file".into(),
        ));
    };
    let chain = files::certificates(cert)?;
    let key = FileKey::load(key).map_err(CliError::run)?;
    let text = String::from_utf8(files::read(passphrase)?)
        .map_err(|_| CliError::Usage(format!("{} is not text", passphrase.display())))?;
    let passphrase = text.lines().next().unwrap_or_default();
    let leaf = chain.first().map(Vec::as_slice).unwrap_or_default();
    let name = certificate::summary(leaf).map_err(CliError::run)?.subject_cn;
    let archive = key.to_pkcs12(&name, &chain, passphrase).map_err(CliError::run)?;
    let mut outputs = Outputs::default();
    outputs.reserve(&args.out, 0o600)?;
    outputs.write(&args.out, &archive)?;
    Ok(1)
}

/// Josev's bundle is the development PKI with Josev's own station and car in it, and with the keys of its
/// CAs: nothing that a CA of two operators hands out.
async fn josev(args: &ExportArgs) -> Result<(), CliError> {
    let bundle = args.out.join("iso15118_2");
    if bundle.exists() {
        return Err(CaError::Exists(bundle.display().to_string()).into());
    }
    let opened = args.place.open().await?;
    if opened.ca.control() == Control::Dual {
        let error =
            CaError::Plan("Josev's bundle holds the keys of CAs; a CA of two operators does not give them");
        return opened.finish(Err(error)).await;
    }
    let log = Arc::new(super::Log::default());
    let dev =
        gridlatch_pki::dev::ensure(&args.place.folder(), &*log, opened.ca.now()).map_err(CliError::run)?;
    dev.export_josev(&args.out).map_err(CliError::run)?;
    // What was issued for it is recorded like everything else.
    let adopted = Ca::adopt(
        opened.ca.store().clone(),
        opened.ca.keys().clone(),
        log.clone(),
        &dev,
    )
    .await;
    opened.ca.exported("josev", &args.out, 57);
    opened.finish(adopted.map(drop)).await?;
    print(args.place.format, &json!({ "out": args.out }), || {
        format!("{}: set PKI_PATH={}/", args.out.display(), args.out.display())
    });
    Ok(())
}

/// The folders of libevse-security, as EVerest's module EvseSecurity is configured by default.
async fn everest(ca: &Ca, args: &ExportArgs) -> Result<usize, CliError> {
    let (Some(station), Some(evse)) = (&args.station, &args.evse) else {
        return Err(CliError::Usage("everest takes --station and --evse".into()));
    };
    let root = |world: &str, kind: Kind| -> Result<String, CliError> {
        let found = ca.authorities().into_iter().find(|authority| {
            authority.active && authority.world.folder() == world && authority.profile.kind == kind
        });
        let name = || CaError::UnknownAuthority(format!("{world}/{}", kind.slug()));
        Ok(certificate::to_pem(&found.ok_or_else(name)?.der))
    };
    let mut folder = Folder::new(&args.out)?;
    let tree = args.tree.folder();
    folder.put(
        "ca/v2g/V2G_ROOT_CA.pem",
        root(tree, Kind::V2gRoot)?.as_bytes(),
        false,
    )?;
    folder.put(
        "ca/mo/MO_ROOT_CA.pem",
        root(tree, Kind::MoRoot)?.as_bytes(),
        false,
    )?;
    folder.put(
        "ca/csms/CSMS_ROOT_CA.pem",
        root("ocpp", Kind::CsmsRoot)?.as_bytes(),
        false,
    )?;
    // Whoever is in there may sign firmware: none of this CA's trees, so nobody unless a root is given. The
    // library takes an empty bundle for "none installed"; it would make one itself.
    let makers = match &args.mf_root {
        Some(path) => pem(&files::certificates(path)?),
        None => String::new(),
    };
    folder.put("ca/mf/MF_ROOT_CA.pem", makers.as_bytes(), false)?;
    for (kind, authority, name, stem) in [
        (
            Kind::SeccLeaf,
            format!("{tree}/cpo-sub2"),
            evse.clone(),
            "client/cso/SECC_LEAF",
        ),
        (
            Kind::StationClient,
            "ocpp/csms-sub".to_owned(),
            station.to_string(),
            "client/csms/CSMS_LEAF",
        ),
    ] {
        let (issued, key) = ca
            .issue_with_key(&authority, kind, &name, args.place.operator())
            .await?;
        let leaf = issued.chain.first().map(Vec::as_slice).unwrap_or_default();
        folder.put(&format!("{stem}.key"), &key, true)?;
        folder.put(
            &format!("{stem}.pem"),
            certificate::to_pem(leaf).as_bytes(),
            false,
        )?;
        if kind == Kind::SeccLeaf {
            folder.put(
                "client/cso/CPO_CERT_CHAIN.pem",
                pem(&issued.chain).as_bytes(),
                false,
            )?;
        } else {
            folder.put(
                "client/csms/CSMS_CERT_CHAIN.pem",
                pem(&issued.chain).as_bytes(),
                false,
            )?;
        }
    }
    Ok(folder.finish())
}

/// A folder that was empty or did not exist. Unless it was finished, what was written goes again, so that the
/// same command can be given once more.
struct Folder {
    root: PathBuf,
    made: Vec<PathBuf>,
    finished: bool,
    written: usize,
}

impl Folder {
    fn new(root: &Path) -> Result<Self, CliError> {
        let used = fs::read_dir(root).is_ok_and(|mut entries| entries.next().is_some());
        if used {
            return Err(CaError::Exists(root.display().to_string()).into());
        }
        Ok(Self {
            root: root.to_owned(),
            made: Vec::new(),
            finished: false,
            written: 0,
        })
    }

    fn put(&mut self, relative: &str, content: &[u8], private: bool) -> Result<(), CliError> {
        let path = self.root.join(relative);
        if let Some(parent) = path.parent() {
            self.folder(parent)?;
        }
        let mut outputs = Outputs::default();
        outputs.reserve(&path, if private { 0o600 } else { 0o644 })?;
        outputs.write(&path, content)?;
        self.made.push(path);
        self.written += 1;
        Ok(())
    }

    fn folder(&mut self, path: &Path) -> Result<(), CliError> {
        let missing: Vec<&Path> = path
            .ancestors()
            .take_while(|folder| !folder.as_os_str().is_empty() && !folder.exists())
            .collect();
        for folder in missing.into_iter().rev() {
            fs::DirBuilder::new()
                .mode(0o755)
                .create(folder)
                .map_err(|source| CaError::File {
                    operation: "create",
                    path: folder.to_owned(),
                    source,
                })?;
            self.made.push(folder.to_owned());
        }
        Ok(())
    }

    /// Everything is there: it stays. How many files that is.
    fn finish(mut self) -> usize {
        self.finished = true;
        self.written
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        if self.finished {
            return;
        }
        // Files before the folders they are in; a folder with somebody else's file in it stays.
        for path in self.made.iter().rev() {
            let _ = fs::remove_file(path).or_else(|_| fs::remove_dir(path));
        }
    }
}
