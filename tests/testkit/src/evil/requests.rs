//! Certification requests (PKCS#10) with one defect each.

use super::der::{bits, oid, seq, tlv};
use super::{Evil, Sign, ecdsa_sha256, explicit, extension, name, names, rdn, rsa};

/// A certification request (PKCS#10): the subject in DER, the key, and attributes as they stand in `[0]`.
#[must_use]
pub fn request(subject: &[u8], spki: &[u8], attributes: &[u8], sign: &Sign<'_>) -> Vec<u8> {
    let info = seq(&[&tlv(0x02, &[0]), subject, spki, &tlv(0xA0, attributes)]);
    let signature = bits(&sign(&info));
    seq(&[&info, &ecdsa_sha256(), &signature])
}

/// `extensionRequest` with these alternative names (DER of `GeneralName`).
#[must_use]
pub fn wanted_names(names: &[u8]) -> Vec<u8> {
    let extensions = seq(&[&extension("551d11", false, &tlv(0x30, names))]);
    seq(&[&oid("2a864886f70d01090e"), &tlv(0x31, &extensions)])
}

/// Requests with one defect each, for the holder of `spki` whose subject is `subject`; `other` signs with a key that
/// is not the one in `spki`.
#[must_use]
pub fn requests(subject: &[u8], spki: &[u8], sign: &Sign<'_>, other: &Sign<'_>) -> Vec<Evil> {
    let plain = request(subject, spki, &[], sign);
    let cases: Vec<(&'static str, Vec<u8>)> = vec![
        ("nothing", Vec::new()),
        (
            "half of it",
            plain.get(..plain.len() / 2).unwrap_or_default().to_vec(),
        ),
        ("octets behind the end", [&plain[..], &[0, 0]].concat()),
        ("signed by another key", request(subject, spki, &[], other)),
        (
            "a NUL in the name",
            request(&name(b"GL-1\0GL-2", None), spki, &[], sign),
        ),
        (
            "two common names",
            request(
                &tlv(0x30, &[rdn("550403", 12, b"A"), rdn("550403", 12, b"B")].concat()),
                spki,
                &[],
                sign,
            ),
        ),
        (
            "a name that is no UTF-8",
            request(&name(&[0xFF, 0xFE], None), spki, &[], sign),
        ),
        (
            "an RSA key of 16384 bits",
            request(subject, &rsa(2048), &[], sign),
        ),
        ("a point that is not on the curve", {
            let mut bent = spki.to_vec();
            if let Some(last) = bent.last_mut() {
                *last ^= 1;
            }
            request(subject, &bent, &[], sign)
        }),
        (
            "explicit curve parameters",
            request(subject, &explicit(spki), &[], sign),
        ),
        (
            "two thousand alternative names",
            request(
                subject,
                spki,
                &wanted_names(names(2000).get(4..).unwrap_or_default()),
                sign,
            ),
        ),
        (
            "an alternative name of an unknown kind",
            request(subject, spki, &wanted_names(&tlv(0x88, &[0x2A, 3])), sign),
        ),
        (
            "a megabyte of attributes",
            request(
                subject,
                spki,
                &seq(&[&oid("2a03"), &tlv(0x31, &tlv(0x04, &vec![0; 1 << 20]))]),
                sign,
            ),
        ),
        (
            "a thousand attributes",
            request(
                subject,
                spki,
                &seq(&[&oid("2a03"), &tlv(0x31, &tlv(0x05, &[]))]).repeat(1000),
                sign,
            ),
        ),
    ];
    cases
        .into_iter()
        .map(|(defect, der)| Evil { defect, der })
        .collect()
}
