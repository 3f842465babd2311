//! What has an end and is in no inventory: a CA's database, and published files.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context as _, Result, bail};
use gridlatch_pki::ca::{Ca, DATABASE, KeyRing};
use gridlatch_pki::rollover::ends;
use gridlatch_store::Store;
use gridlatch_trust::forecast::ends::Ends;
use gridlatch_vocab::Timestamp;

use crate::cli::bounded;
use crate::cli::pki::Log;
use crate::say;

/// The largest published file.
const MAX_FILE: u64 = 16 * 1024 * 1024;

pub(super) async fn of(
    ca: Option<&Path>,
    data: &Path,
    published: &[PathBuf],
    now: Timestamp,
) -> Result<Ends> {
    let mut all = Ends::default();
    if let Some(folder) = ca {
        let folder = if folder.as_os_str().is_empty() {
            data.join("pki")
        } else {
            folder.to_owned()
        };
        all.extend(database(&folder, now).await?);
    }
    for path in published {
        let octets = match bounded::read(path, MAX_FILE) {
            Err(error) if error.kind() == std::io::ErrorKind::FileTooLarge => {
                bail!("{} is larger than {MAX_FILE} octets", path.display());
            }
            read => read.with_context(|| format!("cannot read {}", path.display()))?,
        };
        all.extend(ends::of_file(&octets).with_context(|| path.display().to_string())?);
    }
    Ok(all)
}

async fn database(folder: &Path, now: Timestamp) -> Result<Ends> {
    let path = folder.join(DATABASE);
    if !path.exists() {
        bail!(
            "{} holds no {DATABASE}: name the folder of a CA",
            folder.display()
        );
    }
    let text = path
        .to_str()
        .with_context(|| format!("{} is not text", path.display()))?;
    let store = Store::open(text).await?;
    // No key is touched: dates are public.
    let ca = Ca::open(store, KeyRing::in_folder(folder), Arc::new(Log::default())).await?;
    let mut told = 0;
    let ends = ends::of_ca(&ca, now, &mut |done, all| {
        let tenth = (done * 10).checked_div(all).unwrap_or(0);
        if all >= 10_000 && tenth > told {
            told = tenth;
            say::talk(format!("read {done} of {all} certificates"));
        }
    })
    .await?;
    Ok(ends)
}
