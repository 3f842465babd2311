//! The inventory of a data folder: what the stations, vehicles and the platform that `up` and `ev` run
//! from it hold, read from the files they load: the development PKI's, and for stations what came later
//! over OCPP. Nothing is issued, and no key is touched.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use gridlatch_trust::certificate;
use gridlatch_trust::profile::Kind;

use super::inventory::{Entry, Inventory, Shown};
use crate::PkiError;
use crate::tree::World;

/// Leaves read from one folder.
const MAX_FILES: usize = 20_000;

/// What a leaf's file name says: prefix, role of its holder, kind, and the CA that signed it.
const LEAVES: [(&str, &str, Kind, &str); 6] = [
    ("secc-", "station", Kind::SeccLeaf, "cpo-sub2"),
    ("station-", "station", Kind::StationClient, "csms-sub"),
    ("vehicle-", "vehicle", Kind::VehicleLeaf, "oem-sub2"),
    ("provisioning-", "vehicle", Kind::OemProvisioning, "oem-sub2"),
    ("contract-", "vehicle", Kind::ContractLeaf, "mo-sub2"),
    ("platform", "back-end", Kind::CsmsServer, "csms-sub"),
];

/// What a station keeps that came over OCPP: the folder, the kind and its edition.
const CUSTODY: [(&str, Kind, &str); 3] = [
    ("platform", Kind::StationClient, "iso2"),
    ("vehicle-2", Kind::SeccLeaf, "iso2"),
    ("vehicle-20", Kind::SeccLeaf, "iso20"),
];
/// Roots that a station was given later, by the folder they are in.
const CUSTODY_ROOTS: [(&str, Kind); 2] = [("mo", Kind::MoRoot), ("csms", Kind::CsmsRoot)];

/// Reads the development PKI below `dir`, and what the stations beside it (`dir/../stations`) hold.
///
/// # Errors
/// The folder or a file in it cannot be read.
pub fn folder(dir: &Path) -> Result<Inventory, PkiError> {
    let mut holders: BTreeMap<(&'static str, String), Entry> = BTreeMap::new();
    for world in World::ALL {
        for (stem, pem) in certificates(&dir.join(world.folder()).join("issued"), ".crt.pem")? {
            let Some((prefix, role, kind, issuer)) =
                LEAVES.iter().find(|(prefix, ..)| stem.starts_with(prefix))
            else {
                continue;
            };
            let name = match stem.strip_prefix(prefix) {
                Some(rest) if *role != "back-end" => rest.to_owned(),
                _ => "platform".to_owned(),
            };
            let mut chain = pem;
            let mut next = *issuer;
            while let Some(node) = world.node(next).filter(|node| !node.kind.is_root()) {
                chain.push_str(&read(&dir.join(world.folder()).join(format!("{next}.crt.pem")))?);
                next = node.issuer;
            }
            let edition = match world {
                World::Iso20 | World::Iso20Ed448 => "iso20",
                World::Iso2 | World::Ocpp => "iso2",
            };
            holders
                .entry((role, name.clone()))
                .or_insert_with(|| Entry {
                    name,
                    role: (*role).to_owned(),
                    shows: Vec::new(),
                    trusts: BTreeMap::new(),
                    installed: Vec::new(),
                    ends: Vec::new(),
                    as_of: None,
                    connected: None,
                    failure: None,
                    refused: Vec::new(),
                })
                .shows
                .push(Shown {
                    kind: kind.slug().to_owned(),
                    edition: edition.to_owned(),
                    chain,
                });
        }
    }
    let stations = dir.parent().unwrap_or(dir).join("stations");
    let mut inventory = Inventory::default();
    for ((role, name), mut entry) in holders {
        let kept = stations.join(&name).join("certificates");
        if role == "station" {
            for (place, kind, edition) in CUSTODY {
                for (_, chain) in certificates(&kept.join(place), ".pem")? {
                    entry.shows.push(Shown {
                        kind: kind.slug().to_owned(),
                        edition: edition.to_owned(),
                        chain,
                    });
                }
            }
        }
        for (kind, node, worlds) in trusted_by(role) {
            let mut roots = String::new();
            for world in *worlds {
                roots.push_str(&read(&dir.join(world.folder()).join(format!("{node}.crt.pem")))?);
            }
            for (place, _) in CUSTODY_ROOTS
                .iter()
                .filter(|(_, one)| role == "station" && one == kind)
            {
                for (_, root) in certificates(&kept.join("roots").join(place), ".pem")? {
                    roots.push_str(&root);
                }
            }
            entry.trusts.insert(kind.slug().to_owned(), roots);
        }
        // A station and a vehicle may go by one name.
        entry.name = format!("{role} {}", entry.name);
        inventory.holders.push(entry);
    }
    Ok(inventory)
}

type Trusted = (Kind, &'static str, &'static [World]);

/// The roots each role of `up` and `ev` is started with.
fn trusted_by(role: &str) -> &'static [Trusted] {
    const V2G: &[World] = &[World::Iso2, World::Iso20];
    const OCPP: &[World] = &[World::Ocpp];
    match role {
        "station" => &[
            (Kind::OemRoot, "oem-root", V2G),
            (Kind::MoRoot, "mo-root", V2G),
            (Kind::CsmsRoot, "csms-root", OCPP),
        ],
        "vehicle" => &[(Kind::V2gRoot, "v2g-root", V2G)],
        _ => &[
            (Kind::MoRoot, "mo-root", V2G),
            (Kind::CsmsRoot, "csms-root", OCPP),
        ],
    }
}

/// Stem and PEM of every certificate in a folder, in the order of names; none where there is no folder.
fn certificates(dir: &Path, ending: &str) -> Result<Vec<(String, String)>, PkiError> {
    let listed = match fs::read_dir(dir) {
        Ok(listed) => listed,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(source) => return Err(failed("list", dir.to_owned(), source)),
    };
    let mut found = Vec::new();
    for entry in listed.take(2 * MAX_FILES) {
        let path = entry
            .map_err(|source| failed("list", dir.to_owned(), source))?
            .path();
        let name = path
            .file_name()
            .and_then(|name| name.to_str())
            .unwrap_or_default();
        if let Some(stem) = name.strip_suffix(ending) {
            found.push((stem.to_owned(), read(&path)?));
        }
    }
    found.sort_unstable();
    Ok(found)
}

/// A small text file.
fn read(path: &Path) -> Result<String, PkiError> {
    let wrong = |reason| PkiError::Damaged {
        path: path.to_owned(),
        reason,
    };
    let octets = fs::read(path).map_err(|source| failed("read", path.to_owned(), source))?;
    if octets.len() > 4 * certificate::MAX_OCTETS {
        return Err(wrong("it is larger than a certificate"));
    }
    String::from_utf8(octets).map_err(|_| wrong("it is not PEM"))
}

fn failed(operation: &'static str, path: PathBuf, source: std::io::Error) -> PkiError {
    PkiError::File {
        operation,
        path,
        source,
    }
}
