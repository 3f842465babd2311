//! The whole reader, packet by packet.

use std::collections::{BTreeSet, HashMap};

use gridlatch_session::wire::{Tree, describe_homeplug, describe_sdp};

use super::entry::{Entry, What};
use super::file::Packet;
use super::link::{self, Datagram, Endpoint, Parsed, Segment};
use super::stream::{Seen, Stream};
use super::summary::Summary;
use super::tcp::{Half, Piece};
use crate::tls::KeyLog;

/// TCP streams followed at a time.
pub const MAX_STREAMS: usize = 1024;

/// Ports and vehicles remembered.
const MAX_REMEMBERED: usize = 4096;

/// UDP port of discovery (ISO 15118-2 clause 7.10.1.2).
const SDP_PORT: u16 = 15118;

/// A TCP connection; endpoint 0 is the client.
struct Flow {
    number: u32,
    ends: [Endpoint; 2],
    halves: [Half; 2],
    stream: Stream,
    last_packet: u64,
}

/// When and where something was seen.
#[derive(Clone, Copy, Default)]
struct At {
    packet: u64,
    time: i128,
}

/// Reads packets, tells entries.
pub struct Analyzer {
    keys: KeyLog,
    flows: HashMap<(Endpoint, Endpoint), Flow>,
    next_stream: u32,
    announced: BTreeSet<u16>,
    vehicles: BTreeSet<[u8; 6]>,
    first: Option<i128>,
    last: At,
    summary: Summary,
}

/// The same key for both directions.
fn key(a: Endpoint, b: Endpoint) -> (Endpoint, Endpoint) {
    if a <= b { (a, b) } else { (b, a) }
}

impl Analyzer {
    /// Starts with these TLS secrets; a capture may bring more.
    #[must_use]
    pub fn new(keys: KeyLog) -> Self {
        Self {
            keys,
            flows: HashMap::new(),
            next_stream: 0,
            announced: BTreeSet::new(),
            vehicles: BTreeSet::new(),
            first: None,
            last: At::default(),
            summary: Summary::default(),
        }
    }

    /// Adds TLS secrets.
    pub fn add_keys(&mut self, text: &str) {
        self.keys.add(text);
    }

    /// Takes one packet.
    pub fn packet(&mut self, packet: &Packet, sink: &mut dyn FnMut(Entry)) {
        self.summary.packets += 1;
        self.summary.cut_packets += u64::from(packet.cut);
        self.first.get_or_insert(packet.time);
        self.last = At {
            packet: packet.number,
            time: packet.time,
        };
        match link::parse(packet.link, &packet.data) {
            Parsed::HomePlug(frame) => self.homeplug(&frame, sink),
            Parsed::Udp(datagram) => self.udp(&datagram, sink),
            Parsed::Tcp(segment) => self.tcp(&segment, sink),
            Parsed::Fragment => self.summary.fragments += 1,
            Parsed::UnknownLink => self.summary.unknown_link += 1,
            Parsed::Other => {}
        }
    }

    /// Ends the capture: what still waits is told, and the figures come back.
    pub fn finish(mut self, sink: &mut dyn FnMut(Entry)) -> Summary {
        let mut flows: Vec<Flow> = self.flows.drain().map(|(_, flow)| flow).collect();
        flows.sort_by_key(|flow| flow.number);
        for flow in flows {
            self.close(flow, sink);
        }
        self.summary
    }

    fn tell(&mut self, entry: Entry, sink: &mut dyn FnMut(Entry)) {
        self.summary.note(&entry);
        sink(entry);
    }

    fn entry(&self, source: String, destination: String, from_vehicle: bool, what: What) -> Entry {
        Entry {
            since_start: self.last.time - self.first.unwrap_or(self.last.time),
            time: self.last.time,
            packet: self.last.packet,
            stream: None,
            source,
            destination,
            from_vehicle,
            tls: false,
            what,
        }
    }

    fn homeplug(&mut self, frame: &[u8], sink: &mut dyn FnMut(Entry)) {
        let mac = |at: usize| -> [u8; 6] {
            frame
                .get(at..at + 6)
                .and_then(|bytes| bytes.try_into().ok())
                .unwrap_or_default()
        };
        let (destination, source) = (mac(0), mac(6));
        let what = match describe_homeplug(frame) {
            Ok(described) => {
                // Only a vehicle starts matching (ISO 15118-3 clause A.9).
                if described.name == "CM_SLAC_PARM.REQ" && self.vehicles.len() < MAX_REMEMBERED {
                    self.vehicles.insert(source);
                }
                What::Message(Box::new(described))
            }
            Err(undecodable) => What::Undecodable(Box::new(undecodable)),
        };
        let text = |mac: [u8; 6]| mac.map(|byte| format!("{byte:02x}")).join(":");
        let entry = self.entry(
            text(source),
            text(destination),
            self.vehicles.contains(&source),
            what,
        );
        self.tell(entry, sink);
    }

