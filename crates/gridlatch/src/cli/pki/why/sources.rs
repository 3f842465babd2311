//! Where certificates, roots and evidence come from.

use std::cell::OnceCell;
use std::fs;
use std::io::IsTerminal as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use gridlatch_trust::{certificate, cms};
use gridlatch_vocab::Timestamp;
use time::format_description::well_known::{Iso8601, Rfc3339};
use tokio::net::TcpStream;

use super::super::{CliError, files};

/// Files of one folder that are looked at.
const MAX_FILES: usize = 512;
/// How deep below a folder.
const MAX_DEPTH: usize = 5;

/// `2026-11-21` or `2026-11-21T12:00:00Z`.
pub(super) fn time_of(text: &str) -> Result<Timestamp, CliError> {
    time::OffsetDateTime::parse(text, &Rfc3339)
        .or_else(|_| time::Date::parse(text, &Iso8601::DATE).map(|date| date.midnight().assume_utc()))
        .map(Timestamp)
        .map_err(|_| CliError::Usage(format!("{text} is not a time like 2026-11-21T12:00:00Z")))
}

/// A place to connect to.
pub(super) struct Endpoint {
    pub(super) host: String,
    pub(super) shown: String,
}

/// `HOST:PORT`, if that is what is asked about and no file of that name exists.
pub(super) fn endpoint(what: &[String]) -> Option<Endpoint> {
    let [one] = what else {
        return None;
    };
    if Path::new(one).exists() {
        return None;
    }
    let (host, port) = one.rsplit_once(':')?;
    port.parse::<u16>().ok()?;
    let host = host.trim_start_matches('[').trim_end_matches(']');
    (!host.is_empty()).then(|| Endpoint {
        host: host.to_owned(),
        shown: one.clone(),
    })
}

pub(super) async fn connect(endpoint: &Endpoint, limit: Duration) -> Result<TcpStream, CliError> {
    let failed = |why: String| CliError::Run(anyhow::anyhow!("cannot connect to {}: {why}", endpoint.shown));
    match tokio::time::timeout(limit, TcpStream::connect(&endpoint.shown)).await {
        Ok(Ok(tcp)) => Ok(tcp),
        Ok(Err(error)) => Err(failed(error.to_string())),
        Err(_) => Err(failed(format!("no answer within {} s", limit.as_secs()))),
    }
}

/// The passphrase of archives; asked for once, and only where one is needed.
pub(super) struct Passphrase<'a> {
    file: Option<&'a Path>,
    typed: OnceCell<String>,
}

/// The variable that holds it. Arguments of a command are seen by everybody on the machine.
const VARIABLE: &str = "GRIDLATCH_PKCS12_PASSPHRASE";

/// How long an archive may take to open: whoever made it chose how often it is hashed.
const OPENING: Duration = Duration::from_secs(20);

impl<'a> Passphrase<'a> {
    pub(super) const fn new(file: Option<&'a Path>) -> Self {
        Self {
            file,
            typed: OnceCell::new(),
        }
    }

    fn given(&self) -> Result<Option<String>, CliError> {
        if let Some(path) = self.file {
            let octets = files::read(path)?;
            let text = String::from_utf8_lossy(&octets);
            return Ok(Some(text.lines().next().unwrap_or_default().to_owned()));
        }
        Ok(std::env::var(VARIABLE).ok())
    }

    /// The certificates of an archive.
    fn open(&self, path: &Path, archive: &[u8]) -> Result<Vec<Vec<u8>>, CliError> {
        if let Some(given) = self.given()? {
            return opened(archive, &given).map_err(|why| usage(path, &why));
        }
        // Many archives of certificates alone have none.
        let first = match opened(archive, "") {
            Ok(found) => return Ok(found),
            Err(why) => why,
        };
        if !std::io::stdin().is_terminal() {
            let why = format!("{first}; give its passphrase with --passphrase-file FILE or in {VARIABLE}");
            return Err(usage(path, &why));
        }
        let typed = match self.typed.get() {
            Some(typed) => typed,
            None => {
                let question = format!("Passphrase of {}: ", path.display());
                let typed = gridlatch_host::ask_secret(&question)
                    .map_err(|error| usage(path, &format!("no passphrase: {error}")))?;
                self.typed.get_or_init(|| typed)
            }
        };
        opened(archive, typed).map_err(|why| usage(path, &why))
    }
}

fn opened(archive: &[u8], passphrase: &str) -> Result<Vec<Vec<u8>>, String> {
    let (archive, passphrase) = (archive.to_vec(), passphrase.to_owned());
    let (done, opened) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        let found = gridlatch_keys::pkcs12_certificates(&archive, &passphrase);
        let _ = done.send(found.map_err(|error| format!("{:#}", anyhow::Error::new(error))));
    });
    opened
        .recv_timeout(OPENING)
        .unwrap_or_else(|_| Err(format!("it does not open within {} s", OPENING.as_secs())))
}

