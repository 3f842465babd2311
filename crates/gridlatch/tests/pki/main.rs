//! `gridlatch pki` as an operator uses it: the real program, started once per command, in folders of its own. What it
//! writes is looked at by OpenSSL, curl and the programs it is written for.
#![allow(
    clippy::unwrap_used,
    reason = "a test that meets what it did not expect stops there"
)]

mod ceremony;
mod certificates;
mod evil;
mod exports;
mod faults;
mod restoring;
mod rollover;
mod serving;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::{Mutex, OnceLock, PoisonError};

use serde_json::Value;

const BINARY: &str = env!("CARGO_BIN_EXE_gridlatch");

/// A folder to work in, with a data folder in it.
struct Desk {
    dir: tempfile::TempDir,
}

impl Desk {
    /// An empty one.
    fn new() -> Self {
        Self {
            dir: tempfile::tempdir().unwrap(),
        }
    }

    /// One with a CA of a single operator; `trees` as `--tree` takes them.
    fn with_ca(trees: &str) -> Self {
        Self::like(trees, |desk| {
            desk.ok(&format!("pki init --single-operator --name Acme --tree {trees}"));
        })
    }

    /// A copy of the folder that `make` filled for the first who asked for this name.
    fn like(name: &str, make: impl FnOnce(&Self)) -> Self {
        static MADE: Mutex<BTreeMap<String, &'static OnceLock<Desk>>> = Mutex::new(BTreeMap::new());
        let cell = *MADE
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .entry(name.to_owned())
            .or_insert_with(|| Box::leak(Box::default()));
        let first = cell.get_or_init(|| {
            let desk = Self::new();
            make(&desk);
            desk
        });
        let desk = Self::new();
        for file in files(&first.path("")) {
            let to = desk.path(&file);
            std::fs::create_dir_all(to.parent().unwrap()).unwrap();
            std::fs::copy(first.path(&file), to).unwrap();
        }
        desk
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn data(&self) -> PathBuf {
        self.path("data")
    }

    fn text(&self, name: &str) -> String {
        std::fs::read_to_string(self.path(name)).unwrap()
    }

    /// `gridlatch`, to be given its words: in this folder, on its data folder.
    fn gridlatch(&self) -> Command {
        let mut command = Command::new(BINARY);
        command
            .current_dir(self.dir.path())
            .env("GRIDLATCH_DATA", self.data())
            .env("USER", "tester")
            .env_remove("GRIDLATCH_BACKUP_PASSPHRASE")
            .stdin(Stdio::null());
        command
    }

    /// Runs a line; words are separated by spaces.
    fn run(&self, line: &str) -> Said {
        let output = self.gridlatch().args(line.split_whitespace()).output().unwrap();
        Said::new(line, output)
    }

    /// Runs a line that has to succeed; what it printed.
    fn ok(&self, line: &str) -> String {
        let said = self.run(line);
        assert_eq!(said.code, 0, "{said:?}");
        said.out
    }

    /// Runs a line with `--format json` that has to succeed: its values, one a line.
    fn json(&self, line: &str) -> Vec<Value> {
        values(&self.ok(&format!("{line} --format json")))
    }

    /// Runs a line that has to end with `code` and say something.
    fn no(&self, line: &str, code: i32, says: &str) -> Said {
        let said = self.run(line);
        assert!(
            said.code == code && said.err.contains(says) && said.out.is_empty(),
            "wanted {code} and {says:?}: {said:?}"
        );
        said
    }

    /// Runs another program in the folder; what it printed, if it succeeded.
    fn peer(&self, program: &str, args: &[&str]) -> String {
        let output = Command::new(program)
            .args(args)
            .current_dir(self.dir.path())
            .stdin(Stdio::null())
            .output()
            .unwrap();
        let said = Said::new(&format!("{program} {}", args.join(" ")), output);
        assert_eq!(said.code, 0, "{said:?}");
        said.out
    }
}

/// What a program said.
#[derive(Debug)]
struct Said {
    #[allow(dead_code, reason = "printed when a test fails")]
    line: String,
    code: i32,
    out: String,
    err: String,
}

impl Said {
    fn new(line: &str, output: Output) -> Self {
        let text = |octets: Vec<u8>| String::from_utf8_lossy(&octets).into_owned();
        Self {
            line: line.to_owned(),
            code: output.status.code().unwrap_or(-1),
            out: text(output.stdout),
            err: text(output.stderr),
        }
    }
}

fn values(text: &str) -> Vec<Value> {
    text.lines()
        .map(|line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}")))
        .collect()
}

/// The files below a folder, relative to it, sorted.
fn files(folder: &Path) -> Vec<String> {
    fn walk(folder: &Path, top: &Path, found: &mut Vec<String>) {
        for entry in std::fs::read_dir(folder).into_iter().flatten() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                walk(&path, top, found);
            } else {
                found.push(path.strip_prefix(top).unwrap().display().to_string());
            }
        }
    }
    let mut found = Vec::new();
    walk(folder, folder, &mut found);
    found.sort();
    found
}
