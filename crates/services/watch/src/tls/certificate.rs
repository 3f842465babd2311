//! One line about a certificate.

use openssl::x509::{X509, X509NameRef};

fn name(name: &X509NameRef) -> String {
    let parts: Vec<String> = name
        .entries()
        .map(|entry| {
            let key = entry.object().nid().short_name().unwrap_or("?");
            let value = entry.data().to_string().unwrap_or_else(|_| "?".to_owned());
            format!("{key}={}", value.escape_debug())
        })
        .collect();
    parts.join(", ")
}

/// Subject and issuer, or what is wrong with the DER.
pub(super) fn describe(der: &[u8]) -> String {
    match X509::from_der(der) {
        Ok(certificate) => format!(
            "{} (issuer {}; until {})",
            name(certificate.subject_name()),
            name(certificate.issuer_name()),
            certificate.not_after()
        ),
        Err(_) => format!("a certificate that does not parse ({} bytes)", der.len()),
    }
}
