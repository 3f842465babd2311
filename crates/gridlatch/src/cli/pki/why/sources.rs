//! Where certificates, roots and evidence come from.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use gridlatch_trust::verdict::{Evidence, Source};
use gridlatch_trust::{certificate, cms};
use gridlatch_vocab::Timestamp;
use time::format_description::well_known::{Iso8601, Rfc3339};
use tokio::net::TcpStream;

use super::super::{CliError, files};

/// Files of one folder that are looked at.
const MAX_FILES: usize = 512;
/// How deep below a folder.
const MAX_DEPTH: usize = 5;
/// The largest file that is read as a revocation list, bytes.
const MAX_LIST: u64 = 16 * 1024 * 1024;

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

/// The certificates of a file: PEM blocks, one certificate in DER, or a PKCS#7 message in either.
pub(super) fn certificates(path: &Path) -> Result<Vec<Vec<u8>>, CliError> {
    let octets = files::read(path)?;
    let usage = |why: String| CliError::Usage(format!("{}: {why}", path.display()));
    let message = gridlatch_pki::ca::from_pem_block(&octets, "PKCS7")
        .or_else(|| gridlatch_pki::ca::from_pem_block(&octets, "CMS"));
    if let Some(message) = message {
        return cms::parse_certs_only(&message).map_err(|error| usage(error.to_string()));
    }
    if octets.first() == Some(&0x30) {
        return Ok(cms::parse_certs_only(&octets).unwrap_or_else(|_| vec![octets]));
    }
    let found = certificate::from_pem(&octets).map_err(|error| usage(error.to_string()))?;
    if found.is_empty() {
        return Err(usage(
            "holds no certificate in PEM, DER or PKCS#7 (of a PKCS#12 file, export the certificates first: \
             openssl pkcs12 -in FILE -nokeys -out chain.pem)"
                .to_owned(),
        ));
    }
    Ok(found)
}

/// What is trusted, and what else is at hand.
#[derive(Debug, Default)]
pub(super) struct Known {
    pub(super) roots: Vec<Vec<u8>>,
    pub(super) extra: Vec<Vec<u8>>,
}

pub(super) fn known(roots: &[PathBuf], folders: &[PathBuf], extra: &[PathBuf]) -> Result<Known, CliError> {
    let mut known = Known::default();
    for path in roots {
        // A root that is named is trusted, whatever it is.
        known.roots.extend(certificates(path)?);
    }
    for folder in folders {
        let mut left = MAX_FILES;
        walk(folder, 0, &mut left, &mut known).map_err(|error| {
            CliError::Run(anyhow::Error::new(error).context(format!("cannot read {}", folder.display())))
        })?;
    }
    for path in extra {
        known.extra.extend(certificates(path)?);
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
        for der in certificates(&path).unwrap_or_default() {
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

pub(super) fn evidence(lists: &[PathBuf], answers: &[PathBuf]) -> Result<Evidence, CliError> {
    let mut evidence = Evidence::default();
    for path in lists {
        let named = |error: String| CliError::Usage(format!("{}: {error}", path.display()));
        let large = fs::metadata(path)
            .map_err(|error| named(error.to_string()))?
            .len()
            > MAX_LIST;
        if large {
            return Err(named(format!("larger than {MAX_LIST} bytes")));
        }
        let octets = fs::read(path).map_err(|error| named(error.to_string()))?;
        let der = if octets.first() == Some(&0x30) {
            octets
        } else {
            gridlatch_pki::ca::from_pem_block(&octets, "X509 CRL")
                .ok_or_else(|| named("holds no revocation list".to_owned()))?
        };
        evidence.add_crl(&der).map_err(|error| named(error.to_string()))?;
    }
    for path in answers {
        let der = files::read(path)?;
        evidence
            .add_ocsp(&der, Source::Cached)
            .map_err(|error| CliError::Usage(format!("{}: {error}", path.display())))?;
    }
    Ok(evidence)
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
