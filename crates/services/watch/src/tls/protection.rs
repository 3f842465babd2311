//! Opening one record: the suites ISO 15118 uses and their modern siblings.

use openssl::hash::MessageDigest;
use openssl::memcmp;
use openssl::symm::{Cipher, Crypter, Mode, decrypt_aead};

use super::keys;
use super::record::Record;

/// How a suite protects records.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// AES-GCM with an explicit nonce in TLS 1.2.
    Gcm,
    ChaCha,
    /// AES-CBC with HMAC-SHA-256 (the ISO 15118-2 suite).
    Cbc,
}

/// A cipher suite this reader can open.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Suite {
    number: u16,
    name: &'static str,
    kind: Kind,
    key: usize,
    sha384: bool,
}

const SUITES: [Suite; 13] = [
    Suite {
        number: 0xC023,
        name: "ECDHE-ECDSA-AES128-SHA256",
        kind: Kind::Cbc,
        key: 16,
        sha384: false,
    },
    Suite {
        number: 0xC025,
        name: "ECDH-ECDSA-AES128-SHA256",
        kind: Kind::Cbc,
        key: 16,
        sha384: false,
    },
    Suite {
        number: 0xC027,
        name: "ECDHE-RSA-AES128-SHA256",
        kind: Kind::Cbc,
        key: 16,
        sha384: false,
    },
    Suite {
        number: 0xC02B,
        name: "ECDHE-ECDSA-AES128-GCM-SHA256",
        kind: Kind::Gcm,
        key: 16,
        sha384: false,
    },
    Suite {
        number: 0xC02C,
        name: "ECDHE-ECDSA-AES256-GCM-SHA384",
        kind: Kind::Gcm,
        key: 32,
        sha384: true,
    },
    Suite {
        number: 0xC02D,
        name: "ECDH-ECDSA-AES128-GCM-SHA256",
        kind: Kind::Gcm,
        key: 16,
        sha384: false,
    },
    Suite {
        number: 0xC02F,
        name: "ECDHE-RSA-AES128-GCM-SHA256",
        kind: Kind::Gcm,
        key: 16,
        sha384: false,
    },
    Suite {
        number: 0xC030,
        name: "ECDHE-RSA-AES256-GCM-SHA384",
        kind: Kind::Gcm,
        key: 32,
        sha384: true,
    },
    Suite {
        number: 0xCCA8,
        name: "ECDHE-RSA-CHACHA20-POLY1305",
        kind: Kind::ChaCha,
        key: 32,
        sha384: false,
    },
    Suite {
        number: 0xCCA9,
        name: "ECDHE-ECDSA-CHACHA20-POLY1305",
        kind: Kind::ChaCha,
        key: 32,
        sha384: false,
    },
    Suite {
        number: 0x1301,
        name: "TLS_AES_128_GCM_SHA256",
        kind: Kind::Gcm,
        key: 16,
        sha384: false,
    },
    Suite {
        number: 0x1302,
        name: "TLS_AES_256_GCM_SHA384",
        kind: Kind::Gcm,
        key: 32,
        sha384: true,
    },
    Suite {
        number: 0x1303,
        name: "TLS_CHACHA20_POLY1305_SHA256",
        kind: Kind::ChaCha,
        key: 32,
        sha384: false,
    },
];

impl Suite {
    pub(super) fn find(number: u16) -> Option<Self> {
        SUITES.into_iter().find(|suite| suite.number == number)
    }

    /// The name OpenSSL uses, or the number.
    pub(super) fn name_of(number: u16) -> String {
        Self::find(number).map_or_else(|| format!("{number:#06x}"), |suite| suite.name.to_owned())
    }

    pub(super) fn digest(self) -> MessageDigest {
        if self.sha384 {
            MessageDigest::sha384()
        } else {
            MessageDigest::sha256()
        }
    }

    fn cipher(self) -> Cipher {
        match (self.kind, self.key) {
            (Kind::Gcm, 16) => Cipher::aes_128_gcm(),
            (Kind::Gcm, _) => Cipher::aes_256_gcm(),
            (Kind::ChaCha, _) => Cipher::chacha20_poly1305(),
            (Kind::Cbc, _) => Cipher::aes_128_cbc(),
        }
    }
}

/// The keys of one direction.
pub(super) struct Protection {
    suite: Suite,
    tls13: bool,
    encrypt_then_mac: bool,
    key: Vec<u8>,
    iv: Vec<u8>,
    mac_key: Vec<u8>,
    sequence: u64,
}

const TAG: usize = 16;
const MAC: usize = 32;
const BLOCK: usize = 16;

impl Protection {
    /// Both directions of a TLS 1.2 connection: client, server.
    pub(super) fn tls12(
        suite: Suite,
        master: &[u8],
        client_random: &[u8],
        server_random: &[u8],
        encrypt_then_mac: bool,
    ) -> Option<[Self; 2]> {
        let (mac, iv) = match suite.kind {
            Kind::Cbc => (MAC, 0),
            Kind::Gcm => (0, 4),
            Kind::ChaCha => (0, 12),
        };
        let seed = [server_random, client_random].concat();
        let block = keys::prf(
            suite.digest(),
            master,
            b"key expansion",
            &seed,
            2 * (mac + suite.key + iv),
        )
        .ok()?;
        let mut rest = block.as_slice();
        let mut take = |count: usize| {
            let (head, tail) = rest.split_at(count);
            rest = tail;
            head.to_vec()
        };
        let macs = [take(mac), take(mac)];
        let keys = [take(suite.key), take(suite.key)];
        let ivs = [take(iv), take(iv)];
        let [mac0, mac1] = macs;
        let [key0, key1] = keys;
        let [iv0, iv1] = ivs;
        let make = |mac_key, key, iv| Self {
            suite,
            tls13: false,
            encrypt_then_mac,
            key,
            iv,
            mac_key,
            sequence: 0,
        };
        Some([make(mac0, key0, iv0), make(mac1, key1, iv1)])
    }