    fn udp(&mut self, datagram: &Datagram<'_>, sink: &mut dyn FnMut(Entry)) {
        if datagram.source.port != SDP_PORT && datagram.destination.port != SDP_PORT {
            return;
        }
        let asks = datagram.destination.port == SDP_PORT;
        let what = match describe_sdp(datagram.payload) {
            Ok(described) => {
                if let Some(Tree::Int(port)) = described.fields.get("port")
                    && let (Ok(port), true) = (u16::try_from(*port), self.announced.len() < MAX_REMEMBERED)
                {
                    self.announced.insert(port);
                }
                What::Message(Box::new(described))
            }
            Err(undecodable) => What::Undecodable(Box::new(undecodable)),
        };
        let entry = self.entry(
            datagram.source.to_string(),
            datagram.destination.to_string(),
            asks,
            what,
        );
        self.tell(entry, sink);
    }

    fn tcp(&mut self, segment: &Segment<'_>, sink: &mut dyn FnMut(Entry)) {
        let key = key(segment.source, segment.destination);
        let opens = segment.syn && segment.acknowledges.is_none();
        let stale = opens
            && self.flows.get(&key).is_some_and(|flow| {
                let direction = usize::from(segment.source != flow.ends[0]);
                flow.halves[direction].is_other(segment.sequence) || flow.halves.iter().any(Half::is_finished)
            });
        if stale && let Some(flow) = self.flows.remove(&key) {
            self.close(flow, sink);
        }
        if !self.flows.contains_key(&key) {
            if segment.payload.is_empty() && !segment.syn {
                return;
            }
            self.make_room(sink);
            let flow = self.open(segment);
            self.flows.insert(key, flow);
        }
        // Taken out while it works, so that telling may borrow the rest.
        let Some(mut flow) = self.flows.remove(&key) else {
            return;
        };
        let direction = usize::from(segment.source != flow.ends[0]);
        flow.last_packet = self.last.packet;
        if segment.syn {
            flow.halves[direction].open(segment.sequence);
        }
        if let Some(acknowledges) = segment.acknowledges {
            let pieces = flow.halves[1 - direction].acknowledged(acknowledges);
            self.pieces(&mut flow, 1 - direction, pieces, sink);
        }
        let pieces = flow.halves[direction].push(
            segment.sequence.wrapping_add(u32::from(segment.syn)),
            segment.payload,
        );
        self.pieces(&mut flow, direction, pieces, sink);
        if segment.fin || segment.reset {
            flow.halves[direction].finish();
        }
        if segment.reset {
            self.close(flow, sink);
        } else {
            self.flows.insert(key, flow);
        }
    }

    /// A new flow; who is the client is told by the SYN, by discovery, or guessed as who spoke first.
    fn open(&mut self, segment: &Segment<'_>) -> Flow {
        let from_server = if segment.syn {
            segment.acknowledges.is_some()
        } else {
            self.announced.contains(&segment.source.port)
                && !self.announced.contains(&segment.destination.port)
        };
        let ends = if from_server {
            [segment.destination, segment.source]
        } else {
            [segment.source, segment.destination]
        };
        let number = self.next_stream;
        self.next_stream += 1;
        self.summary.streams += 1;
        Flow {
            number,
            ends,
            halves: [Half::default(), Half::default()],
            stream: Stream::new(self.announced.contains(&ends[1].port)),
            last_packet: self.last.packet,
        }
    }

    /// Closes the stream that was silent longest when there are too many.
    fn make_room(&mut self, sink: &mut dyn FnMut(Entry)) {
        if self.flows.len() < MAX_STREAMS {
            return;
        }
        let oldest = self
            .flows
            .iter()
            .min_by_key(|(_, flow)| flow.last_packet)
            .map(|(key, _)| *key);
        if let Some(flow) = oldest.and_then(|key| self.flows.remove(&key)) {
            self.close(flow, sink);
        }
    }

    fn pieces(&mut self, flow: &mut Flow, direction: usize, pieces: Vec<Piece>, sink: &mut dyn FnMut(Entry)) {
        for piece in pieces {
            let mut seen: Vec<Seen> = Vec::new();
            match piece {
                Piece::Data(bytes) => flow
                    .stream
                    .push(direction, &bytes, &self.keys, &mut |one| seen.push(one)),
                Piece::Gap(bytes) => {
                    let before = seen.len();
                    flow.stream.gap(direction, bytes, &mut |one| seen.push(one));
                    if seen.len() > before {
                        self.summary.missing_bytes += bytes;
                    }
                }
            }
            self.report(flow, seen, sink);
        }
    }

    fn report(&mut self, flow: &Flow, seen: Vec<Seen>, sink: &mut dyn FnMut(Entry)) {
        for (direction, tls, what) in seen {
            let (from, to) = (flow.ends[direction], flow.ends[1 - direction]);
            let mut entry = self.entry(from.to_string(), to.to_string(), direction == 0, what);
            entry.stream = Some(flow.number);
            entry.tls = tls;
            self.tell(entry, sink);
        }
    }

    fn close(&mut self, mut flow: Flow, sink: &mut dyn FnMut(Entry)) {
        for direction in 0..2 {
            loop {
                let pieces = flow.halves[direction].give_up();
                if pieces.is_empty() {
                    break;
                }
                self.pieces(&mut flow, direction, pieces, sink);
            }
        }
        let mut seen = Vec::new();
        flow.stream.end(&mut |one| seen.push(one));
        self.report(&flow, seen, sink);
        let (records, opened) = flow.stream.tls_counts();
        self.summary.tls_records += records;
        self.summary.tls_opened += opened;
        self.summary.v2g_streams += u64::from(flow.stream.is_v2g());
        self.summary.tls_streams += u64::from(flow.stream.is_tls());
    }
}
