//! The key log format of NSS (`SSLKEYLOGFILE`): one secret per line, found by client random.

use std::collections::HashMap;

/// Connections one key log may describe; later ones are ignored.
const MAX_CONNECTIONS: usize = 100_000;

/// Longest secret: SHA-512 size.
const MAX_SECRET: usize = 64;

/// The secrets of one connection.
#[derive(Clone, Default)]
pub(crate) struct Secrets {
    /// TLS 1.2 master secret.
    pub(crate) master: Option<Vec<u8>>,
    /// TLS 1.3 handshake traffic secrets: client, server.
    pub(crate) handshake: [Option<Vec<u8>>; 2],
    /// TLS 1.3 first application traffic secrets: client, server.
    pub(crate) traffic: [Option<Vec<u8>>; 2],
}

/// Secrets by client random.
#[derive(Clone, Default)]
pub struct KeyLog {
    connections: HashMap<[u8; 32], Secrets>,
    ignored: usize,
}

impl std::fmt::Debug for KeyLog {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "KeyLog({} connections)", self.connections.len())
    }
}

/// Hex into bytes, at most `limit` of them.
fn unhex(text: &str, limit: usize) -> Option<Vec<u8>> {
    if text.len() > limit * 2 {
        return None;
    }
    hex::decode(text).ok()
}

impl KeyLog {
    /// Reads a key log. Comments, other labels and damaged lines are skipped and counted.
    #[must_use]
    pub fn parse(text: &str) -> Self {
        let mut log = Self::default();
        log.add(text);
        log
    }

    /// Adds the lines of another key log.
    pub fn add(&mut self, text: &str) {
        for line in text.lines().map(str::trim) {
            if !line.is_empty() && !line.starts_with('#') && self.add_line(line).is_none() {
                self.ignored += 1;
            }
        }
    }

    fn add_line(&mut self, line: &str) -> Option<()> {
        let mut words = line.split_ascii_whitespace();
        let label = words.next()?;
        let random = <[u8; 32]>::try_from(unhex(words.next()?, 32)?).ok()?;
        let secret = unhex(words.next()?, MAX_SECRET)?;
        if words.next().is_some() {
            return None;
        }
        if self.connections.len() >= MAX_CONNECTIONS && !self.connections.contains_key(&random) {
            return None;
        }
        let secrets = self.connections.entry(random).or_default();
        let slot = match label {
            "CLIENT_RANDOM" => &mut secrets.master,
            "CLIENT_HANDSHAKE_TRAFFIC_SECRET" => &mut secrets.handshake[0],
            "SERVER_HANDSHAKE_TRAFFIC_SECRET" => &mut secrets.handshake[1],
            "CLIENT_TRAFFIC_SECRET_0" => &mut secrets.traffic[0],
            "SERVER_TRAFFIC_SECRET_0" => &mut secrets.traffic[1],
            "EXPORTER_SECRET" | "EARLY_EXPORTER_SECRET" | "CLIENT_EARLY_TRAFFIC_SECRET" => return Some(()),
            _ => return None,
        };
        *slot = Some(secret);
        Some(())
    }

    /// How many connections it describes.
    #[must_use]
    pub fn len(&self) -> usize {
        self.connections.len()
    }

    /// Whether it describes none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.connections.is_empty()
    }

    /// How many lines meant nothing.
    #[must_use]
    pub fn ignored(&self) -> usize {
        self.ignored
    }

    pub(crate) fn find(&self, client_random: &[u8; 32]) -> Option<&Secrets> {
        self.connections.get(client_random)
    }
}