    /// One direction of TLS 1.3 from its traffic secret.
    pub(super) fn tls13(suite: Suite, secret: &[u8]) -> Option<Self> {
        Some(Self {
            suite,
            tls13: true,
            encrypt_then_mac: false,
            key: keys::expand_label(suite.digest(), secret, "key", suite.key).ok()?,
            iv: keys::expand_label(suite.digest(), secret, "iv", 12).ok()?,
            mac_key: Vec::new(),
            sequence: 0,
        })
    }

    /// Opens the next record of this direction: its real content type and its bytes. `None` when it does
    /// not verify.
    pub(super) fn open(&mut self, record: &Record) -> Option<(u8, Vec<u8>)> {
        let opened = match (self.tls13, self.suite.kind) {
            (true, _) => self.open_tls13(record),
            (false, Kind::Cbc) => self.open_cbc(record).map(|plain| (record.content_type, plain)),
            (false, _) => self.open_aead(record).map(|plain| (record.content_type, plain)),
        };
        self.sequence += 1;
        opened
    }

    fn nonce(&self) -> Vec<u8> {
        let mut nonce = self.iv.clone();
        let start = nonce.len().saturating_sub(8);
        for (byte, sequence) in nonce[start..].iter_mut().zip(self.sequence.to_be_bytes()) {
            *byte ^= sequence;
        }
        nonce
    }

    fn open_tls13(&self, record: &Record) -> Option<(u8, Vec<u8>)> {
        let (sealed, tag) = record
            .body
            .split_at_checked(record.body.len().checked_sub(TAG)?)?;
        let length = (record.body.len() as u16).to_be_bytes();
        let aad = [
            record.content_type,
            record.version[0],
            record.version[1],
            length[0],
            length[1],
        ];
        let mut plain = decrypt_aead(
            self.suite.cipher(),
            &self.key,
            Some(&self.nonce()),
            &aad,
            sealed,
            tag,
        )
        .ok()?;
        // TLSInnerPlaintext: content, type, zeros.
        let end = plain.iter().rposition(|byte| *byte != 0)?;
        let content_type = plain[end];
        plain.truncate(end);
        Some((content_type, plain))
    }

    /// What MACs and tags of TLS 1.2 cover before the content.
    fn header(&self, record: &Record, length: usize) -> [u8; 13] {
        let mut header = [0; 13];
        header[..8].copy_from_slice(&self.sequence.to_be_bytes());
        header[8] = record.content_type;
        header[9..11].copy_from_slice(&record.version);
        header[11..].copy_from_slice(&(length as u16).to_be_bytes());
        header
    }

    fn open_aead(&self, record: &Record) -> Option<Vec<u8>> {
        let (nonce, body) = match self.suite.kind {
            Kind::Gcm => {
                let (explicit, body) = record.body.split_at_checked(8)?;
                ([&self.iv, explicit].concat(), body)
            }
            _ => (self.nonce(), record.body.as_slice()),
        };
        let (sealed, tag) = body.split_at_checked(body.len().checked_sub(TAG)?)?;
        let aad = self.header(record, sealed.len());
        decrypt_aead(self.suite.cipher(), &self.key, Some(&nonce), &aad, sealed, tag).ok()
    }

    fn open_cbc(&self, record: &Record) -> Option<Vec<u8>> {
        let digest = MessageDigest::sha256();
        if self.encrypt_then_mac {
            // RFC 7366: the MAC covers IV and ciphertext.
            let (sealed, mac) = record
                .body
                .split_at_checked(record.body.len().checked_sub(MAC)?)?;
            let header = self.header(record, sealed.len());
            let expected = keys::hmac(digest, &self.mac_key, &[&header, sealed]).ok()?;
            if !memcmp::eq(&expected, mac) {
                return None;
            }
            return self.decrypt_cbc(sealed);
        }
        let plain = self.decrypt_cbc(&record.body)?;
        let (content, mac) = plain.split_at_checked(plain.len().checked_sub(MAC)?)?;
        let header = self.header(record, content.len());
        let expected = keys::hmac(digest, &self.mac_key, &[&header, content]).ok()?;
        memcmp::eq(&expected, mac).then(|| content.to_vec())
    }

    /// Decrypts and removes the padding; the IV comes first.
    fn decrypt_cbc(&self, body: &[u8]) -> Option<Vec<u8>> {
        let (iv, sealed) = body.split_at_checked(BLOCK)?;
        if sealed.is_empty() || sealed.len() % BLOCK != 0 {
            return None;
        }
        let mut crypter = Crypter::new(self.suite.cipher(), Mode::Decrypt, &self.key, Some(iv)).ok()?;
        crypter.pad(false);
        let mut plain = vec![0; sealed.len() + BLOCK];
        let mut length = crypter.update(sealed, &mut plain).ok()?;
        length += crypter.finalize(&mut plain[length..]).ok()?;
        plain.truncate(length);
        let padding = usize::from(*plain.last()?);
        let end = plain.len().checked_sub(padding + 1)?;
        if plain[end..].iter().any(|byte| usize::from(*byte) != padding) {
            return None;
        }
        plain.truncate(end);
        Some(plain)
    }
}
