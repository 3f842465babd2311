//! How cable messages travel over a Unix socket: two bytes of length, one byte of kind, then either
//! the raw HomePlug frame or the message as JSON.

use std::io;

use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::UnixStream;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::{MAX_FRAME, ToStation, ToVehicle};

pub(super) const WELCOME: u8 = 1;
pub(super) const REFUSED: u8 = 0;

const KIND_FRAME: u8 = 0;
const KIND_MESSAGE: u8 = 1;

/// Messages that travel on the cable.
pub(super) trait Message: Serialize + DeserializeOwned + Send + 'static {
    fn frame(&self) -> Option<&[u8]>;
    fn from_frame(frame: Vec<u8>) -> Self;
}

impl Message for ToStation {
    fn frame(&self) -> Option<&[u8]> {
        if let Self::Frame(frame) = self {
            Some(frame)
        } else {
            None
        }
    }
    fn from_frame(frame: Vec<u8>) -> Self {
        Self::Frame(frame)
    }
}

impl Message for ToVehicle {
    fn frame(&self) -> Option<&[u8]> {
        if let Self::Frame(frame) = self {
            Some(frame)
        } else {
            None
        }
    }
    fn from_frame(frame: Vec<u8>) -> Self {
        Self::Frame(frame)
    }
}

pub(super) async fn greeting(stream: &UnixStream) -> io::Result<u8> {
    loop {
        stream.readable().await?;
        let mut byte = [0];
        match stream.try_read(&mut byte) {
            Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
            Ok(_) => return Ok(byte[0]),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(error) => return Err(error),
        }
    }
}

/// Appends one message to `out`.
pub(super) fn encode<M: Message>(message: &M, out: &mut Vec<u8>) -> io::Result<()> {
    let json;
    let (kind, body) = match message.frame() {
        Some(frame) => (KIND_FRAME, frame),
        None => {
            json = serde_json::to_vec(message)?;
            (KIND_MESSAGE, json.as_slice())
        }
    };
    let length = u16::try_from(body.len()).map_err(|_| io::ErrorKind::InvalidInput)?;
    out.extend_from_slice(&length.to_be_bytes());
    out.push(kind);
    out.extend_from_slice(body);
    Ok(())
}

/// Reads one message; anything larger than a frame, of an unknown kind, or not a message is an error
/// before it is stored.
pub(super) async fn read<M: Message>(reader: &mut (impl tokio::io::AsyncRead + Unpin)) -> io::Result<M> {
    let mut header = [0; HEADER];
    reader.read_exact(&mut header).await?;
    let (length, kind) = announced(header)?;
    let mut body = vec![0; length];
    reader.read_exact(&mut body).await?;
    decode(kind, body)
}

/// Bytes before a body: its length and its kind.
pub(super) const HEADER: usize = 3;

/// Length and kind of what follows a header.
pub(super) fn announced(header: [u8; HEADER]) -> io::Result<(usize, u8)> {
    let length = usize::from(u16::from_be_bytes([header[0], header[1]]));
    if length > MAX_FRAME {
        return Err(io::ErrorKind::InvalidData.into());
    }
    Ok((length, header[2]))
}

/// The message a body holds.
pub(super) fn decode<M: Message>(kind: u8, body: Vec<u8>) -> io::Result<M> {
    match kind {
        KIND_FRAME => Ok(M::from_frame(body)),
        KIND_MESSAGE => {
            let message: M = serde_json::from_slice(&body)?;
            // A frame has its own kind; letting it in through JSON would be a second way to say it.
            if message.frame().is_some() {
                Err(io::ErrorKind::InvalidData.into())
            } else {
                Ok(message)
            }
        }
        _ => Err(io::ErrorKind::InvalidData.into()),
    }
}

/// Carries messages both ways until either side is gone or breaks the format.
pub(super) async fn pump<O: Message, I: Message>(
    stream: UnixStream,
    mut outgoing: mpsc::Receiver<O>,
    incoming: mpsc::Sender<I>,
    alive: CancellationToken,
) {
    let (read_half, mut write_half) = stream.into_split();
    let reading = async {
        let mut reader = BufReader::new(read_half);
        while let Ok(message) = read::<I>(&mut reader).await {
            if incoming.send(message).await.is_err() {
                break;
            }
        }
    };
    let writing = async {
        let mut buffer = Vec::with_capacity(512);
        while let Some(message) = outgoing.recv().await {
            buffer.clear();
            let mut encoded = encode(&message, &mut buffer);
            while encoded.is_ok()
                && buffer.len() < 16 * 1024
                && let Ok(message) = outgoing.try_recv()
            {
                encoded = encode(&message, &mut buffer);
            }
            if encoded.is_err() || write_half.write_all(&buffer).await.is_err() {
                break;
            }
        }
    };
    tokio::select! {
        () = alive.cancelled() => {}
        () = reading => {}
        () = writing => {}
    }
    // Messages already handed over stay readable; the end learns that no more will come because its
    // sender is gone.
    drop(incoming);
    outgoing.close();
}
