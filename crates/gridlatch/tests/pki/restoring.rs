//! Backup and restore: the wrong passphrase, a damaged file, a folder in use, a kill in between, no room.

use std::process::Stdio;
use std::time::Duration;

use gridlatch_testkit::need;

use crate::{BINARY, Desk, ceremony::two_operators, files};

/// A CA with a backup and the file `pass`.
fn backed_up() -> Desk {
    let desk = Desk::with_ca("iso2,ocpp");
    std::fs::write(desk.path("pass"), "correct horse battery\n").unwrap();
    desk.ok("pki issue secc-leaf --cn DE*ACM*E1 --out secc");
    desk.ok("pki revoke secc.crt.pem --reason keyCompromise");
    desk.ok("pki backup --passphrase-file pass --out acme.backup");
    desk
}

#[test]
fn a_backup_gives_the_whole_ca_back_and_nothing_less() {
    let desk = backed_up();
    desk.no(
        "pki backup --passphrase-file pass --out acme.backup",
        1,
        "acme.backup exists already",
    );
    desk.no("pki backup --out more.backup", 2, "--passphrase-file");
    desk.no(
        "pki backup --passphrase-file nowhere --out more.backup",
        2,
        "nowhere",
    );
    desk.no(
        "pki backup --passphrase-file pass --out nowhere/more.backup",
        2,
        "nowhere/more.backup",
    );
    std::fs::write(desk.path("short"), "short\n").unwrap();
    desk.no(
        "pki backup --passphrase-file short --out more.backup",
        1,
        "at least 10 characters",
    );
    assert!(!desk.path("more.backup").exists());

    std::fs::write(desk.path("wrong"), "correct horse batterx\n").unwrap();
    std::fs::write(
        desk.path("cut"),
        &std::fs::read(desk.path("acme.backup")).unwrap()[..100_000],
    )
    .unwrap();
    for (file, pass, code, says) in [
        ("acme.backup", "wrong", 1, "ca.wrong_passphrase"),
        ("cut", "pass", 1, "cut short"),
        ("pass", "pass", 1, "no encrypted archive"),
        ("nowhere.backup", "pass", 2, "nowhere.backup"),
    ] {
        for check in ["--check", "--data other"] {
            desk.no(
                &format!("pki restore {file} --passphrase-file {pass} {check}"),
                code,
                says,
            );
        }
    }
    assert!(files(&desk.path("other")).is_empty(), "nothing was put anywhere");
    // Over a CA in use: never.
    desk.no(
        "pki restore acme.backup --passphrase-file pass",
        1,
        "data/pki exists already",
    );

    desk.ok("pki restore acme.backup --passphrase-file pass --check");
    desk.ok("pki restore acme.backup --passphrase-file pass --data other");
    let list = |data: &str| desk.json(&format!("pki list --limit 1000 --data {data}"));
    assert_eq!(list("other"), list("data"));
    desk.no("pki verify secc.crt.pem --data other", 1, "keyCompromise");
    desk.ok("pki issue secc-leaf --cn DE*ACM*E2 --out next --data other");
    // Issued by the restored CA, believed by the old one's roots: the keys are the same.
    desk.ok("pki verify next.crt.pem --as secc-leaf");
}

#[test]
fn restoring_a_ca_of_two_operators_takes_both() {
    let desk = two_operators();
    std::fs::write(desk.path("pass"), "correct horse battery\n").unwrap();
    desk.ok("pki backup --passphrase-file pass --out acme.backup");
    let restore = "pki restore acme.backup --passphrase-file pass --data other";
    desk.no(restore, 1, "--consent FILE");
    desk.no(
        &format!("{restore} --operator alice=alice.key.pem"),
        1,
        "--consent FILE",
    );
    desk.no(
        &format!("{restore} --operator alice=alice.key.pem --operator bob=alice.key.pem"),
        1,
        "takes 2 operators",
    );
    assert!(!desk.path("other/pki").exists());
    // Alice agrees on another machine, to this backup and no other.
    desk.ok(&format!(
        "{restore} --operator alice=alice.key.pem --write-consent alice.consent"
    ));
    desk.ok("pki issue secc-leaf --cn DE*ACM*E1 --out secc");
    desk.ok("pki backup --passphrase-file pass --out later.backup");
    let with = "--operator bob=bob.key.pem --consent alice.consent";
    desk.no(
        &format!("pki restore later.backup --passphrase-file pass --data other {with}"),
        1,
        "takes 2 operators",
    );
    desk.ok(&format!("{restore} {with}"));
    assert_eq!(desk.ok("pki operator list --data other"), "alice\nbob\n");
}

