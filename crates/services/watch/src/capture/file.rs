//! The container: pcap (both byte orders, micro- and nanoseconds) and pcapng (any number of sections
//! and interfaces, embedded TLS secrets).

use std::io::Read;

use pcap_parser::traits::{PcapNGPacketBlock, PcapReaderIterator};
use pcap_parser::{Block, PcapBlockOwned, PcapError, create_reader};

/// Largest block of a file, in bytes. A V2G link has Ethernet frames; jumbo captures stay far below.
pub const MAX_PACKET: usize = 16 * 1024 * 1024;

/// Interfaces remembered per section.
const MAX_INTERFACES: usize = 1024;

/// What the reader starts with; it grows to [`MAX_PACKET`] when a block needs it.
const BUFFER: usize = 256 * 1024;

/// Why a capture could not be read (further).
#[derive(Debug, thiserror::Error)]
pub enum CaptureError {
    /// The first bytes are neither pcap nor pcapng.
    #[error("not a pcap or pcapng file")]
    NotACapture,
    /// The file has no bytes.
    #[error("the file is empty")]
    Empty,
    /// The file ends in the middle of a packet.
    #[error("the file breaks off in the middle of packet {after}")]
    Truncated {
        /// The number of the packet that is not whole.
        after: u64,
    },
    /// A block is larger than [`MAX_PACKET`] or its lengths contradict each other.
    #[error("the file is damaged after packet {after}: {detail}")]
    Damaged {
        /// How many packets were whole.
        after: u64,
        /// What the parser said.
        detail: String,
    },
    /// The operating system could not read.
    #[error("reading failed after packet {after}")]
    Io {
        /// How many packets were whole.
        after: u64,
    },
}

/// One captured frame.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Packet {
    /// 1 for the first packet of the file.
    pub number: u64,
    /// Nanoseconds since 1970.
    pub time: i128,
    /// Link type of the interface (`LINKTYPE_*`).
    pub link: i32,
    /// The bytes that were kept.
    pub data: Vec<u8>,
    /// Whether the frame was longer on the wire.
    pub cut: bool,
}

/// What a file holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Item {
    /// A frame.
    Packet(Packet),
    /// A TLS key log embedded in a pcapng file.
    Secrets(String),
}

#[derive(Clone, Copy)]
struct Interface {
    link: i32,
    /// Ticks per second.
    resolution: u64,
    /// Seconds to add.
    offset: i64,
}

/// Reads a file block by block.
pub struct Packets<'r> {
    reader: Box<dyn PcapReaderIterator + Send + 'r>,
    interfaces: Vec<Interface>,
    nanoseconds: bool,
    number: u64,
    size: usize,
}

/// What one block of the file means to us.
enum Read1 {
    Item(Item),
    Interface(Interface),
    Section,
    Header { link: i32, nanoseconds: bool },
    Skip,
}

impl<'r> Packets<'r> {
    /// Recognises the format.
    ///
    /// # Errors
    /// [`CaptureError::NotACapture`], [`CaptureError::Empty`].
    pub fn new(file: impl Read + Send + 'r) -> Result<Self, CaptureError> {
        let reader = create_reader(BUFFER, Whole(file)).map_err(|error| match error {
            PcapError::Eof => CaptureError::Empty,
            PcapError::ReadError => CaptureError::Io { after: 0 },
            _ => CaptureError::NotACapture,
        })?;
        Ok(Self {
            reader,
            interfaces: Vec::new(),
            nanoseconds: false,
            number: 0,
            size: BUFFER,
        })
    }

    /// The next frame or secret; `None` at the end.
    ///
    /// # Errors
    /// Any [`CaptureError`]; the reader is of no use afterwards.
    pub fn next_item(&mut self) -> Result<Option<Item>, CaptureError> {
        loop {
            let (number, nanoseconds) = (self.number + 1, self.nanoseconds);
            let (consumed, read) = match self.reader.next() {
                Ok((consumed, block)) => (consumed, interpret(&block, &self.interfaces, number, nanoseconds)),
                Err(PcapError::Eof) => return Ok(None),
                Err(PcapError::Incomplete(_)) => {
                    let before = self.reader.data().len();
                    self.reader
                        .refill()
                        .map_err(|_| CaptureError::Io { after: number - 1 })?;
                    // A full buffer refills with nothing: without this the loop would never end.
                    if self.reader.data().len() == before && !self.reader.reader_exhausted() {
                        self.grow(number)?;
                    }
                    continue;
                }
                Err(PcapError::BufferTooSmall) => {
                    self.grow(number)?;
                    continue;
                }
                Err(PcapError::UnexpectedEof) => return Err(CaptureError::Truncated { after: number }),
                Err(error) => return Err(damaged(number, &describe(&error))),
            };
            self.reader.consume(consumed);
            match read {
                Read1::Item(item) => {
                    if matches!(item, Item::Packet(_)) {
                        self.number = number;
                    }
                    return Ok(Some(item));
                }
                Read1::Interface(interface) if self.interfaces.len() < MAX_INTERFACES => {
                    self.interfaces.push(interface)
                }
                Read1::Interface(_) => return Err(damaged(number, "too many interfaces")),
                Read1::Section => self.interfaces.clear(),
                Read1::Header { link, nanoseconds } => {
                    self.nanoseconds = nanoseconds;
                    self.interfaces = vec![Interface {
                        link,
                        resolution: 0,
                        offset: 0,
                    }];
                }
                Read1::Skip => {}
            }
        }
    }

