use std::os::unix::fs::PermissionsExt as _;

use super::*;

#[test]
fn every_algorithm_signs_survives_the_disk_and_is_private() {
    let dir = tempfile::tempdir().unwrap();
    for algorithm in KeyAlgorithm::ALL {
        let key = FileKey::generate(algorithm).unwrap();
        let path = dir.path().join(algorithm.as_str());
        key.save(&path).unwrap();
        assert_eq!(
            std::fs::metadata(&path).unwrap().permissions().mode() & 0o777,
            0o600
        );
        let again = FileKey::load(&path).unwrap();
        assert_eq!(again.algorithm(), algorithm);
        assert_eq!(again.public_key_der(), key.public_key_der());
        let signature = again.sign(b"message").unwrap();
        assert!(verify(algorithm, key.public_key_der(), b"message", &signature).unwrap());
        assert!(!verify(algorithm, key.public_key_der(), b"massage", &signature).unwrap());
        assert!(!verify(algorithm, key.public_key_der(), b"message", b"junk").unwrap());
        assert!(!format!("{key:?}").contains("PRIVATE"));
    }
}

#[test]
fn a_key_file_others_can_read_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("key.pem");
    FileKey::generate(KeyAlgorithm::P256)
        .unwrap()
        .save(&path)
        .unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o640)).unwrap();
    assert!(matches!(
        FileKey::load(&path),
        Err(KeyError::Exposed { mode: 0o640, .. })
    ));
}

#[test]
fn other_key_types_and_garbage_are_refused() {
    let rsa = openssl::pkey::PKey::from_rsa(openssl::rsa::Rsa::generate(2048).unwrap()).unwrap();
    assert!(matches!(FileKey::from_pkey(rsa), Err(KeyError::Unsupported)));
    assert!(matches!(
        FileKey::from_pem(b"-----BEGIN PRIVATE KEY-----"),
        Err(KeyError::Crypto { .. })
    ));
    let key = FileKey::generate(KeyAlgorithm::P256).unwrap();
    let locked = key.to_encrypted_pem(b"12345").unwrap();
    assert!(
        FileKey::from_pem(&locked).is_err(),
        "an encrypted key must not be guessed at"
    );
}

#[test]
fn a_failed_write_keeps_the_old_key() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("missing/key.pem");
    assert!(
        FileKey::generate(KeyAlgorithm::P256)
            .unwrap()
            .save(&path)
            .is_err()
    );
    assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0);
}

#[test]
fn the_scalar_is_padded_to_the_curve() {
    assert_eq!(
        FileKey::generate(KeyAlgorithm::P256)
            .unwrap()
            .scalar()
            .unwrap()
            .len(),
        32
    );
    assert_eq!(
        FileKey::generate(KeyAlgorithm::P521)
            .unwrap()
            .scalar()
            .unwrap()
            .len(),
        66
    );
    assert!(FileKey::generate(KeyAlgorithm::Ed448).unwrap().scalar().is_err());
}

#[test]
fn an_archive_that_asks_for_hours_of_hashing_is_refused_before_any_of_it() {
    let archive = |name: &str| {
        let corpus = concat!(env!("CARGO_MANIFEST_DIR"), "/../../../fuzz/corpus/pkcs12/");
        std::fs::read(format!("{corpus}{name}")).unwrap()
    };
    for name in ["aes", "3des"] {
        assert_eq!(
            pkcs12_certificates(&archive(name), "changeit").unwrap().len(),
            1,
            "{name}"
        );
    }
    // The first of them, with 2,147,483,647 rounds for its MAC: some twenty minutes.
    let began = std::time::Instant::now();
    let refused = pkcs12_certificates(&archive("rounds-without-end"), "changeit").unwrap_err();
    assert!(matches!(refused, KeyError::Refused(_)), "{refused:?}");
    assert_eq!(refused.code(), key::FILE);
    assert!(refused.to_string().contains("4,000,000"), "{refused}");
    assert!(began.elapsed() < std::time::Duration::from_secs(5));
    let huge = vec![0x30; MAX_PKCS12 + 1];
    assert!(matches!(
        pkcs12_certificates(&huge, ""),
        Err(KeyError::Refused(_))
    ));
}

#[test]
fn an_encrypted_key_file_is_refused_by_name_and_not_tried_for_hours() {
    for name in ["encrypted", "scrypt", "rounds-without-end"] {
        let corpus = concat!(env!("CARGO_MANIFEST_DIR"), "/../../../fuzz/corpus/key-file/");
        let pem = std::fs::read(format!("{corpus}{name}")).unwrap();
        let began = std::time::Instant::now();
        let refused = FileKey::from_pem(&pem).unwrap_err();
        assert!(refused.to_string().contains("pass phrase"), "{name}: {refused}");
        assert!(began.elapsed() < std::time::Duration::from_secs(5), "{name}");
    }
    let key = FileKey::generate(KeyAlgorithm::P256).unwrap();
    let sec1 = key.to_encrypted_sec1_pem(b"secret").unwrap();
    assert!(matches!(FileKey::from_pem(&sec1), Err(KeyError::Refused(_))));
}