#[test]
fn a_restore_that_is_killed_leaves_no_half_a_ca_and_no_keys_beside_it() {
    let desk = backed_up();
    for (round, pause) in [0, 40, 120, 240].into_iter().enumerate() {
        let data = format!("killed{round}");
        let mut child = desk
            .gridlatch()
            .args([
                "pki",
                "restore",
                "acme.backup",
                "--passphrase-file",
                "pass",
                "--data",
                &data,
            ])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        // Anywhere in its work: not waiting for anything, but choosing where the kill falls.
        std::thread::sleep(Duration::from_millis(pause));
        child.kill().unwrap();
        let finished = child.wait().unwrap().success();
        let listed = desk.run(&format!("pki list --limit 1 --data {data}"));
        assert!(
            listed.code == 0 || listed.err.contains("there is no CA in"),
            "after {pause} ms: {listed:?}"
        );
        let again = desk.run(&format!(
            "pki restore acme.backup --passphrase-file pass --data {data}"
        ));
        assert!(
            again.code == 0 || (listed.code == 0 && again.err.contains("exists already")),
            "after {pause} ms, finished {finished}: {again:?}"
        );
        desk.ok(&format!(
            "pki issue secc-leaf --cn DE*ACM*E9 --out after{round} --data {data}"
        ));
        let beside: Vec<String> = files(&desk.path(&data))
            .into_iter()
            .filter(|file| file.contains(".restoring-"))
            .collect();
        assert!(beside.is_empty(), "{beside:?}");
    }
}

#[test]
fn a_backup_or_an_init_that_is_killed_is_done_by_the_same_command() {
    let desk = backed_up();
    let killed = |line: &str, pause| {
        let mut child = desk
            .gridlatch()
            .args(line.split_whitespace())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        std::thread::sleep(Duration::from_millis(pause));
        child.kill().unwrap();
        child.wait().unwrap();
    };
    for (round, pause) in [30, 90, 180].into_iter().enumerate() {
        let backup = format!("pki backup --passphrase-file pass --out killed{round}.backup");
        killed(&backup, pause);
        // Either there is no file of this name, or it is whole.
        let done = desk.path(&format!("killed{round}.backup")).exists();
        if !done {
            desk.ok(&backup);
        }
        desk.ok(&format!(
            "pki restore killed{round}.backup --passphrase-file pass --check"
        ));

        let init = format!("pki init --single-operator --tree iso2,ocpp --data init{round}");
        killed(&init, pause);
        let again = desk.run(&init);
        assert!(
            again.code == 0 || again.err.contains("exists already"),
            "after {pause} ms: {again:?}"
        );
        let listed = desk.json(&format!("pki list --authorities --data init{round}"));
        assert_eq!(listed.len(), 13);
        desk.ok(&format!(
            "pki issue secc-leaf --cn DE*ACM*E1 --out init{round} --data init{round}"
        ));
    }
    let left: Vec<String> = files(&desk.path(""))
        .into_iter()
        .filter(|file| file.contains(".unfinished-") || file.contains(".snapshot-"))
        .collect();
    assert!(left.len() <= 1, "at most what the last kill left: {left:?}");
}

/// In a mount namespace of its own, where `full` is a file system of the given size.
fn on_a_small_disk(desk: &Desk, size: &str, script: &str) -> String {
    let script = format!(
        "mount -t tmpfs -o size={size} none full && cp -r data full/data && {}",
        script.replace("gridlatch", BINARY)
    );
    let mut command = std::process::Command::new("unshare");
    command
        .args(["--mount", "sh", "-c", &script])
        .current_dir(desk.path(""));
    let output = command.env("USER", "tester").output().unwrap();
    String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr)
}

#[test]
fn a_full_disk_is_named_and_nothing_has_to_be_repaired() {
    need!(root);
    let desk = backed_up();
    std::fs::create_dir(desk.path("full")).unwrap();
    // Filled before each: a command that is refused may still merge the database's log into it, which makes room.
    let said = on_a_small_disk(
        &desk,
        "6m",
        "export GRIDLATCH_DATA=full/data; fill() { dd if=/dev/zero of=full/fill$1 bs=4k 2>/dev/null; }; \
         fill 1; gridlatch pki issue secc-leaf --cn DE*ACM*E5 --out five; echo one=$?; \
         fill 2; gridlatch pki backup --passphrase-file pass --out full/b; echo two=$?; \
         fill 3; gridlatch pki export --as pem --out full/pem; echo three=$?; \
         ls full | grep -c -e '^b$' -e '^pem$'; \
         rm full/fill?; gridlatch pki issue secc-leaf --cn DE*ACM*E5 --out five; echo four=$?; \
         gridlatch pki verify five.crt.pem; gridlatch pki list --cn DE*ACM*E5 | wc -l",
    );
    for part in [
        "one=2",
        "two=2",
        "three=2",
        "four=0",
        "ca.disk_full",
        "accepted as",
    ] {
        assert!(said.contains(part), "{part}: {said}");
    }
    assert!(said.contains("\n0\n"), "half a file was left: {said}");
    assert!(said.contains("\n1\ngridlatch: "), "issued once: {said}");
}
