//! What `why` asks for on a terminal.

use std::io::{Read as _, Write as _};
use std::process::{Command, Stdio};

use crate::support::{World, openssl, text};

#[test]
fn a_passphrase_is_asked_for_on_a_terminal_and_never_shown() {
    let world = World::new();
    let (chain, root) = (world.pem("chain.pem", &world.chain), world.root());
    let archive = world.dir.path().join("leaf.p12");
    let pass = world.file("pass", b"over the hills\n");
    let from = format!("file:{}", text(&pass));
    openssl(&[
        "pkcs12",
        "-export",
        "-in",
        text(&chain),
        "-nokeys",
        "-passout",
        &from,
        "-out",
        text(&archive),
    ]);
    for (typed, code) in [("over the hills", 0), ("far away", 2)] {
        // `script` (util-linux) gives the command a terminal of its own.
        let line = format!(
            "{} pki why {} --root {}",
            env!("CARGO_BIN_EXE_gridlatch"),
            text(&archive),
            text(&root)
        );
        let mut child = Command::new("script")
            .args(["--quiet", "--return", "--command", &line, "/dev/null"])
            .env("GRIDLATCH_DATA", "/nonexistent")
            .env_remove("GRIDLATCH_PKCS12_PASSPHRASE")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let (mut keyboard, mut screen) = (child.stdin.take().unwrap(), child.stdout.take().unwrap());
        let (mut said, mut buffer) = (Vec::new(), [0; 4096]);
        let shown = |said: &[u8]| String::from_utf8_lossy(said).into_owned();
        // Typed ahead of the question it would be thrown away, and shown.
        while !shown(&said).contains("Passphrase of ") || !shown(&said).ends_with(": ") {
            let length = screen.read(&mut buffer).unwrap();
            assert!(length > 0, "it ended: {}", shown(&said));
            said.extend_from_slice(&buffer[..length]);
        }
        writeln!(keyboard, "{typed}").unwrap();
        screen.read_to_end(&mut said).unwrap();
        let status = child.wait().unwrap();
        let said = shown(&said);
        assert_eq!(status.code(), Some(code), "{said}");
        assert!(!said.contains(typed), "the passphrase is shown: {said}");
        assert_eq!(said.contains("trusted until"), code == 0, "{said}");
    }
}
