//! One TLS connection in a capture.

use gridlatch_vocab::catalogue::{Code, wire};

use super::handshake::{self, ClientHello, Messages, ServerHello};
use super::keylog::{KeyLog, Secrets};
use super::protection::{Protection, Suite};
use super::record::{ALERT, APPLICATION_DATA, CHANGE_CIPHER_SPEC, HANDSHAKE, Record, Records};
use super::{certificate, keys};

/// What became known about the connection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TlsEvent {
    /// The client opened the handshake.
    ClientHello {
        /// Names the line of a key log.
        client_random: String,
        /// Server name indication.
        server_name: Option<String>,
        /// The suites offered.
        suites: Vec<String>,
    },
    /// The server chose.
    ServerHello {
        /// `TLSv1.2` or `TLSv1.3`.
        version: &'static str,
        /// OpenSSL's name of the suite, or its number.
        suite: String,
    },
    /// A certificate chain was shown, by the client (0) or the server (1).
    Certificates {
        /// Who showed it.
        direction: usize,
        /// One line each, leaf first.
        chain: Vec<String>,
    },
    /// Application data, verified.
    Plain {
        /// Who sent it.
        direction: usize,
        /// The bytes.
        bytes: Vec<u8>,
    },
    /// An alert.
    Alert {
        /// Who sent it.
        direction: usize,
        /// `warning` or `fatal`.
        level: &'static str,
        /// Its name in the RFC, or its number.
        description: String,
    },
    /// Something stands in the way of reading on.
    Trouble {
        /// The row of the catalogue.
        code: Code,
        /// In words.
        text: String,
    },
}

/// One direction.
#[derive(Default)]
struct Side {
    records: Records,
    messages: Messages,
    protection: Option<Protection>,
    /// TLS 1.2: from ChangeCipherSpec on.
    encrypted: bool,
    /// Set once this direction cannot be read on.
    lost: bool,
    traffic_secret: Option<Vec<u8>>,
}

/// Follows one connection.
#[derive(Default)]
pub struct TlsSession {
    sides: [Side; 2],
    client: Option<ClientHello>,
    server: Option<ServerHello>,
    secrets: Option<Secrets>,
    told_missing: bool,
    records: u64,
    opened: u64,
}

const NAMES: [&str; 2] = ["client", "server"];

impl TlsSession {
    /// Whether a stream that starts like this is TLS.
    #[must_use]
    pub fn recognises(start: &[u8]) -> bool {
        super::record::looks_like_tls(start)
    }

    /// Records seen so far, and how many of them were protected and verified.
    #[must_use]
    pub fn counts(&self) -> (u64, u64) {
        (self.records, self.opened)
    }

    /// Whether secrets for this connection were found.
    #[must_use]
    pub fn has_keys(&self) -> bool {
        self.secrets.is_some()
    }

    /// Bytes of one direction (0: client, 1: server).
    pub fn push(&mut self, direction: usize, bytes: &[u8], keys: &KeyLog, sink: &mut dyn FnMut(TlsEvent)) {
        self.sides[direction].records.push(bytes);
        loop {
            match self.sides[direction].records.next_record() {
                Ok(Some(record)) => {
                    self.records += 1;
                    self.record(direction, &record, keys, sink);
                }
                Ok(None) => return,
                Err(first) => {
                    self.sides[direction].lost = true;
                    let text = format!(
                        "the {}'s bytes are no TLS record: {}",
                        NAMES[direction],
                        hex::encode(first)
                    );
                    sink(TlsEvent::Trouble {
                        code: wire::TLS_NOT_READABLE,
                        text,
                    });
                    return;
                }
            }
        }
    }

    /// Bytes are missing: nothing after them can be verified, because records are numbered.
    pub fn lose(&mut self, direction: usize, sink: &mut dyn FnMut(TlsEvent)) {
        if !std::mem::replace(&mut self.sides[direction].lost, true) {
            let text = format!(
                "bytes of the {} are missing; its TLS records after them cannot be opened",
                NAMES[direction]
            );
            sink(TlsEvent::Trouble {
                code: wire::TLS_NOT_READABLE,
                text,
            });
        }
        self.sides[direction].records = Records::default();
    }

