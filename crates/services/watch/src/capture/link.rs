//! Link layer, IP and transport headers, as far as V2G needs them. Nothing here allocates except the
//! rebuilt header of a tagged HomePlug frame.

use std::borrow::Cow;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

const HOMEPLUG: u16 = 0x88E1;

/// One frame, as far as it concerns V2G.
#[derive(Debug, PartialEq)]
pub(super) enum Parsed<'a> {
    /// A HomePlug management frame with a plain Ethernet header.
    HomePlug(Cow<'a, [u8]>),
    /// A UDP datagram.
    Udp(Datagram<'a>),
    /// A TCP segment.
    Tcp(Segment<'a>),
    /// An IP fragment (V2G never fragments; not reassembled).
    Fragment,
    /// Anything else, including what is too short to tell.
    Other,
    /// A link type this reader does not know.
    UnknownLink,
}

/// Where a transport unit comes from and goes to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Endpoint {
    pub(super) address: IpAddr,
    pub(super) port: u16,
}

impl std::fmt::Display for Endpoint {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.address {
            IpAddr::V4(address) => write!(f, "{address}:{}", self.port),
            IpAddr::V6(address) => write!(f, "[{address}]:{}", self.port),
        }
    }
}

/// A UDP datagram.
#[derive(Debug, PartialEq)]
pub(super) struct Datagram<'a> {
    pub(super) source: Endpoint,
    pub(super) destination: Endpoint,
    pub(super) payload: &'a [u8],
}

/// A TCP segment.
#[derive(Debug, PartialEq)]
pub(super) struct Segment<'a> {
    pub(super) source: Endpoint,
    pub(super) destination: Endpoint,
    pub(super) sequence: u32,
    pub(super) acknowledges: Option<u32>,
    pub(super) syn: bool,
    pub(super) fin: bool,
    pub(super) reset: bool,
    pub(super) payload: &'a [u8],
}

fn be16(bytes: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_be_bytes([*bytes.get(at)?, *bytes.get(at + 1)?]))
}

fn be32(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_be_bytes(bytes.get(at..at + 4)?.try_into().ok()?))
}

/// Parses one frame of the link type `link` (`LINKTYPE_*`).
pub(super) fn parse(link: i32, frame: &[u8]) -> Parsed<'_> {
    let parsed = match link {
        1 => ethernet(frame),
        101 | 228 | 229 => ip(frame),
        0 | 108 => frame.get(4..).and_then(ip),
        113 => be16(frame, 14).and_then(|kind| cooked(kind, frame.get(6..12)?, frame.get(16..)?)),
        276 => be16(frame, 0).and_then(|kind| cooked(kind, frame.get(12..18)?, frame.get(20..)?)),
        _ => return Parsed::UnknownLink,
    };
    parsed.unwrap_or(Parsed::Other)
}

/// Steps over VLAN tags; at most two are allowed (802.1ad).
fn untag(mut kind: u16, mut payload: &[u8]) -> Option<(u16, &[u8])> {
    for _ in 0..2 {
        if matches!(kind, 0x8100 | 0x88A8 | 0x9100) {
            kind = be16(payload, 2)?;
            payload = payload.get(4..)?;
        }
    }
    Some((kind, payload))
}

fn ethernet(frame: &[u8]) -> Option<Parsed<'_>> {
    let (kind, payload) = untag(be16(frame, 12)?, frame.get(14..)?)?;
    match kind {
        HOMEPLUG if payload.len() + 14 == frame.len() => Some(Parsed::HomePlug(Cow::Borrowed(frame))),
        HOMEPLUG => Some(Parsed::HomePlug(Cow::Owned(rebuild(
            &frame[..6],
            &frame[6..12],
            payload,
        )))),
        0x0800 | 0x86DD => ip(payload),
        _ => None,
    }
}

fn cooked<'a>(kind: u16, sender: &[u8], payload: &'a [u8]) -> Option<Parsed<'a>> {
    let (kind, payload) = untag(kind, payload)?;
    match kind {
        // A cooked capture has lost the destination.
        HOMEPLUG => Some(Parsed::HomePlug(Cow::Owned(rebuild(&[0; 6], sender, payload)))),
        0x0800 | 0x86DD => ip(payload),
        _ => None,
    }
}

