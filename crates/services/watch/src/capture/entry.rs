//! One line of the story a capture tells.

use gridlatch_session::wire::{Described, Undecodable};
use gridlatch_vocab::catalogue::Code;
use serde_json::{Map, Value, json};

/// What the two sides of a TLS connection showed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TlsHandshake {
    /// The client's opening.
    ClientHello {
        /// Names the line of a key log.
        client_random: String,
        /// Server name indication.
        server_name: Option<String>,
        /// The suites offered.
        suites: Vec<String>,
    },
    /// The server's choice.
    ServerHello {
        /// `TLSv1.2` or `TLSv1.3`.
        version: &'static str,
        /// The suite's name.
        suite: String,
    },
    /// A certificate chain, leaf first.
    Certificates(Vec<String>),
    /// An alert.
    Alert {
        /// `warning` or `fatal`.
        level: &'static str,
        /// Its name.
        description: String,
    },
}

/// What was seen.
#[derive(Debug, Clone, PartialEq)]
pub enum What {
    /// A message.
    Message(Box<Described>),
    /// A frame that is no message we can read.
    Undecodable(Box<Undecodable>),
    /// A step of a TLS handshake.
    Tls(TlsHandshake),
    /// Something to know about the capture itself.
    Notice {
        /// The row of the catalogue.
        code: Code,
        /// In words.
        text: String,
    },
}

/// One thing seen, with when and between whom.
#[derive(Debug, Clone, PartialEq)]
pub struct Entry {
    /// Nanoseconds since the first packet of the capture.
    pub since_start: i128,
    /// Nanoseconds since 1970.
    pub time: i128,
    /// The packet that completed it, 1 for the first of the file.
    pub packet: u64,
    /// The TCP stream, 0 for the first.
    pub stream: Option<u32>,
    /// Who sent it.
    pub source: String,
    /// To whom.
    pub destination: String,
    /// Whether it goes from the vehicle (the TCP client, the asking side) to the station.
    pub from_vehicle: bool,
    /// Whether it travelled inside TLS.
    pub tls: bool,
    /// What it is.
    pub what: What,
}

impl Entry {
    /// Everything as one JSON object.
    #[must_use]
    pub fn to_json(&self) -> Value {
        let mut object = Map::new();
        // Seconds with nine digits, exactly.
        object.insert("time".into(), json!(self.since_start as f64 / 1e9));
        object.insert("packet".into(), self.packet.into());
        if let Some(stream) = self.stream {
            object.insert("stream".into(), stream.into());
        }
        object.insert("source".into(), self.source.as_str().into());
        object.insert("destination".into(), self.destination.as_str().into());
        object.insert("from_vehicle".into(), self.from_vehicle.into());
        object.insert("tls".into(), self.tls.into());
        let (kind, body) = match &self.what {
            What::Message(message) => ("message", message.to_json()),
            What::Undecodable(undecodable) => ("undecodable", undecodable.to_json()),
            What::Tls(step) => ("tls", step.to_json()),
            What::Notice { code, text } => ("notice", json!({ "code": code.as_str(), "text": text })),
        };
        object.insert("kind".into(), kind.into());
        if let Value::Object(body) = body {
            object.extend(body);
        }
        Value::Object(object)
    }
}

impl TlsHandshake {
    /// The name of the step.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self {
            Self::ClientHello { .. } => "TLS ClientHello",
            Self::ServerHello { .. } => "TLS ServerHello",
            Self::Certificates(_) => "TLS Certificate",
            Self::Alert { .. } => "TLS Alert",
        }
    }

    /// What matters of it on one line.
    #[must_use]
    pub fn summary(&self) -> String {
        match self {
            Self::ClientHello {
                client_random,
                server_name,
                suites,
            } => {
                let name = server_name
                    .as_deref()
                    .map_or_else(String::new, |name| format!("sni={} ", name.escape_debug()));
                format!(
                    "{name}random={}... suites={}",
                    &client_random[..16.min(client_random.len())],
                    suites.join(",")
                )
            }
            Self::ServerHello { version, suite } => format!("{version} {suite}"),
            Self::Certificates(chain) if chain.is_empty() => "no certificate".to_owned(),
            Self::Certificates(chain) => chain.join("; "),
            Self::Alert { level, description } => format!("{level} {description}"),
        }
    }

    fn to_json(&self) -> Value {
        let mut value = match self {
            Self::ClientHello {
                client_random,
                server_name,
                suites,
            } => {
                json!({ "client_random": client_random, "server_name": server_name, "suites": suites })
            }
            Self::ServerHello { version, suite } => json!({ "version": version, "suite": suite }),
            Self::Certificates(chain) => json!({ "chain": chain }),
            Self::Alert { level, description } => json!({ "level": level, "description": description }),
        };
        value["name"] = self.name().into();
        value
    }
}
