//! Bodies of EST: Base64 on the wire in both directions (RFC 7030 section 4, RFC 8951 section 3.1).

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

/// The largest request body, bytes: a request for 16 KiB of DER as Base64 with line ends.
pub(super) const MAX_BODY: usize = 24 * 1024;
/// Characters of a line; MIME allows 76, and Base64 comes in groups of four.
const LINE: usize = 64;

/// The DER inside a request body. Base64 with or without line ends is the rule; PEM and plain DER are
/// what some clients send instead, and cannot be mistaken for it.
pub(super) fn decode(body: &[u8]) -> Option<Vec<u8>> {
    const SEQUENCE: u8 = 0x30;
    // "0" begins Base64 only of octets 0xD0 to 0xD3, which no DER sequence begins with.
    if body.first() == Some(&SEQUENCE) {
        return Some(body.to_vec());
    }
    let text = core::str::from_utf8(body).ok()?.trim();
    let text = match text.strip_prefix("-----BEGIN ") {
        Some(rest) => {
            let (_, rest) = rest.split_once("-----")?;
            rest.split_once("-----END ")?.0
        }
        None => text,
    };
    let packed: String = text.chars().filter(|c| !c.is_ascii_whitespace()).collect();
    STANDARD.decode(packed).ok().filter(|der| !der.is_empty())
}

/// `der` as an answer's body.
pub(super) fn encode(der: &[u8]) -> String {
    let text = STANDARD.encode(der);
    let mut lines = String::with_capacity(text.len() + text.len() / LINE * 2 + 2);
    let mut rest = text.as_str();
    while !rest.is_empty() {
        let (line, after) = rest.split_at(rest.len().min(LINE));
        lines.push_str(line);
        lines.push_str("\r\n");
        rest = after;
    }
    lines
}

/// See [`crate::fuzz`].
pub(crate) fn fuzz_body(data: &[u8]) {
    if let Some(der) = decode(data) {
        assert!(der.len() <= data.len(), "a body grew");
        // Of DER only: the Base64 of octets 0xD0 to 0xD3 begins as plain DER does.
        if der.first() == Some(&0x30) {
            assert_eq!(
                decode(encode(&der).as_bytes()),
                Some(der.clone()),
                "what is written is not what is read"
            );
        }
        let _ = gridlatch_trust::csr::parse(&der, &gridlatch_keys::OpensslVerifier);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_way_clients_write_a_request_is_read_and_nothing_else() {
        let der = [0x30, 0x82, 0x01, 0x00, 0xFF, 0xFE, 0x00, 0x0A, 0x7F];
        let der = [&der[..], &[0x55; 100]].concat();
        let lines = encode(&der);
        assert!(lines.lines().all(|line| line.len() <= LINE));
        assert!(lines.ends_with("\r\n"));
        assert_eq!(decode(lines.as_bytes()).unwrap(), der);
        assert_eq!(decode(STANDARD.encode(&der).as_bytes()).unwrap(), der);
        assert_eq!(decode(lines.replace("\r\n", "\n").as_bytes()).unwrap(), der);
        assert_eq!(decode(&der).unwrap(), der);
        let pem = format!("-----BEGIN CERTIFICATE REQUEST-----\n{lines}-----END CERTIFICATE REQUEST-----\n");
        assert_eq!(decode(pem.as_bytes()).unwrap(), der);
        for wrong in [
            &b""[..],
            b"   ",
            b"not base64!",
            b"AAA",
            b"\xFF\xFE",
            b"-----BEGIN X-----",
            b"-----BEGIN X-----AA==",
        ] {
            assert_eq!(decode(wrong), None, "{wrong:?}");
        }
    }
}
