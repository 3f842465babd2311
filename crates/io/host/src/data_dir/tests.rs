use std::os::unix::fs::PermissionsExt as _;

use super::*;

#[test]
fn a_folder_is_claimed_by_one_at_a_time() {
    let temporary = tempfile::tempdir().unwrap();
    let data = DataDir::open(temporary.path().join("state")).unwrap();
    let first = data.claim().unwrap();
    assert!(first.is_some());
    assert!(
        data.claim().unwrap().is_none(),
        "a second claim must fail while the first lives"
    );
    drop(first);
    assert!(data.claim().unwrap().is_some());
}

#[test]
fn private_files_are_replaced_whole_and_readable_by_their_owner_only() {
    let temporary = tempfile::tempdir().unwrap();
    let data = DataDir::open(temporary.path().join("a/b")).unwrap();
    data.write_private("token", b"first").unwrap();
    let path = data.write_private("token", b"second").unwrap();
    assert_eq!(fs::read(&path).unwrap(), b"second");
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    assert_eq!(
        fs::metadata(data.root()).unwrap().permissions().mode() & 0o777,
        0o700
    );
}

#[test]
fn a_path_below_a_file_is_refused_with_its_name() {
    let temporary = tempfile::tempdir().unwrap();
    let file = temporary.path().join("file");
    fs::write(&file, b"").unwrap();
    let error = DataDir::open(file.join("state")).unwrap_err();
    assert!(error.to_string().contains("state"), "{error}");
}
