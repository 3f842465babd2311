use gridlatch_trust::Generation;
use gridlatch_trust::cms::{self, CmsError};

use crate::support::{Cpo, openssl, pem, said, write};

#[test]
fn openssl_prints_the_certificates_of_our_message() {
    let dir = tempfile::tempdir().unwrap();
    let tree = Cpo::new(Generation::Iso2, 1);
    let mut chain = tree.chain();
    let der = cms::certs_only(&chain).unwrap();
    let file = write(dir.path(), "chain.p7b", &der);
    let text = said(&openssl(
        ["pkcs7", "-inform", "DER", "-in", &file, "-print_certs", "-noout"].map(String::from),
    ));
    assert_eq!(text.matches("subject=").count(), 3, "{text}");
    // OpenSSL encodes it again exactly so: it is DER.
    let again =
        openssl(["pkcs7", "-inform", "DER", "-in", &file, "-outform", "DER"].map(String::from)).stdout;
    assert_eq!(again, der);
    let mut read = cms::parse_certs_only(&der).unwrap();
    read.sort();
    chain.sort();
    assert_eq!(read, chain);
}

#[test]
fn a_message_of_openssl_is_read_in_its_own_order_with_duplicates() {
    let dir = tempfile::tempdir().unwrap();
    let tree = Cpo::new(Generation::Iso20, 1);
    let mut chain = tree.chain();
    chain.push(tree.leaf.der);
    let file = write(dir.path(), "chain.pem", &pem(&chain));
    let der =
        openssl(["crl2pkcs7", "-nocrl", "-certfile", &file, "-outform", "DER"].map(String::from)).stdout;
    assert_eq!(cms::parse_certs_only(&der).unwrap(), chain);
}

#[test]
fn duplicates_are_put_in_once_and_nothing_is_a_valid_message() {
    let leaf = Cpo::new(Generation::Iso2, 1).leaf.der;
    let der = cms::certs_only(&vec![leaf.clone(); 2]).unwrap();
    assert_eq!(cms::parse_certs_only(&der).unwrap(), [leaf]);
    let empty = cms::certs_only(&[]).unwrap();
    assert_eq!(cms::parse_certs_only(&empty).unwrap(), Vec::<Vec<u8>>::new());
}

#[test]
fn other_messages_and_too_many_certificates_are_refused() {
    assert!(matches!(
        cms::parse_certs_only(b"<html>"),
        Err(CmsError::Malformed(_))
    ));
    assert_eq!(
        cms::parse_certs_only(&vec![0; cms::MAX_OCTETS + 1]),
        Err(CmsError::TooLarge)
    );
    let dir = tempfile::tempdir().unwrap();
    let leaf = Cpo::new(Generation::Iso2, 1).leaf.der;
    let file = write(
        dir.path(),
        "many.pem",
        &pem(&vec![leaf; cms::MAX_CERTIFICATES + 1]),
    );
    let der =
        openssl(["crl2pkcs7", "-nocrl", "-certfile", &file, "-outform", "DER"].map(String::from)).stdout;
    assert_eq!(cms::parse_certs_only(&der), Err(CmsError::TooLarge));
}