    fn record(&mut self, direction: usize, record: &Record, keys: &KeyLog, sink: &mut dyn FnMut(TlsEvent)) {
        let tls13 = self.server.as_ref().is_some_and(|server| server.tls13);
        let protected = if tls13 {
            record.content_type == APPLICATION_DATA
        } else {
            self.sides[direction].encrypted
        };
        if !protected {
            if record.content_type == CHANGE_CIPHER_SPEC && !tls13 && self.server.is_some() {
                self.sides[direction].encrypted = true;
                return;
            }
            self.content(direction, record.content_type, &record.body, keys, sink);
            return;
        }
        if self.sides[direction].lost {
            return;
        }
        if self.sides[direction].protection.is_none() {
            self.missing(direction, sink);
            return;
        }
        let opened = self.sides[direction]
            .protection
            .as_mut()
            .and_then(|protection| protection.open(record));
        match opened {
            Some((content_type, plain)) => {
                self.opened += 1;
                self.content(direction, content_type, &plain, keys, sink);
            }
            None => {
                self.sides[direction].lost = true;
                let text = format!(
                    "record {} of the {} does not verify with the secrets of the key log",
                    self.records, NAMES[direction]
                );
                sink(TlsEvent::Trouble {
                    code: wire::TLS_KEYS_WRONG,
                    text,
                });
            }
        }
    }

    fn missing(&mut self, direction: usize, sink: &mut dyn FnMut(TlsEvent)) {
        self.sides[direction].lost = true;
        if std::mem::replace(&mut self.told_missing, true) {
            return;
        }
        let text = match (&self.client, &self.server) {
            (None, _) | (_, None) => "the capture misses the start of this TLS connection".to_owned(),
            (Some(_), Some(server)) if Suite::find(server.suite).is_none() => {
                format!("cipher suite {} cannot be opened", Suite::name_of(server.suite))
            }
            (Some(client), Some(_)) => {
                format!("no secrets for client random {}", hex::encode(client.random))
            }
        };
        sink(TlsEvent::Trouble {
            code: wire::TLS_KEYS_MISSING,
            text,
        });
    }

    fn content(
        &mut self,
        direction: usize,
        content_type: u8,
        bytes: &[u8],
        keys: &KeyLog,
        sink: &mut dyn FnMut(TlsEvent),
    ) {
        match content_type {
            HANDSHAKE => {
                self.sides[direction].messages.push(bytes);
                while let Some((kind, body)) = self.sides[direction].messages.next_message() {
                    self.handshake(direction, kind, &body, keys, sink);
                }
            }
            ALERT => {
                if let [level, description] = bytes {
                    sink(TlsEvent::Alert {
                        direction,
                        level: if *level == 2 { "fatal" } else { "warning" },
                        description: alert_name(*description),
                    });
                }
            }
            APPLICATION_DATA => sink(TlsEvent::Plain {
                direction,
                bytes: bytes.to_vec(),
            }),
            _ => {}
        }
    }

