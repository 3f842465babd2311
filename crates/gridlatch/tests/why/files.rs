//! The forms that chains come in, and the roots that are used when none is named.

use std::process::Command;

use crate::support::{World, json, openssl, text, why};

#[test]
fn der_and_pkcs7_are_read_and_nonsense_is_a_usage_error() {
    let world = World::new();
    let chain = world.pem("chain.pem", &world.chain);
    let root = world.root();
    for (form, name) in [("DER", "chain.p7b"), ("PEM", "chain.p7")] {
        let out = world.dir.path().join(name);
        let made = Command::new("openssl")
            .args([
                "crl2pkcs7",
                "-nocrl",
                "-certfile",
                text(&chain),
                "-outform",
                form,
                "-out",
                text(&out),
            ])
            .output()
            .unwrap();
        assert!(made.status.success(), "{made:?}");
        json(&out, &["--root", text(&root)], 0);
    }
    let leaf = world.file("leaf.der", &world.chain[0]);
    json(&leaf, &["--roots", text(&world.dir.path().join("pki"))], 0);
    for (file, arguments) in [
        (world.file("noise", b"\x00\x01\x02"), vec![]),
        (world.dir.path().join("absent.pem"), vec![]),
        (chain.clone(), vec!["--as", "teapot"]),
        (chain.clone(), vec!["--at", "yesterday"]),
        (chain, vec!["--generation", "3"]),
    ] {
        assert_eq!(
            why(&file, &arguments).status.code(),
            Some(2),
            "{}",
            file.display()
        );
    }
    let bent = world.file("bent.der", &world.chain[0][..200]);
    let value = json(&bent, &["--root", text(&root)], 1);
    assert_eq!(value["reason"]["code"], "pki.malformed");
}

#[test]
fn pkcs12_of_openssl_is_read_and_its_passphrase_is_never_an_argument() {
    let world = World::new();
    let (chain, root) = (world.pem("chain.pem", &world.chain), world.root());
    let (key, pass) = (
        world.file("leaf.key", &world.key),
        world.file("pass", b"over the hills\n"),
    );
    let archive = |name: &str, more: &[&str]| {
        let out = world.dir.path().join(name);
        openssl(
            &[
                &["pkcs12", "-export", "-in", text(&chain), "-out", text(&out)],
                more,
            ]
            .concat(),
        );
        out
    };
    let from = format!("file:{}", text(&pass));
    let full = archive("full.p12", &["-inkey", text(&key), "-passout", &from]);
    let roots = ["--root", text(&root)];
    let value = json(
        &full,
        &[&roots[..], &["--passphrase-file", text(&pass)]].concat(),
        0,
    );
    assert_eq!(value["certificates"].as_array().unwrap().len(), 3);
    let bare = archive("bare.p12", &["-nokeys", "-passout", "pass:"]);
    json(&bare, &roots, 0);
    let output = Command::new(env!("CARGO_BIN_EXE_gridlatch"))
        .args(["pki", "why", text(&full), "--root", text(&root)])
        .env("GRIDLATCH_PKCS12_PASSPHRASE", "over the hills")
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    let wrong = world.file("wrong", b"far away\n");
    for more in [vec!["--passphrase-file", text(&wrong)], vec![]] {
        let output = why(&full, &[&roots[..], &more].concat());
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(2), "{said}");
        assert!(said.contains("full.p12") && !said.contains("far away"), "{said}");
        assert!(!more.is_empty() || said.contains("--passphrase-file"), "{said}");
    }
    let whole = std::fs::read(&full).unwrap();
    let cut = world.file("cut.p12", &whole[..whole.len() / 2]);
    let output = why(&cut, &[&roots[..], &["--passphrase-file", text(&pass)]].concat());
    assert_eq!(output.status.code(), Some(2), "{output:?}");
}

#[test]
fn the_roots_of_the_data_folder_are_used_when_none_is_named_and_their_absence_is_told() {
    let world = World::new();
    let chain = world.pem("chain.pem", &world.chain);
    let data = world.dir.path().to_owned();
    let output = why(&chain, &["--data", text(&data)]);
    let said = String::from_utf8(output.stdout).unwrap();
    assert_eq!(output.status.code(), Some(0), "{said}");
    assert!(
        said.contains(&format!("(of {})", data.join("pki").display())),
        "{said}"
    );
    let said = String::from_utf8(why(&chain, &["--data", "/nonexistent"]).stdout).unwrap();
    assert!(
        said.contains("give --root FILE or --roots DIR; /nonexistent/pki is no PKI"),
        "{said}"
    );
    // Roots that are named are the only ones.
    let other = World::new();
    json(&chain, &["--root", text(&other.root()), "--data", text(&data)], 1);
}
