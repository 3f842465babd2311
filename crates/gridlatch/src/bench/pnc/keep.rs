//! `--keep DIR`: what each row was made of, in PEM, and the commands that show OpenSSL the same.

use std::fs;
use std::path::Path;

use anyhow::{Context as _, Result};
use gridlatch_keys::write_atomically;
use gridlatch_tls::{Credential, Generation};
use gridlatch_trust::certificate;

use super::meet::Side;
use super::rows::Row;

/// The commands of one row, as a person would type them in its folder.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub(super) struct Commands {
    /// The row's folder below DIR.
    pub(super) folder: String,
    /// Judges the station's chain as the vehicle does.
    pub(super) verify_station: String,
    /// Judges the vehicle's chain as a station of ISO 15118-20 does.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) verify_vehicle: Option<String>,
    /// The station's end of a handshake.
    pub(super) s_server: String,
    /// The vehicle's end.
    pub(super) s_client: String,
}

/// Writes one row's files.
///
/// # Errors
/// The folder cannot be written, or a key is not a file's.
pub(super) fn keep(dir: &Path, row: &Row) -> Result<Commands> {
    let folder = name(row);
    let path = dir.join(&folder);
    fs::create_dir_all(&path).with_context(|| format!("cannot make {}", path.display()))?;
    let write = |name: &str, certificates: &[Vec<u8>]| -> Result<()> {
        let text: String = certificates.iter().map(|der| certificate::to_pem(der)).collect();
        let file = path.join(name);
        write_atomically(&file, text.as_bytes(), 0o644)
            .with_context(|| format!("cannot write {}", file.display()))
    };
    write("vehicle-roots.pem", &row.car.config.roots)?;
    chain(&write, "station", &row.shown)?;
    key(&path, "station", &row.shown)?;
    let iso20 = row.generation == Generation::Iso20;
    if let Some(identity) = &row.car.config.identity {
        write("oem-roots.pem", &row.post.vehicle_roots)?;
        chain(&write, "vehicle", identity)?;
        key(&path, "vehicle", identity)?;
    }
    let by_list = |side: Side| match &row.list {
        Some((judged, _)) if *judged == side => " -crl_check -CRLfile revoked.crl",
        _ => "",
    };
    if let Some((_, list)) = &row.list {
        write_atomically(&path.join("revoked.crl"), list, 0o644)
            .context("cannot write the revocation list")?;
    }
    let clock = row.car.judging.clock.map_or_else(String::new, |clock| {
        format!(" -attime {}", clock.0.unix_timestamp())
    });
    let verify = |roots: &str, side: &str, clock: &str, list: &str| {
        format!(
            "openssl verify -x509_strict{clock}{list} -CAfile {roots} -untrusted {side}-chain.pem {side}-leaf.pem"
        )
    };
    let (version, mutual, identity) = if iso20 {
        (
            "-tls1_3 -groups P-521:X448:P-256",
            " -Verify 3 -verify_return_error -CAfile oem-roots.pem",
            " -cert vehicle-leaf.pem -key vehicle-key.pem -cert_chain vehicle-chain.pem",
        )
    } else {
        ("-tls1_2", "", "")
    };
    let depth = if row.car.judging.strict_path {
        " -verify_depth 2"
    } else {
        ""
    };
    let commands = Commands {
        verify_station: verify("vehicle-roots.pem", "station", &clock, by_list(Side::Station)),
        verify_vehicle: iso20.then(|| verify("oem-roots.pem", "vehicle", "", by_list(Side::Vehicle))),
        s_server: format!(
            "openssl s_server -accept 15118 {version} -cert station-leaf.pem -key station-key.pem \
             -cert_chain station-chain.pem{mutual} -naccept 1"
        ),
        s_client: format!(
            "openssl s_client -connect 127.0.0.1:15118 {version} -CAfile vehicle-roots.pem \
             -verify_return_error{depth}{clock}{identity}"
        ),
        folder,
    };
    let text = [
        Some(&commands.verify_station),
        commands.verify_vehicle.as_ref(),
        Some(&commands.s_server),
        Some(&commands.s_client),
    ]
    .into_iter()
    .flatten()
    .fold(String::new(), |text, line| text + line + "\n");
    write_atomically(&path.join("commands.txt"), text.as_bytes(), 0o644)
        .context("cannot write the commands")?;
    Ok(commands)
}

fn name(row: &Row) -> String {
    let edition = match row.generation {
        Generation::Iso2 => "iso2",
        Generation::Iso20 => "iso20",
    };
    format!("{edition}-{}", row.scenario.name())
}

/// Writes certificates to a file of this name.
type Write<'a> = dyn Fn(&str, &[Vec<u8>]) -> Result<()> + 'a;

fn chain(write: &Write<'_>, side: &str, credential: &Credential) -> Result<()> {
    let (leaf, subs) = credential.chain.split_first().context("an empty chain")?;
    write(&format!("{side}-leaf.pem"), std::slice::from_ref(leaf))?;
    write(&format!("{side}-chain.pem"), subs)
}

fn key(path: &Path, side: &str, credential: &Credential) -> Result<()> {
    let key = credential
        .key
        .as_file()
        .context("the bench makes its keys in memory")?;
    Ok(key.save(&path.join(format!("{side}-key.pem")))?)
}
