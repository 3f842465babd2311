//! Replays the corpora and a fixed number of mutations of them. A file in a corpus that once broke a
//! decoder stays there for good.
#![allow(
    clippy::unwrap_used,
    reason = "a test that meets what it did not expect stops there"
)]

use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;

use gridlatch_fuzz::{Mutator, Target, all};

/// Mutations per target; bounded by count, so that a slow machine runs the same ones.
const MUTATIONS: usize = 500;

fn corpus(target: Target) -> Vec<(String, Vec<u8>)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("corpus")
        .join(target.name);
    let mut seeds: Vec<(String, Vec<u8>)> = fs::read_dir(&folder)
        .unwrap_or_else(|error| panic!("{}: {error}", folder.display()))
        .map(|entry| entry.unwrap())
        .map(|entry| {
            (
                entry.file_name().to_string_lossy().into_owned(),
                fs::read(entry.path()).unwrap(),
            )
        })
        .collect();
    seeds.sort();
    assert!(!seeds.is_empty(), "{} has no seeds", folder.display());
    seeds
}

fn run(target: Target, what: &str, input: &[u8]) {
    let result = catch_unwind(AssertUnwindSafe(|| (target.run)(input)));
    if result.is_err() {
        let hex: String = input
            .iter()
            .take(4096)
            .map(|byte| format!("{byte:02x}"))
            .collect();
        panic!("{} broke on {what}: {hex}", target.name);
    }
}

#[test]
fn every_corpus_file_passes_its_target() {
    for target in all() {
        for (name, input) in corpus(*target) {
            run(*target, &name, &input);
        }
    }
}

#[test]
fn seeded_mutations_break_nothing() {
    for (at, target) in all().iter().enumerate() {
        let seeds: Vec<Vec<u8>> = corpus(*target).into_iter().map(|(_, input)| input).collect();
        let mut mutator = Mutator::new(0x9E37_79B9_7F4A_7C15 ^ at as u64);
        for number in 0..MUTATIONS {
            let input = mutator.make(&seeds);
            run(*target, &format!("mutation {number}"), &input);
        }
    }
}

#[test]
fn a_seed_gives_the_same_inputs_again() {
    let seeds = vec![b"abcdefgh".to_vec()];
    let (mut a, mut b) = (Mutator::new(7), Mutator::new(7));
    for _ in 0..100 {
        assert_eq!(a.make(&seeds), b.make(&seeds));
    }
}

/// The corpora together stay small enough to be read in every run.
const MOST: u64 = 1024 * 1024;

#[test]
fn every_corpus_has_its_target_and_all_of_them_together_are_small() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus");
    let mut octets = 0;
    for folder in fs::read_dir(root).unwrap() {
        let folder = folder.unwrap();
        let name = folder.file_name().to_string_lossy().into_owned();
        let targets = all().iter().filter(|target| target.name == name).count();
        assert_eq!(targets, 1, "fuzz/corpus/{name} has {targets} targets");
        for file in fs::read_dir(folder.path()).unwrap() {
            octets += file.unwrap().metadata().unwrap().len();
        }
    }
    assert!(octets < MOST, "{octets} octets of corpora");
}

#[test]
fn exploring_without_its_tools_says_what_is_missing() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let asked = std::process::Command::new("/bin/bash")
        .arg(root.join("scripts/fuzz.sh"))
        .env("PATH", "/nowhere")
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&asked.stderr);
    assert_eq!(asked.status.code(), Some(2), "{said}");
    assert!(said.contains("rustup toolchain install nightly"), "{said}");
}