    fn handshake(
        &mut self,
        direction: usize,
        kind: u8,
        body: &[u8],
        keys: &KeyLog,
        sink: &mut dyn FnMut(TlsEvent),
    ) {
        match (kind, direction) {
            (handshake::CLIENT_HELLO, 0) => {
                if let Some(hello) = handshake::client_hello(body) {
                    let repeated = self
                        .client
                        .as_ref()
                        .is_some_and(|known| known.random == hello.random);
                    if !repeated {
                        self.secrets = keys.find(&hello.random).cloned();
                        sink(TlsEvent::ClientHello {
                            client_random: hex::encode(hello.random),
                            server_name: hello.server_name.clone(),
                            suites: hello.suites.iter().map(|suite| Suite::name_of(*suite)).collect(),
                        });
                    }
                    self.client = Some(hello);
                }
            }
            (handshake::SERVER_HELLO, 1) => {
                if let Some(hello) = handshake::server_hello(body).filter(|hello| !hello.retry) {
                    sink(TlsEvent::ServerHello {
                        version: if hello.tls13 { "TLSv1.3" } else { "TLSv1.2" },
                        suite: Suite::name_of(hello.suite),
                    });
                    self.server = Some(hello);
                    self.derive();
                }
            }
            (handshake::CERTIFICATE, _) => {
                let tls13 = self.server.as_ref().is_some_and(|server| server.tls13);
                let chain: Vec<String> = handshake::certificates(body, tls13)
                    .into_iter()
                    .map(certificate::describe)
                    .collect();
                sink(TlsEvent::Certificates { direction, chain });
            }
            (handshake::FINISHED, _) => self.finished(direction),
            (handshake::KEY_UPDATE, _) => self.key_update(direction),
            _ => {}
        }
    }

    /// Sets up both directions after the ServerHello.
    fn derive(&mut self) {
        let (Some(client), Some(server), Some(secrets)) = (&self.client, &self.server, &self.secrets) else {
            return;
        };
        let Some(suite) = Suite::find(server.suite) else {
            return;
        };
        if server.tls13 {
            for (side, secret) in self.sides.iter_mut().zip(&secrets.handshake) {
                side.protection = secret
                    .as_deref()
                    .and_then(|secret| Protection::tls13(suite, secret));
            }
        } else if let Some(master) = &secrets.master {
            let both = Protection::tls12(
                suite,
                master,
                &client.random,
                &server.random,
                server.encrypt_then_mac,
            );
            if let Some([client, server]) = both {
                self.sides[0].protection = Some(client);
                self.sides[1].protection = Some(server);
            }
        }
    }

    /// TLS 1.3: after its Finished a side uses the application secrets.
    fn finished(&mut self, direction: usize) {
        let (Some(server), Some(secrets)) = (&self.server, &self.secrets) else {
            return;
        };
        if !server.tls13 {
            return;
        }
        let Some(suite) = Suite::find(server.suite) else {
            return;
        };
        let side = &mut self.sides[direction];
        side.traffic_secret = secrets.traffic[direction].clone();
        side.protection = side
            .traffic_secret
            .as_deref()
            .and_then(|secret| Protection::tls13(suite, secret));
    }

    fn key_update(&mut self, direction: usize) {
        let suite = self
            .server
            .as_ref()
            .filter(|server| server.tls13)
            .and_then(|server| Suite::find(server.suite));
        let side = &mut self.sides[direction];
        let (Some(suite), Some(secret)) = (suite, &side.traffic_secret) else {
            return;
        };
        side.traffic_secret = keys::expand_label(suite.digest(), secret, "traffic upd", secret.len()).ok();
        side.protection = side
            .traffic_secret
            .as_deref()
            .and_then(|secret| Protection::tls13(suite, secret));
    }
}

/// RFC 8446 clause 6, by name.
fn alert_name(number: u8) -> String {
    let name = match number {
        0 => "close_notify",
        10 => "unexpected_message",
        20 => "bad_record_mac",
        22 => "record_overflow",
        40 => "handshake_failure",
        42 => "bad_certificate",
        43 => "unsupported_certificate",
        44 => "certificate_revoked",
        45 => "certificate_expired",
        46 => "certificate_unknown",
        47 => "illegal_parameter",
        48 => "unknown_ca",
        49 => "access_denied",
        50 => "decode_error",
        51 => "decrypt_error",
        70 => "protocol_version",
        71 => "insufficient_security",
        80 => "internal_error",
        86 => "inappropriate_fallback",
        90 => "user_canceled",
        109 => "missing_extension",
        110 => "unsupported_extension",
        112 => "unrecognized_name",
        113 => "bad_certificate_status_response",
        116 => "certificate_required",
        120 => "no_application_protocol",
        _ => return format!("alert {number}"),
    };
    name.to_owned()
}