fn usage(path: &Path, why: &str) -> CliError {
    CliError::Usage(format!("{}: {why}", path.display()))
}

/// The certificates of a file: PEM blocks, one certificate in DER, a PKCS#7 message in either, or a PKCS#12
/// archive.
pub(super) fn certificates(path: &Path, passphrase: &Passphrase<'_>) -> Result<Vec<Vec<u8>>, CliError> {
    let octets = files::read(path)?;
    if gridlatch_keys::is_pkcs12(&octets) {
        return match passphrase.open(path, &octets)? {
            found if found.is_empty() => Err(usage(path, "the archive holds no certificate")),
            found => Ok(found),
        };
    }
    plain(path, octets)
}

fn plain(path: &Path, octets: Vec<u8>) -> Result<Vec<Vec<u8>>, CliError> {
    let message = gridlatch_pki::ca::from_pem_block(&octets, "PKCS7")
        .or_else(|| gridlatch_pki::ca::from_pem_block(&octets, "CMS"));
    if let Some(message) = message {
        return cms::parse_certs_only(&message).map_err(|error| usage(path, &error.to_string()));
    }
    if octets.first() == Some(&0x30) {
        return Ok(cms::parse_certs_only(&octets).unwrap_or_else(|_| vec![octets]));
    }
    let found = certificate::from_pem(&octets).map_err(|error| usage(path, &error.to_string()))?;
    if found.is_empty() {
        return Err(usage(path, "holds no certificate in PEM, DER, PKCS#7 or PKCS#12"));
    }
    Ok(found)
}

/// What is trusted, and what else is at hand.
#[derive(Debug, Default)]
pub(super) struct Known {
    pub(super) roots: Vec<Vec<u8>>,
    pub(super) extra: Vec<Vec<u8>>,
    /// Where the roots are from, if nobody named any.
    pub(super) from: Option<PathBuf>,
    /// What to say where there are none.
    pub(super) hint: String,
}

pub(super) fn known(
    roots: &[PathBuf],
    folders: &[PathBuf],
    data: &Path,
    extra: &[PathBuf],
    passphrase: &Passphrase<'_>,
) -> Result<Known, CliError> {
    let own = data.join("pki");
    let mut known = Known {
        hint: format!(
            "give --root FILE or --roots DIR; {} is no PKI of gridlatch up",
            own.display()
        ),
        ..Known::default()
    };
    for path in roots {
        // A root that is named is trusted, whatever it is.
        known.roots.extend(certificates(path, passphrase)?);
    }
    let mut folders = folders.to_vec();
    if roots.is_empty() && folders.is_empty() && own.is_dir() {
        known.from = Some(own.clone());
        folders.push(own);
    }
    for folder in &folders {
        let mut left = MAX_FILES;
        walk(folder, 0, &mut left, &mut known).map_err(|error| {
            CliError::Run(anyhow::Error::new(error).context(format!("cannot read {}", folder.display())))
        })?;
    }
    for path in extra {
        known.extra.extend(certificates(path, passphrase)?);
    }
    for list in [&mut known.roots, &mut known.extra] {
        list.sort();
        list.dedup();
    }
    Ok(known)
}

fn walk(folder: &Path, depth: usize, left: &mut usize, known: &mut Known) -> std::io::Result<()> {
    let mut entries: Vec<PathBuf> = fs::read_dir(folder)?
        .filter_map(|entry| entry.ok().map(|entry| entry.path()))
        .collect();
    entries.sort();
    for path in entries {
        if path.is_dir() {
            if depth < MAX_DEPTH {
                // A folder that cannot be read holds nothing for us.
                let _ = walk(&path, depth + 1, left, known);
            }
            continue;
        }
        let wanted = path
            .extension()
            .and_then(|extension| extension.to_str())
            .is_some_and(|extension| matches!(extension, "pem" | "crt" | "cer" | "der" | "p7b"));
        if !wanted || *left == 0 {
            continue;
        }
        *left -= 1;
        let read = files::read(&path).and_then(|octets| plain(&path, octets));
        for der in read.unwrap_or_default() {
            let Ok(summary) = certificate::summary(&der) else {
                continue;
            };
            match (summary.is_ca, summary.subject_cn == summary.issuer_cn) {
                (true, true) => known.roots.push(der),
                (true, false) => known.extra.push(der),
                (false, _) => {}
            }
        }
    }
    Ok(())
}

/// Which of the certificates is the leaf: the first, unless it is a CA and another is none.
pub(super) fn leaf_at(chain: &[Vec<u8>]) -> usize {
    let is_ca = |der: &Vec<u8>| certificate::summary(der).is_ok_and(|summary| summary.is_ca);
    match chain.first() {
        Some(first) if is_ca(first) => chain
            .iter()
            .position(|der| certificate::summary(der).is_ok_and(|summary| !summary.is_ca))
            .unwrap_or(0),
        _ => 0,
    }
}
