//! A stream encrypted under a passphrase: for backups that leave the machine.
//!
//! scrypt makes the key; AES-256-GCM seals chunks of 64 KiB, each with its number and whether it is the
//! last in the nonce, so that chunks cannot be swapped, repeated or cut off (the STREAM construction).
//! Layout: `GLARCH01`, log2 of scrypt's N, 16 octets of salt, 7 of nonce; then the chunks, each followed by
//! its tag of 16 octets. The header is authenticated with every chunk.

use std::io::{self, Read, Write};

use openssl::pkcs5::scrypt;
use openssl::rand::rand_bytes;
use openssl::symm::{Cipher, decrypt_aead, encrypt_aead};
use thiserror::Error;

const MAGIC: &[u8; 8] = b"GLARCH01";
const CHUNK: usize = 64 * 1024;
const TAG: usize = 16;
const HEADER: usize = 8 + 1 + 16 + 7;
/// scrypt's cost as written: 64 MiB of memory, a fifth of a second. Tests open many archives.
const LOG_N: u8 = if cfg!(test) { 10 } else { 16 };
/// The highest cost that is read: 256 MiB.
const MAX_LOG_N: u8 = 18;

/// An encrypted stream cannot be made or read.
#[derive(Debug, Error)]
pub enum ArchiveError {
    /// Not such a stream at all.
    #[error("this is no encrypted archive of this program")]
    Foreign,
    /// The first chunk does not open.
    #[error("the passphrase does not open the archive")]
    Passphrase,
    /// A later chunk does not open, or the end is missing.
    #[error("the archive was altered or cut short")]
    Damaged,
    /// OpenSSL failed.
    #[error("cannot encrypt or decrypt")]
    Crypto(#[source] openssl::error::ErrorStack),
    /// The file system failed.
    #[error("cannot read or write the archive")]
    Io(#[source] io::Error),
}

impl From<ArchiveError> for io::Error {
    fn from(error: ArchiveError) -> Self {
        match error {
            ArchiveError::Io(error) => error,
            other => Self::other(other),
        }
    }
}

/// The archive error inside an I/O error, where there is one.
#[must_use]
pub fn archive_error(error: &io::Error) -> Option<&ArchiveError> {
    error.get_ref().and_then(|inner| inner.downcast_ref())
}

struct Keys {
    key: [u8; 32],
    header: [u8; HEADER],
    number: u32,
}

impl Keys {
    fn derive(passphrase: &[u8], header: [u8; HEADER]) -> Result<Self, ArchiveError> {
        let mut key = [0; 32];
        let salt = header.get(9..25).unwrap_or_default();
        let log_n = header[8];
        if !(10..=MAX_LOG_N).contains(&log_n) {
            return Err(ArchiveError::Foreign);
        }
        let n = 1_u64 << log_n;
        scrypt(passphrase, salt, n, 8, 1, 2 * 128 * 8 * n, &mut key).map_err(ArchiveError::Crypto)?;
        Ok(Self {
            key,
            header,
            number: 0,
        })
    }

    fn nonce(&mut self, last: bool) -> Result<[u8; 12], ArchiveError> {
        let mut nonce = [0; 12];
        nonce[..7].copy_from_slice(&self.header[25..]);
        nonce[7..11].copy_from_slice(&self.number.to_be_bytes());
        nonce[11] = u8::from(last);
        // 2^32 chunks are 256 TiB.
        self.number = self.number.checked_add(1).ok_or(ArchiveError::Damaged)?;
        Ok(nonce)
    }
}

/// Encrypts what is written to it. Nothing of it can be read back without [`Self::finish`].
pub struct ArchiveWriter<W: Write> {
    inner: W,
    keys: Keys,
    buffer: Vec<u8>,
}

impl<W: Write> ArchiveWriter<W> {
    /// Starts an archive.
    ///
    /// # Errors
    /// No entropy, or the writer fails.
    pub fn new(mut inner: W, passphrase: &[u8]) -> Result<Self, ArchiveError> {
        let mut header = [0; HEADER];
        rand_bytes(&mut header).map_err(ArchiveError::Crypto)?;
        header[..8].copy_from_slice(MAGIC);
        header[8] = LOG_N;
        let keys = Keys::derive(passphrase, header)?;
        inner.write_all(&header).map_err(ArchiveError::Io)?;
        Ok(Self {
            inner,
            keys,
            buffer: Vec::with_capacity(2 * CHUNK),
        })
    }

    fn chunk(&mut self, last: bool) -> Result<(), ArchiveError> {
        let length = self.buffer.len().min(CHUNK);
        let nonce = self.keys.nonce(last)?;
        let mut tag = [0; TAG];
        let plain = self.buffer.get(..length).unwrap_or_default();
        let sealed = encrypt_aead(
            Cipher::aes_256_gcm(),
            &self.keys.key,
            Some(&nonce),
            &self.keys.header,
            plain,
            &mut tag,
        )
        .map_err(ArchiveError::Crypto)?;
        self.buffer.drain(..length);
        self.inner
            .write_all(&sealed)
            .and_then(|()| self.inner.write_all(&tag))
            .map_err(ArchiveError::Io)
    }

    /// Writes the end and hands the writer back.
    ///
    /// # Errors
    /// The writer fails.
    pub fn finish(mut self) -> Result<W, ArchiveError> {
        self.chunk(true)?;
        self.inner.flush().map_err(ArchiveError::Io)?;
        Ok(self.inner)
    }
}

impl<W: Write> Write for ArchiveWriter<W> {
    fn write(&mut self, octets: &[u8]) -> io::Result<usize> {
        let taken = octets.len().min(CHUNK);
        self.buffer.extend(octets.get(..taken).unwrap_or_default());
        // One full chunk always stays, so that the last one is known when it is written.
        while self.buffer.len() > CHUNK {
            self.chunk(false)?;
        }
        Ok(taken)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}

/// Decrypts an archive as it is read. A fault is an [`io::Error`] with an [`ArchiveError`] inside; what was
/// read before it is authentic but not the whole.
pub struct ArchiveReader<R: Read> {
    inner: R,
    keys: Keys,
    plain: Vec<u8>,
    taken: usize,
    ahead: Vec<u8>,
    ended: bool,
}

impl<R: Read> ArchiveReader<R> {
    /// Opens an archive. A wrong passphrase shows here.
    ///
    /// # Errors
    /// Not an archive, the wrong passphrase, or the reader fails.
    pub fn new(mut inner: R, passphrase: &[u8]) -> Result<Self, ArchiveError> {
        let mut header = [0; HEADER];
        inner.read_exact(&mut header).map_err(|_| ArchiveError::Foreign)?;
        if header.get(..8) != Some(MAGIC.as_slice()) {
            return Err(ArchiveError::Foreign);
        }
        let keys = Keys::derive(passphrase, header)?;
        let mut this = Self {
            inner,
            keys,
            plain: Vec::new(),
            taken: 0,
            ahead: Vec::new(),
            ended: false,
        };
        this.chunk().map_err(|error| match error {
            ArchiveError::Damaged => ArchiveError::Passphrase,
            other => other,
        })?;
        Ok(this)
    }

    /// Reads one chunk and one octet more, which says whether it is the last.
    fn chunk(&mut self) -> Result<(), ArchiveError> {
        let full = CHUNK + TAG;
        let mut sealed = std::mem::take(&mut self.ahead);
        let wanted = (full + 1).saturating_sub(sealed.len());
        (&mut self.inner)
            .take(wanted as u64)
            .read_to_end(&mut sealed)
            .map_err(ArchiveError::Io)?;
        let last = sealed.len() <= full;
        if !last {
            self.ahead = sealed.split_off(full);
        }
        let length = sealed.len().checked_sub(TAG).ok_or(ArchiveError::Damaged)?;
        let (body, tag) = sealed.split_at(length);
        let nonce = self.keys.nonce(last)?;
        self.plain = decrypt_aead(
            Cipher::aes_256_gcm(),
            &self.keys.key,
            Some(&nonce),
            &self.keys.header,
            body,
            tag,
        )
        .map_err(|_| ArchiveError::Damaged)?;
        self.taken = 0;
        self.ended = last;
        Ok(())
    }
}

impl<R: Read> Read for ArchiveReader<R> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        while self.taken == self.plain.len() {
            if self.ended {
                return Ok(0);
            }
            self.chunk()?;
        }
        let rest = self.plain.get(self.taken..).unwrap_or_default();
        let length = rest.len().min(into.len());
        if let (Some(to), Some(from)) = (into.get_mut(..length), rest.get(..length)) {
            to.copy_from_slice(from);
        }
        self.taken += length;
        Ok(length)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sealed(plain: &[u8]) -> Vec<u8> {
        let mut writer = ArchiveWriter::new(Vec::new(), b"correct horse").unwrap();
        writer.write_all(plain).unwrap();
        writer.finish().unwrap()
    }

    fn opened(octets: &[u8], passphrase: &[u8]) -> Result<Vec<u8>, String> {
        let mut plain = Vec::new();
        ArchiveReader::new(octets, passphrase)
            .map_err(|error| error.to_string())?
            .read_to_end(&mut plain)
            .map_err(|error| error.to_string())?;
        Ok(plain)
    }

    #[test]
    fn what_was_sealed_is_opened_and_only_whole_and_only_with_its_passphrase() {
        for length in [0, 1, CHUNK - 1, CHUNK, CHUNK + 1, 3 * CHUNK + 17] {
            let plain: Vec<u8> = (0..length).map(|i| i as u8).collect();
            let octets = sealed(&plain);
            assert_eq!(opened(&octets, b"correct horse").unwrap(), plain, "{length}");
            assert!(opened(&octets, b"wrong").unwrap_err().contains("passphrase"));
            for cut in [octets.len() - 1, octets.len() / 2, HEADER, 3] {
                assert!(
                    opened(&octets[..cut], b"correct horse").is_err(),
                    "{length} cut to {cut}"
                );
            }
            for place in [0, 9, HEADER, octets.len() - 1] {
                let mut bent = octets.clone();
                bent[place] ^= 1;
                assert!(
                    opened(&bent, b"correct horse").is_err(),
                    "{length} bent at {place}"
                );
            }
            let mut longer = octets.clone();
            longer.push(0);
            assert!(opened(&longer, b"correct horse").is_err());
        }
        // Whole chunks exchanged, and the end cut off at a chunk's border.
        let octets = sealed(&vec![7; 3 * CHUNK]);
        let (first, second) = (HEADER, HEADER + CHUNK + TAG);
        let mut swapped = octets.clone();
        swapped[first..second].copy_from_slice(&octets[second..second + CHUNK + TAG]);
        assert!(opened(&swapped, b"correct horse").is_err());
        assert!(opened(&octets[..second], b"correct horse").is_err());
        // A header that asks for the memory of the machine.
        let mut greedy = octets;
        greedy[8] = 40;
        assert!(opened(&greedy, b"correct horse").is_err());
    }
}
