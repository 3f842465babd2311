//! Handshake messages, as far as opening the records and telling the story needs them.

/// Largest handshake message followed: a certificate chain of a vehicle is below 10 kB.
const MAX_MESSAGE: usize = 256 * 1024;

/// Handshake types.
pub(super) const CLIENT_HELLO: u8 = 1;
pub(super) const SERVER_HELLO: u8 = 2;
pub(super) const CERTIFICATE: u8 = 11;
pub(super) const FINISHED: u8 = 20;
pub(super) const KEY_UPDATE: u8 = 24;

/// Puts handshake messages back together across records.
#[derive(Debug, Default)]
pub(super) struct Messages {
    buffer: Vec<u8>,
}

impl Messages {
    pub(super) fn push(&mut self, bytes: &[u8]) {
        if self.buffer.len() + bytes.len() <= MAX_MESSAGE {
            self.buffer.extend_from_slice(bytes);
        }
    }

    /// The next whole message: type and body.
    pub(super) fn next_message(&mut self) -> Option<(u8, Vec<u8>)> {
        let head: [u8; 4] = self.buffer.get(..4)?.try_into().ok()?;
        let length = usize::from(head[1]) << 16 | usize::from(head[2]) << 8 | usize::from(head[3]);
        if length > MAX_MESSAGE - 4 {
            self.buffer.clear();
            return None;
        }
        let body = self.buffer.get(4..4 + length)?.to_vec();
        self.buffer.drain(..4 + length);
        Some((head[0], body))
    }
}

/// Reads length-prefixed fields.
#[derive(Clone, Copy)]
pub(super) struct Fields<'a>(pub(super) &'a [u8]);

impl<'a> Fields<'a> {
    pub(super) fn take(&mut self, count: usize) -> Option<&'a [u8]> {
        let (head, rest) = self.0.split_at_checked(count)?;
        self.0 = rest;
        Some(head)
    }

    pub(super) fn number(&mut self, width: usize) -> Option<usize> {
        Some(
            self.take(width)?
                .iter()
                .fold(0, |sum, byte| sum << 8 | usize::from(*byte)),
        )
    }

    /// A field with a length of `width` bytes before it.
    pub(super) fn vector(&mut self, width: usize) -> Option<&'a [u8]> {
        let length = self.number(width)?;
        self.take(length)
    }
}

/// What a ClientHello says.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct ClientHello {
    pub(super) random: [u8; 32],
    pub(super) server_name: Option<String>,
    pub(super) suites: Vec<u16>,
}

/// What a ServerHello says.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct ServerHello {
    pub(super) random: [u8; 32],
    pub(super) suite: u16,
    pub(super) tls13: bool,
    pub(super) encrypt_then_mac: bool,
    pub(super) retry: bool,
}

/// SHA-256 of "HelloRetryRequest" (RFC 8446 clause 4.1.3).
const RETRY: [u8; 32] = [
    0xCF, 0x21, 0xAD, 0x74, 0xE5, 0x9A, 0x61, 0x11, 0xBE, 0x1D, 0x8C, 0x02, 0x1E, 0x65, 0xB8, 0x91, 0xC2,
    0xA2, 0x11, 0x16, 0x7A, 0xBB, 0x8C, 0x5E, 0x07, 0x9E, 0x09, 0xE2, 0xC8, 0xA8, 0x33, 0x9C,
];

/// The extensions, in order; none where the block is absent or damaged.
fn extensions<'a>(fields: &mut Fields<'a>) -> Vec<(usize, &'a [u8])> {
    let mut list = Vec::new();
    let mut block = Fields(fields.vector(2).unwrap_or_default());
    while let (Some(kind), Some(body)) = (block.number(2), block.vector(2)) {
        list.push((kind, body));
        if list.len() == 64 {
            break;
        }
    }
    list
}

pub(super) fn client_hello(body: &[u8]) -> Option<ClientHello> {
    let mut fields = Fields(body);
    fields.take(2)?;
    let random = fields.take(32)?.try_into().ok()?;
    fields.vector(1)?;
    let suites = fields
        .vector(2)?
        .chunks_exact(2)
        .map(|pair| u16::from_be_bytes([pair[0], pair[1]]))
        .collect();
    fields.vector(1)?;
    let server_name = extensions(&mut fields)
        .into_iter()
        .find(|(kind, _)| *kind == 0)
        .and_then(|(_, body)| {
            let mut list = Fields(Fields(body).vector(2)?);
            list.take(1)?;
            String::from_utf8(list.vector(2)?.to_vec()).ok()
        });
    Some(ClientHello {
        random,
        server_name,
        suites,
    })
}

pub(super) fn server_hello(body: &[u8]) -> Option<ServerHello> {
    let mut fields = Fields(body);
    fields.take(2)?;
    let random: [u8; 32] = fields.take(32)?.try_into().ok()?;
    fields.vector(1)?;
    let suite = fields.number(2)? as u16;
    fields.take(1)?;
    let extensions = extensions(&mut fields);
    Some(ServerHello {
        random,
        suite,
        tls13: extensions
            .iter()
            .any(|(kind, body)| *kind == 43 && *body == [3, 4]),
        encrypt_then_mac: extensions.iter().any(|(kind, _)| *kind == 22),
        retry: random == RETRY,
    })
}

/// The DER certificates of a Certificate message.
pub(super) fn certificates(body: &[u8], tls13: bool) -> Vec<&[u8]> {
    let mut fields = Fields(body);
    if tls13 && fields.vector(1).is_none() {
        return Vec::new();
    }
    let mut list = Fields(fields.vector(3).unwrap_or_default());
    let mut found = Vec::new();
    while let Some(der) = list.vector(3) {
        found.push(der);
        if found.len() == 16 || (tls13 && list.vector(2).is_none()) {
            break;
        }
    }
    found
}
