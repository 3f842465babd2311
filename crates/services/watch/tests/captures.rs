//! Captures of real cars and of a foreign stack. They are not part of the repository: the tests skip by
//! name where the folder is absent (`GRIDLATCH_CAPTURES`, default `../shared/data` beside the clone).
#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a test prints its figures"
)]

use std::fs::{self, File};
use std::path::{Path, PathBuf};

use gridlatch_session::wire::Layer;
use gridlatch_watch::capture::{self, CaptureError, Entry, Summary, What};
use gridlatch_watch::tls::KeyLog;

/// The folder of captures, or nothing and a line that says so.
fn folder(name: &str) -> Option<PathBuf> {
    let root = std::env::var_os("GRIDLATCH_CAPTURES").map_or_else(
        || Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../../shared/data"),
        PathBuf::from,
    );
    let folder = root.join(name);
    if folder.is_dir() {
        return Some(folder);
    }
    println!("skipped: no captures at {}", folder.display());
    None
}

fn read(path: &Path, keys: &str) -> (Vec<Entry>, Summary) {
    let mut entries = Vec::new();
    let read = capture::read(File::open(path).unwrap(), KeyLog::parse(keys), &mut |entry| {
        entries.push(entry);
        true
    });
    let summary = match read {
        Ok(summary) => summary,
        // Recorders of some cars were killed in the middle of their last packet.
        Err((CaptureError::Truncated { .. }, summary)) => *summary,
        Err((error, _)) => panic!("{}: {error}", path.display()),
    };
    (entries, summary)
}

fn captures(folder: &Path, extension: &str) -> Vec<PathBuf> {
    let mut paths: Vec<PathBuf> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|found| found == extension))
        .collect();
    paths.sort();
    paths
}

#[test]
fn every_real_car_decodes_and_what_does_not_is_named() {
    let Some(folder) = folder("real-cars") else { return };
    for path in captures(&folder, "dump") {
        let (entries, summary) = read(&path, "");
        let name = path.file_name().unwrap().to_string_lossy();
        println!(
            "{name}: {} packets, homeplug {}, sdp {}, v2gtp {} (din {}), undecodable {:?}, notices {:?}",
            summary.packets,
            summary.layer(Layer::HomePlug),
            summary.layer(Layer::Sdp),
            summary.layer(Layer::V2gtp),
            summary.envelope_only,
            summary.undecodable,
            summary.notices,
        );
        assert!(summary.total() > 0, "{name}: nothing found");
        for entry in &entries {
            if let What::Undecodable(undecodable) = &entry.what {
                println!("  packet {}: {undecodable}", entry.packet);
            }
        }
    }
}

#[test]
fn the_foreign_stack_decodes_with_its_key_logs() {
    let Some(folder) = folder("josev") else { return };
    for path in captures(&folder, "pcap") {
        let keys = fs::read_to_string(path.with_extension("keys")).unwrap_or_default();
        let (entries, summary) = read(&path, &keys);
        let name = path.file_name().unwrap().to_string_lossy();
        println!("{name}: {}", summary.to_json());
        for entry in &entries {
            match &entry.what {
                What::Undecodable(undecodable) => println!("  packet {}: {undecodable}", entry.packet),
                What::Tls(step) => println!("  packet {}: {} {}", entry.packet, step.name(), step.summary()),
                _ => {}
            }
        }
        assert_eq!(summary.total_undecodable(), 0, "{name}");
    }
}
