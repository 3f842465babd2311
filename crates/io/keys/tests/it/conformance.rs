//! What every kind of key must do, whoever holds it.

use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::time::Instant;

use gridlatch_keys::{
    FileKey, KeyAlgorithm, KeyUri, PinSource, Signer, generate, import, list, open, verify,
};
use gridlatch_testkit::{need, temp};
use gridlatch_vocab::catalogue::key;

/// Runs all demands on the place `at` names for a key called so.
pub(crate) fn conforms(
    place: &str,
    algorithms: &[KeyAlgorithm],
    can_import: bool,
    pin: &PinSource,
    at: impl Fn(&str) -> KeyUri,
) {
    for algorithm in algorithms {
        let uri = at(&format!("made-{algorithm}"));
        let made = generate(&uri, *algorithm, pin).unwrap_or_else(|error| panic!("{uri}: {error}"));
        signs(place, &made, *algorithm);
        let again = open(&uri, pin).unwrap();
        assert_eq!(again.public_key_der(), made.public_key_der(), "{uri}");
        assert!(again.as_file().is_none() == (place != "file"), "{uri}");
        many_at_once(&again);
        rate(place, &again);
        let error = generate(&uri, *algorithm, pin).unwrap_err();
        assert_eq!(error.code(), key::MISMATCH, "a key must not be replaced: {error}");
        assert!(
            list(&uri, pin)
                .unwrap()
                .iter()
                .any(|listed| listed.algorithm == Some(*algorithm)),
            "{uri} is not listed"
        );
        if can_import {
            let outside = FileKey::generate(*algorithm).unwrap();
            let uri = at(&format!("brought-{algorithm}"));
            let inside = import(&uri, &outside, pin).unwrap_or_else(|error| panic!("{uri}: {error}"));
            assert_eq!(inside.public_key_der(), outside.public_key_der(), "{uri}");
            signs(place, &inside, *algorithm);
        }
    }
    if place != "file" {
        let error = generate(&at("made-Ed448"), KeyAlgorithm::Ed448, pin).unwrap_err();
        assert_eq!(error.code(), key::UNSUPPORTED);
        assert!(error.to_string().contains("files only"), "{error}");
    }
}

/// Signatures verify here and with OpenSSL's command line, over messages and digests of every length.
fn signs(place: &str, signer: &Arc<dyn Signer>, algorithm: KeyAlgorithm) {
    assert_eq!(signer.algorithm(), algorithm);
    for message in [&b""[..], b"charge", &[0x5A; 100_000]] {
        let signature = signer.sign(message).unwrap();
        assert!(verify(algorithm, signer.public_key_der(), message, &signature).unwrap());
        assert!(!verify(algorithm, signer.public_key_der(), b"other", &signature).unwrap());
    }
    let dir = temp::dir().unwrap();
    openssl_verifies(dir.path(), signer, algorithm);
    if algorithm == KeyAlgorithm::Ed448 {
        assert!(signer.sign_digest(&[7; 64]).is_err(), "Ed448 signs messages only");
        return;
    }
    let public = openssl::ec::EcKey::public_key_from_der(signer.public_key_der()).unwrap();
    for len in [20, 32, 48, 64] {
        let digest: Vec<u8> = (0..len).map(|n| n as u8 ^ 0xA5).collect();
        let signature = match signer.sign_digest(&digest) {
            Ok(signature) => signature,
            // A TPM signs only digests of a hash it knows; TLS and the CA use no shorter one than SHA-256.
            Err(_) if len == 20 && place != "file" => continue,
            Err(error) => panic!("{place}, digest of {len}: {error}"),
        };
        let signature = openssl::ecdsa::EcdsaSig::from_der(&signature).unwrap();
        assert!(
            signature.verify(&digest, &public).unwrap(),
            "{place}, digest of {len}"
        );
    }
}

fn openssl_verifies(dir: &Path, signer: &Arc<dyn Signer>, algorithm: KeyAlgorithm) {
    let (public, message, signature) = (dir.join("public.der"), dir.join("message"), dir.join("signature"));
    std::fs::write(&public, signer.public_key_der()).unwrap();
    std::fs::write(&message, b"seen from outside").unwrap();
    std::fs::write(&signature, signer.sign(b"seen from outside").unwrap()).unwrap();
    let mut command = Command::new("openssl");
    match algorithm {
        KeyAlgorithm::Ed448 => command.args([
            "pkeyutl", "-verify", "-rawin", "-pubin", "-keyform", "DER", "-inkey",
        ]),
        KeyAlgorithm::P256 => command.args(["dgst", "-sha256", "-keyform", "DER", "-verify"]),
        KeyAlgorithm::P521 => command.args(["dgst", "-sha512", "-keyform", "DER", "-verify"]),
    };
    command.arg(&public);
    match algorithm {
        KeyAlgorithm::Ed448 => command.arg("-sigfile").arg(&signature).arg("-in").arg(&message),
        _ => command.arg("-signature").arg(&signature).arg(&message),
    };
    let out = command.output().unwrap();
    assert!(
        out.status.success(),
        "{algorithm}: {}",
        String::from_utf8_lossy(&out.stderr)
    );
}

/// More threads than a device has places: all get right signatures.
fn many_at_once(signer: &Arc<dyn Signer>) {
    std::thread::scope(|scope| {
        for thread in 0..12_u8 {
            scope.spawn(move || {
                for round in 0..4_u8 {
                    let message = [thread, round];
                    let signature = signer.sign(&message).unwrap();
                    assert!(
                        verify(signer.algorithm(), signer.public_key_der(), &message, &signature).unwrap()
                    );
                }
            });
        }
    });
}

/// Prints the sign rate: the figure that decides which key may serve many vehicles.
#[allow(clippy::print_stdout, reason = "a test prints its figures")]
fn rate(place: &str, signer: &Arc<dyn Signer>) {
    let started = Instant::now();
    let mut count = 0_u32;
    while started.elapsed().as_millis() < 400 {
        signer.sign(b"rate").unwrap();
        count += 1;
    }
    let per_second = f64::from(count) / started.elapsed().as_secs_f64();
    println!(
        "figure: {place} {}: {per_second:.0} signatures per second, one thread",
        signer.algorithm()
    );
}

#[test]
fn a_file_conforms() {
    need!(openssl);
    let dir = temp::dir().unwrap();
    conforms("file", &KeyAlgorithm::ALL, true, &PinSource::None, |name| {
        KeyUri::File(dir.path().join(name))
    });
}