    fn grow(&mut self, number: u64) -> Result<(), CaptureError> {
        self.size *= 2;
        if self.size > 2 * MAX_PACKET || !self.reader.grow(self.size) {
            return Err(damaged(
                number,
                &format!("a packet of more than {MAX_PACKET} bytes"),
            ));
        }
        self.reader
            .refill()
            .map_err(|_| CaptureError::Io { after: number - 1 })
    }
}

/// Fills each request as far as the file goes: a pipe delivers in small pieces, and the format is
/// recognised from the first read.
struct Whole<R>(R);

impl<R: Read> Read for Whole<R> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let mut filled = 0;
        while filled < buffer.len() {
            match self.0.read(&mut buffer[filled..]) {
                Ok(0) => break,
                Ok(count) => filled += count,
                Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
                Err(error) if filled == 0 => return Err(error),
                Err(_) => break,
            }
        }
        Ok(filled)
    }
}

fn damaged(number: u64, detail: &str) -> CaptureError {
    CaptureError::Damaged {
        after: number - 1,
        detail: detail.to_owned(),
    }
}

fn describe(error: &PcapError<&[u8]>) -> String {
    match error {
        PcapError::NomError(_, kind) | PcapError::OwnedNomError(_, kind) => {
            format!("a block does not parse ({kind:?})")
        }
        PcapError::HeaderNotRecognized => "a header does not parse".to_owned(),
        _ => "a block does not parse".to_owned(),
    }
}

fn interpret(block: &PcapBlockOwned<'_>, interfaces: &[Interface], number: u64, nanoseconds: bool) -> Read1 {
    match block {
        PcapBlockOwned::LegacyHeader(header) => Read1::Header {
            link: header.network.0 & 0xFFFF,
            nanoseconds: header.is_nanosecond_precision(),
        },
        PcapBlockOwned::Legacy(frame) => {
            let unit = if nanoseconds { 1 } else { 1000 };
            Read1::Item(Item::Packet(Packet {
                number,
                time: i128::from(frame.ts_sec) * 1_000_000_000 + i128::from(frame.ts_usec) * unit,
                link: interfaces.first().map_or(-1, |interface| interface.link),
                data: frame.data.to_vec(),
                cut: frame.caplen < frame.origlen,
            }))
        }
        PcapBlockOwned::NG(Block::SectionHeader(_)) => Read1::Section,
        PcapBlockOwned::NG(Block::InterfaceDescription(description)) => Read1::Interface(Interface {
            link: description.linktype.0,
            resolution: description.ts_resolution().unwrap_or(1_000_000).max(1),
            offset: description.ts_offset(),
        }),
        PcapBlockOwned::NG(Block::EnhancedPacket(packet)) => {
            let interface = usize::try_from(packet.if_id)
                .ok()
                .and_then(|id| interfaces.get(id));
            let Some(interface) = interface else {
                return Read1::Skip;
            };
            let ticks = i128::from(packet.ts_high) << 32 | i128::from(packet.ts_low);
            let time = ticks * 1_000_000_000 / i128::from(interface.resolution)
                + i128::from(interface.offset) * 1_000_000_000;
            Read1::Item(Item::Packet(Packet {
                number,
                time,
                link: interface.link,
                data: packet.packet_data().to_vec(),
                cut: packet.caplen < packet.origlen,
            }))
        }
        PcapBlockOwned::NG(Block::SimplePacket(packet)) => {
            let Some(interface) = interfaces.first() else {
                return Read1::Skip;
            };
            Read1::Item(Item::Packet(Packet {
                number,
                time: 0,
                link: interface.link,
                data: packet.packet_data().to_vec(),
                cut: packet.packet_data().len() < packet.origlen as usize,
            }))
        }
        PcapBlockOwned::NG(Block::DecryptionSecrets(secrets)) => {
            let length = (secrets.secrets_len as usize).min(secrets.data.len());
            match std::str::from_utf8(&secrets.data[..length]) {
                Ok(text) => Read1::Item(Item::Secrets(text.to_owned())),
                Err(_) => Read1::Skip,
            }
        }
        PcapBlockOwned::NG(_) => Read1::Skip,
    }
}
