//! What an operator gets wrong, and what the machine does to them: the message says what, where, and what to do.

use std::os::unix::fs::{PermissionsExt as _, chown};
use std::process::Command;

use gridlatch_testkit::need;

use crate::{BINARY, Desk, Said};

#[test]
fn a_folder_without_a_ca_is_named_and_stays_as_it_is() {
    let desk = Desk::new();
    for line in [
        "issue secc-leaf --cn DE*ACM*E1 --out secc",
        "renew iso2/cpo-sub1",
        "revoke iso2/cpo-sub1",
        "list",
        "show iso2/cpo-sub1",
        "bundle --roots all",
        "export --as pem --out folder",
        "export --as josev --out folder",
        "approve",
        "operator list",
        "policy show",
        "policy set Cargo.toml",
        "serve --est 127.0.0.1:0 --status 127.0.0.1:0",
        "client list",
        "client add acme --role cpo",
        "client waiting",
        "reissue --from iso2/cpo-sub2 --journal journal.json",
    ] {
        let (code, says) = if line.contains("Cargo.toml") {
            (2, "Cargo.toml")
        } else {
            (1, "there is no CA in")
        };
        let said = desk.no(&format!("pki {line}"), code, says);
        assert!(
            code == 2 || said.err.contains("data/pki") && said.err.contains("gridlatch pki init"),
            "{said:?}"
        );
        assert!(!desk.data().exists(), "{line} made the folder");
    }
}

/// Runs a line as a user who owns nothing.
fn as_nobody(desk: &Desk, line: &str) -> Said {
    let output = Command::new("setpriv")
        .args(["--reuid=65534", "--regid=65534", "--clear-groups", BINARY])
        .args(line.split_whitespace())
        .current_dir(desk.path(""))
        .env("GRIDLATCH_DATA", desk.data())
        .output()
        .unwrap();
    Said::new(line, output)
}

#[test]
fn somebody_elses_folder_is_not_said_to_be_empty() {
    need!(root);
    // The program has to be where everybody can start it.
    let mode = |path: &std::path::Path| path.metadata().unwrap().permissions().mode();
    let reachable = std::path::Path::new(BINARY)
        .ancestors()
        .skip(1)
        .all(|folder| mode(folder) & 0o001 != 0);
    if !reachable {
        gridlatch_testkit::skip("the build folder is private to its user");
        return;
    }
    let desk = Desk::with_ca("ocpp");
    std::fs::set_permissions(desk.path(""), std::fs::Permissions::from_mode(0o755)).unwrap();
    for line in ["pki list", "pki issue station-client --cn CS-1 --out cs"] {
        let said = as_nobody(&desk, line);
        assert!(
            said.code == 2 && said.err.contains("ermission denied") && said.err.contains("ca.db"),
            "{said:?}"
        );
    }
    let said = as_nobody(&desk, "pki init --single-operator --data /proc/1/gridlatch");
    assert!(
        said.code == 2 && said.err.contains("/proc/1/gridlatch"),
        "{said:?}"
    );
    // A CA of its own, and a place to write that is not.
    fn give(path: &std::path::Path) {
        chown(path, Some(65534), Some(65534)).unwrap();
        for entry in std::fs::read_dir(path).into_iter().flatten() {
            give(&entry.unwrap().path());
        }
    }
    give(&desk.data());
    let said = as_nobody(&desk, "pki issue station-client --cn CS-1 --out cs");
    assert!(
        said.code == 2 && said.err.contains("cannot create cs.crt.pem: Permission denied"),
        "{said:?}"
    );
    let said = as_nobody(&desk, "pki issue station-client --cn CS-1 --out data/cs");
    assert_eq!(said.code, 0, "{said:?}");
}

#[test]
fn what_is_missing_or_damaged_in_the_folder_is_named() {
    let desk = Desk::with_ca("iso2,ocpp");
    let pki = desk.data().join("pki");
    let key = pki.join("iso2/cpo-sub2.key.pem");
    let issue = |out: &str| format!("pki issue secc-leaf --cn DE*ACM*E1 --out {out}");
    std::fs::set_permissions(&key, std::fs::Permissions::from_mode(0o644)).unwrap();
    desk.no(
        &issue("a"),
        2,
        "cpo-sub2.key.pem is readable by others (mode 644)",
    );
    let text = std::fs::read(&key).unwrap();
    std::fs::remove_file(&key).unwrap();
    desk.no(&issue("a"), 2, "cpo-sub2.key.pem");
    // Another CA's key is not taken for this one's.
    std::fs::copy(pki.join("iso2/mo-sub2.key.pem"), &key).unwrap();
    let said = desk.run(&issue("a"));
    assert!(said.code != 0 && said.err.contains("iso2/cpo-sub2"), "{said:?}");
    assert!(!desk.path("a.crt.pem").exists() && !desk.path("a.key.pem").exists());
    std::fs::write(&key, text).unwrap();
    std::fs::set_permissions(&key, std::fs::Permissions::from_mode(0o600)).unwrap();
    desk.ok(&issue("a"));

    let lookup = pki.join("ca.db.pseudonym-key");
    let kept = std::fs::read(&lookup).unwrap();
    std::fs::remove_file(&lookup).unwrap();
    desk.no("pki list", 2, "ca.db.pseudonym-key is missing");
    assert!(!lookup.exists(), "another one would hide the loss");
    std::fs::write(&lookup, kept).unwrap();
    assert!(desk.ok("pki list --cn DE*ACM*E1").contains("secc-leaf"));

    for name in ["ca.db-wal", "ca.db-shm"] {
        let _ = std::fs::remove_file(pki.join(name));
    }
    std::fs::write(pki.join("ca.db"), vec![7; 8192]).unwrap();
    desk.no("pki list", 2, "not a database");
}

#[test]
fn every_command_explains_itself_within_a_terminal() {
    let desk = Desk::new();
    let help = desk.ok("pki --help");
    let commands: Vec<&str> = help
        .lines()
        .skip_while(|line| !line.starts_with("Commands:"))
        .skip(1)
        .take_while(|line| !line.is_empty())
        .filter(|line| line.starts_with("  ") && !line.starts_with("   "))
        .filter_map(|line| line.split_whitespace().next())
        .filter(|word| *word != "help")
        .collect();
    assert!(commands.len() > 20, "{commands:?}");
    for command in commands {
        for flag in ["-h", "--help"] {
            let help = desk.ok(&format!("pki {command} {flag}"));
            assert!(help.contains("Usage: gridlatch pki"), "{help}");
            assert!(
                help.contains("Exit codes:"),
                "pki {command} {flag} tells no exit codes"
            );
            // What is required stands on one line.
            for line in help.lines().filter(|line| !line.starts_with("Usage:")) {
                assert!(line.chars().count() <= 80, "pki {command} {flag}: {line}");
            }
        }
    }
}
