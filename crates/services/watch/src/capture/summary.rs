//! Figures over a whole capture.

use std::collections::BTreeMap;

use gridlatch_session::wire::Layer;
use serde_json::{Value, json};

use super::entry::{Entry, What};

/// Different kinds counted apart; a hostile capture must not grow the table.
const MAX_KINDS: usize = 512;

/// Counts.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Summary {
    /// Packets read.
    pub packets: u64,
    /// Packets cut short when they were captured.
    pub cut_packets: u64,
    /// Packets of link types this reader does not know.
    pub unknown_link: u64,
    /// IP fragments, which are not put together.
    pub fragments: u64,
    /// TCP streams.
    pub streams: u64,
    /// TCP streams that carried V2GTP.
    pub v2g_streams: u64,
    /// TCP streams that carried TLS.
    pub tls_streams: u64,
    /// TLS records, and how many of them were protected and verified.
    pub tls_records: u64,
    /// Protected records that were opened.
    pub tls_opened: u64,
    /// Bytes missing in streams.
    pub missing_bytes: u64,
    /// Messages by layer and name.
    pub messages: BTreeMap<(Layer, String), u64>,
    /// Messages of which only the envelope was read (DIN 70121); part of `messages`.
    pub envelope_only: u64,
    /// Frames that did not decode, by code and reason.
    pub undecodable: BTreeMap<String, u64>,
    /// Notices by code.
    pub notices: BTreeMap<String, u64>,
}

fn count<K: Ord>(table: &mut BTreeMap<K, u64>, key: K) {
    if table.len() < MAX_KINDS || table.contains_key(&key) {
        *table.entry(key).or_default() += 1;
    }
}

impl Summary {
    pub(super) fn note(&mut self, entry: &Entry) {
        match &entry.what {
            What::Message(message) => {
                self.envelope_only += u64::from(message.partial);
                count(&mut self.messages, (message.layer, message.name.clone()));
            }
            What::Undecodable(undecodable) => {
                count(
                    &mut self.undecodable,
                    format!("{}: {}", undecodable.code, undecodable.reason),
                );
            }
            What::Notice { code, .. } => count(&mut self.notices, code.as_str().to_owned()),
            What::Tls(_) => {}
        }
    }

    /// How many messages of a layer were read.
    #[must_use]
    pub fn layer(&self, layer: Layer) -> u64 {
        self.messages
            .iter()
            .filter(|((of, _), _)| *of == layer)
            .map(|(_, count)| count)
            .sum()
    }

    /// How many messages were read.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.messages.values().sum()
    }

    /// How many frames did not decode.
    #[must_use]
    pub fn total_undecodable(&self) -> u64 {
        self.undecodable.values().sum()
    }

    /// As JSON.
    #[must_use]
    pub fn to_json(&self) -> Value {
        let mut messages = serde_json::Map::new();
        for layer in [Layer::HomePlug, Layer::Sdp, Layer::V2gtp] {
            let of: serde_json::Map<String, Value> = self
                .messages
                .iter()
                .filter(|((found, _), _)| *found == layer)
                .map(|((_, name), count)| (name.clone(), (*count).into()))
                .collect();
            messages.insert(layer.as_str().to_owned(), of.into());
        }
        json!({
            "kind": "summary",
            "packets": self.packets,
            "cut_packets": self.cut_packets,
            "unknown_link": self.unknown_link,
            "fragments": self.fragments,
            "streams": self.streams,
            "v2g_streams": self.v2g_streams,
            "tls_streams": self.tls_streams,
            "tls_records": self.tls_records,
            "tls_opened": self.tls_opened,
            "missing_bytes": self.missing_bytes,
            "messages": messages,
            "total": self.total(),
            "envelope_only": self.envelope_only,
            "undecodable": self.undecodable,
            "notices": self.notices,
        })
    }
}