fn rebuild(destination: &[u8], source: &[u8], payload: &[u8]) -> Vec<u8> {
    [destination, source, &HOMEPLUG.to_be_bytes(), payload].concat()
}

fn ip(packet: &[u8]) -> Option<Parsed<'_>> {
    match packet.first()? >> 4 {
        4 => ipv4(packet),
        6 => ipv6(packet),
        _ => None,
    }
}

fn ipv4(packet: &[u8]) -> Option<Parsed<'_>> {
    let header = usize::from(packet[0] & 0xF) * 4;
    let total = usize::from(be16(packet, 2)?);
    let address = |at: usize| -> Option<IpAddr> {
        Some(IpAddr::V4(Ipv4Addr::from(
            <[u8; 4]>::try_from(packet.get(at..at + 4)?).ok()?,
        )))
    };
    let (source, destination) = (address(12)?, address(16)?);
    // A length of zero is what segmentation offload leaves behind.
    let end = if total == 0 {
        packet.len()
    } else {
        total.min(packet.len())
    };
    if header < 20 || header > end {
        return None;
    }
    if be16(packet, 6)? & 0x3FFF != 0 {
        return Some(Parsed::Fragment);
    }
    transport(packet[9], source, destination, &packet[header..end])
}

fn ipv6(packet: &[u8]) -> Option<Parsed<'_>> {
    let address = |at: usize| -> Option<IpAddr> {
        Some(IpAddr::V6(Ipv6Addr::from(
            <[u8; 16]>::try_from(packet.get(at..at + 16)?).ok()?,
        )))
    };
    let (source, destination) = (address(8)?, address(24)?);
    let length = usize::from(be16(packet, 4)?);
    let end = if length == 0 {
        packet.len()
    } else {
        (40 + length).min(packet.len())
    };
    let mut payload = packet.get(40..end)?;
    let mut next = packet[6];
    // RFC 8200 clause 4.1 has each extension header at most once; a chain of eight is refused.
    for _ in 0..8 {
        match next {
            0 | 43 | 60 | 135 => {
                let size = (usize::from(*payload.get(1)?) + 1) * 8;
                next = payload[0];
                payload = payload.get(size..)?;
            }
            51 => {
                let size = (usize::from(*payload.get(1)?) + 2) * 4;
                next = payload[0];
                payload = payload.get(size..)?;
            }
            44 => {
                // An atomic fragment (RFC 6946) is whole.
                if be16(payload, 2)? & 0xFFF9 != 0 {
                    return Some(Parsed::Fragment);
                }
                next = payload[0];
                payload = payload.get(8..)?;
            }
            _ => return transport(next, source, destination, payload),
        }
    }
    None
}

fn transport(protocol: u8, source: IpAddr, destination: IpAddr, payload: &[u8]) -> Option<Parsed<'_>> {
    let source = Endpoint {
        address: source,
        port: be16(payload, 0)?,
    };
    let destination = Endpoint {
        address: destination,
        port: be16(payload, 2)?,
    };
    match protocol {
        17 => {
            let length = usize::from(be16(payload, 4)?).clamp(8, payload.len().max(8));
            Some(Parsed::Udp(Datagram {
                source,
                destination,
                payload: payload.get(8..length)?,
            }))
        }
        6 => {
            let header = usize::from(payload.get(12)? >> 4) * 4;
            let flags = *payload.get(13)?;
            if header < 20 {
                return None;
            }
            Some(Parsed::Tcp(Segment {
                source,
                destination,
                sequence: be32(payload, 4)?,
                acknowledges: if flags & 0x10 != 0 { be32(payload, 8) } else { None },
                syn: flags & 0x02 != 0,
                fin: flags & 0x01 != 0,
                reset: flags & 0x04 != 0,
                payload: payload.get(header..)?,
            }))
        }
        _ => None,
    }
}
