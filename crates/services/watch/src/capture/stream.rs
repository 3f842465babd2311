//! What one TCP stream carries: V2GTP, TLS with V2GTP inside, or something else.

use gridlatch_session::wire::{Conversation, Framer, Framing};
use gridlatch_vocab::catalogue::wire;

use super::entry::{TlsHandshake, What};
use crate::tls::{KeyLog, TlsEvent, TlsSession};

/// One thing seen in a stream: who sent it (0: client), whether inside TLS, what.
pub(super) type Seen = (usize, bool, What);

/// Bytes of one direction kept until the protocol is recognised.
const PROBE: usize = 3;

/// V2GTP in both directions of one stream.
#[derive(Default)]
struct V2g {
    framers: [Framer; 2],
    conversation: Conversation,
}

impl V2g {
    fn push(&mut self, direction: usize, bytes: &[u8], inside_tls: bool, sink: &mut dyn FnMut(Seen)) {
        self.framers[direction].push(bytes);
        while let Some(framing) = self.framers[direction].next_frame() {
            let what = match framing {
                Framing::Frame {
                    payload_type,
                    payload,
                } => match self.conversation.decode_frame(payload_type, &payload) {
                    Ok(described) => What::Message(Box::new(described)),
                    Err(undecodable) => What::Undecodable(Box::new(undecodable)),
                },
                Framing::Bad(undecodable) => What::Undecodable(Box::new(undecodable)),
            };
            sink((direction, inside_tls, what));
        }
    }
}

/// What the stream turned out to be.
enum Kind {
    Unknown,
    V2g(V2g),
    Tls {
        session: Box<TlsSession>,
        inside: Option<V2g>,
        other: bool,
    },
    Other,
}

/// One stream.
pub(super) struct Stream {
    kind: Kind,
    probe: [Vec<u8>; 2],
    /// The port was announced by discovery: whatever it carries is meant to be V2G.
    announced: bool,
}

impl Stream {
    pub(super) fn new(announced: bool) -> Self {
        Self {
            kind: Kind::Unknown,
            probe: [Vec::new(), Vec::new()],
            announced,
        }
    }

    pub(super) fn is_v2g(&self) -> bool {
        matches!(self.kind, Kind::V2g(_) | Kind::Tls { inside: Some(_), .. })
    }

    pub(super) fn is_tls(&self) -> bool {
        matches!(self.kind, Kind::Tls { .. })
    }

    /// TLS records seen, and opened.
    pub(super) fn tls_counts(&self) -> (u64, u64) {
        match &self.kind {
            Kind::Tls { session, .. } => session.counts(),
            _ => (0, 0),
        }
    }

    /// Bytes of one direction, in order.
    pub(super) fn push(&mut self, direction: usize, bytes: &[u8], keys: &KeyLog, sink: &mut dyn FnMut(Seen)) {
        if matches!(self.kind, Kind::Unknown) {
            self.probe[direction].extend_from_slice(bytes);
            if self.probe[direction].len() < PROBE {
                return;
            }
            self.kind = self.recognise(direction);
            for direction in [direction, 1 - direction] {
                let bytes = std::mem::take(&mut self.probe[direction]);
                self.feed(direction, &bytes, keys, sink);
            }
            return;
        }
        self.feed(direction, bytes, keys, sink);
    }

    fn recognise(&self, direction: usize) -> Kind {
        let start = &self.probe[direction];
        if TlsSession::recognises(start) {
            Kind::Tls {
                session: Box::default(),
                inside: None,
                other: false,
            }
        } else if start.starts_with(&[0x01, 0xFE]) || self.announced {
            Kind::V2g(V2g::default())
        } else {
            Kind::Other
        }
    }

    fn feed(&mut self, direction: usize, bytes: &[u8], keys: &KeyLog, sink: &mut dyn FnMut(Seen)) {
        let announced = self.announced;
        match &mut self.kind {
            Kind::V2g(v2g) => v2g.push(direction, bytes, false, sink),
            Kind::Tls {
                session,
                inside,
                other,
            } => {
                session.push(direction, bytes, keys, &mut |event| {
                    tls_event(direction, event, inside, other, announced, sink);
                });
            }
            Kind::Unknown | Kind::Other => {}
        }
    }

    /// Bytes of one direction are missing here.
    pub(super) fn gap(&mut self, direction: usize, bytes: u64, sink: &mut dyn FnMut(Seen)) {
        let text = format!("{bytes} bytes of this stream are not in the capture");
        match &mut self.kind {
            Kind::V2g(v2g) => {
                v2g.framers[direction].lose();
                sink((
                    direction,
                    false,
                    What::Notice {
                        code: wire::CAPTURE_GAP,
                        text,
                    },
                ));
            }
            Kind::Tls {
                session,
                inside,
                other,
            } => {
                sink((
                    direction,
                    false,
                    What::Notice {
                        code: wire::CAPTURE_GAP,
                        text,
                    },
                ));
                let announced = self.announced;
                session.lose(direction, &mut |event| {
                    tls_event(direction, event, inside, other, announced, sink)
                });
            }
            Kind::Unknown => self.probe[direction].clear(),
            Kind::Other => {}
        }
    }

    /// The stream is over.
    pub(super) fn end(&mut self, sink: &mut dyn FnMut(Seen)) {
        let (v2g, inside_tls) = match &self.kind {
            Kind::V2g(v2g) => (v2g, false),
            Kind::Tls {
                inside: Some(v2g), ..
            } => (v2g, true),
            _ => return,
        };
        for (direction, framer) in v2g.framers.iter().enumerate() {
            if framer.pending() > 0 {
                let text = format!(
                    "the stream ends inside a V2GTP frame ({} bytes of it)",
                    framer.pending()
                );
                sink((
                    direction,
                    inside_tls,
                    What::Notice {
                        code: wire::CAPTURE_GAP,
                        text,
                    },
                ));
            }
        }
    }
}

fn tls_event(
    direction: usize,
    event: TlsEvent,
    inside: &mut Option<V2g>,
    other: &mut bool,
    announced: bool,
    sink: &mut dyn FnMut(Seen),
) {
    let (direction, step) = match event {
        TlsEvent::Plain { direction, bytes } => {
            if inside.is_none() && !*other && !bytes.is_empty() {
                if announced || bytes[0] == 0x01 {
                    *inside = Some(V2g::default());
                } else {
                    *other = true;
                }
            }
            if let Some(v2g) = inside {
                v2g.push(direction, &bytes, true, sink);
            }
            return;
        }
        TlsEvent::Trouble { code, text } => {
            sink((direction, true, What::Notice { code, text }));
            return;
        }
        TlsEvent::ClientHello {
            client_random,
            server_name,
            suites,
        } => (
            0,
            TlsHandshake::ClientHello {
                client_random,
                server_name,
                suites,
            },
        ),
        TlsEvent::ServerHello { version, suite } => (1, TlsHandshake::ServerHello { version, suite }),
        TlsEvent::Certificates { direction, chain } => (direction, TlsHandshake::Certificates(chain)),
        TlsEvent::Alert {
            direction,
            level,
            description,
        } => (direction, TlsHandshake::Alert { level, description }),
    };
    sink((direction, true, What::Tls(step)));
}
