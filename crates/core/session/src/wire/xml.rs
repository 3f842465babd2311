//! Plain XML where EXI belongs: some stacks have a switch that turns EXI off for debugging.

use super::Tree;

/// The text, if the payload is XML. No EXI stream starts with `<`: its first bits are `10`, or the
/// `$EXI` cookie.
pub(super) fn detect(payload: &[u8]) -> Option<&str> {
    let payload = payload.strip_prefix(b"\xef\xbb\xbf").unwrap_or(payload);
    if payload.trim_ascii_start().first() != Some(&b'<') {
        return None;
    }
    core::str::from_utf8(payload).ok()
}

/// The message name: the first element that is not an envelope.
pub(super) fn message_name(text: &str) -> String {
    let mut in_body = false;
    let mut last = "XML";
    for tag in text.split('<').skip(1) {
        if tag.starts_with(['?', '!', '/']) {
            continue;
        }
        let end = tag
            .find(|c: char| c.is_whitespace() || matches!(c, '>' | '/'))
            .unwrap_or(tag.len());
        let qualified = &tag[..end];
        let local = qualified.rsplit(':').next().unwrap_or(qualified);
        match local {
            "V2G_Message" => {}
            "Body" => in_body = true,
            "Header" if !in_body => last = "V2G_Message",
            _ if in_body || last == "XML" => return local.to_owned(),
            _ => {}
        }
    }
    last.to_owned()
}

/// The value of the first `ResponseCode` element.
pub(super) fn response_code(text: &str) -> Option<String> {
    let (_, rest) = text.split_once("ResponseCode>")?;
    let (value, _) = rest.split_once('<')?;
    Some(value.trim().to_owned())
}

/// The text as a field.
pub(super) fn fields(text: &str) -> Tree {
    Tree::Fields(vec![("xml".to_owned(), Tree::text(text.trim()))])
}
