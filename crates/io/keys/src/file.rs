//! A key in a file: PKCS#8 PEM, readable by its owner only.

use std::fmt;
use std::fs;
use std::io::Read as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use gridlatch_trust::KeyAlgorithm;
use openssl::ec::{Asn1Flag, EcGroup, EcKey};
use openssl::ecdsa::EcdsaSig;
use openssl::error::ErrorStack;
use openssl::nid::Nid;
use openssl::pkcs12::Pkcs12;
use openssl::pkey::{Id, PKey, Private};
use openssl::sha::{sha256, sha512};
use openssl::sign::Signer as OpensslSigner;
use openssl::stack::Stack;
use openssl::symm::Cipher;
use openssl::x509::X509;

use crate::{KeyError, Signer, write_atomically};

/// The largest key file that is read, bytes.
const MAX_FILE: u64 = 64 * 1024;

/// A private key held in memory, usually read from a file.
#[derive(Clone)]
pub struct FileKey {
    algorithm: KeyAlgorithm,
    key: PKey<Private>,
    /// The same key as OpenSSL's curve arithmetic takes it, for ECDSA: looking algorithms up by name for each
    /// signature costs as much as the signature.
    ec: Option<EcKey<Private>>,
    spki: Vec<u8>,
}

impl FileKey {
    /// A fresh key from OpenSSL's random generator.
    ///
    /// # Errors
    /// OpenSSL has no entropy or lacks the curve.
    pub fn generate(algorithm: KeyAlgorithm) -> Result<Self, KeyError> {
        let ec = |nid| -> Result<PKey<Private>, ErrorStack> {
            let mut group = EcGroup::from_curve_name(nid)?;
            group.set_asn1_flag(Asn1Flag::NAMED_CURVE);
            PKey::from_ec_key(EcKey::generate(&group)?)
        };
        let key = match algorithm {
            KeyAlgorithm::P256 => ec(Nid::X9_62_PRIME256V1),
            KeyAlgorithm::P521 => ec(Nid::SECP521R1),
            KeyAlgorithm::Ed448 => PKey::generate_ed448(),
        };
        Self::from_pkey(key.map_err(crypto("generate a key"))?)
    }

    /// Wraps an OpenSSL key of an allowed type.
    ///
    /// # Errors
    /// [`KeyError::Unsupported`] for any other type.
    pub fn from_pkey(key: PKey<Private>) -> Result<Self, KeyError> {
        let (algorithm, ec) = match key.id() {
            Id::ED448 => (KeyAlgorithm::Ed448, None),
            Id::EC => {
                let ec = key.ec_key().map_err(crypto("read the key's curve"))?;
                let algorithm = match ec.group().curve_name() {
                    Some(Nid::X9_62_PRIME256V1) => KeyAlgorithm::P256,
                    Some(Nid::SECP521R1) => KeyAlgorithm::P521,
                    _ => return Err(KeyError::Unsupported),
                };
                (algorithm, Some(ec))
            }
            _ => return Err(KeyError::Unsupported),
        };
        let spki = key.public_key_to_der().map_err(crypto("encode the public key"))?;
        Ok(Self {
            algorithm,
            key,
            ec,
            spki,
        })
    }

    /// Reads an unencrypted PEM key.
    ///
    /// # Errors
    /// Not PEM, not a key, encrypted ([`KeyError::Refused`]), or [`KeyError::Unsupported`].
    pub fn from_pem(pem: &[u8]) -> Result<Self, KeyError> {
        // OpenSSL would hash a pass phrase that nobody gave as often as the file says, for hours if it likes.
        let says = |label: &[u8]| pem.windows(label.len()).any(|at| at == label);
        if says(b"BEGIN ENCRYPTED PRIVATE KEY") || says(b"Proc-Type: 4,ENCRYPTED") {
            return Err(KeyError::Refused(
                "the private key is encrypted under a pass phrase; write it without one, readable by its owner alone",
            ));
        }
        // The passphrase form with an empty answer never asks on the terminal.
        let key = PKey::private_key_from_pem_passphrase(pem, b"").map_err(crypto("read the private key"))?;
        Self::from_pkey(key)
    }

    /// Reads a PKCS#8 PEM file.
    ///
    /// # Errors
    /// The file cannot be read, is readable by others ([`KeyError::Exposed`]), or holds no usable key.
    pub fn load(path: &Path) -> Result<Self, KeyError> {
        let wrap = |source| KeyError::File {
            operation: "read the key file",
            path: path.to_owned(),
            source,
        };
        let mode = fs::metadata(path).map_err(wrap)?.permissions().mode() & 0o777;
        if mode & 0o077 != 0 {
            return Err(KeyError::Exposed {
                path: path.to_owned(),
                mode,
            });
        }
        let mut pem = Vec::new();
        let file = fs::File::open(path).map_err(wrap)?;
        file.take(MAX_FILE + 1).read_to_end(&mut pem).map_err(wrap)?;
        if pem.len() as u64 > MAX_FILE {
            return Err(wrap(std::io::Error::new(
                std::io::ErrorKind::FileTooLarge,
                format!("larger than {MAX_FILE} bytes"),
            )));
        }
        Self::from_pem(&pem)
    }

    /// Writes PKCS#8 PEM with mode 0600, replacing the file as a whole.
    ///
    /// # Errors
    /// The file system refused; an old file is then still complete.
    pub fn save(&self, path: &Path) -> Result<(), KeyError> {
        write_atomically(path, &self.to_pem()?, 0o600).map_err(|source| KeyError::File {
            operation: "write the key file",
            path: path.to_owned(),
            source,
        })
    }

    /// The key as unencrypted PKCS#8 PEM: a secret.
    ///
    /// # Errors
    /// OpenSSL cannot encode it.
    pub fn to_pem(&self) -> Result<Vec<u8>, KeyError> {
        self.key
            .private_key_to_pem_pkcs8()
            .map_err(crypto("encode the private key"))
    }

    /// The key as PKCS#8 PEM encrypted with AES-256-CBC under a pass phrase.
    ///
    /// # Errors
    /// OpenSSL cannot encode it.
    pub fn to_encrypted_pem(&self, passphrase: &[u8]) -> Result<Vec<u8>, KeyError> {
        self.key
            .private_key_to_pem_pkcs8_passphrase(Cipher::aes_256_cbc(), passphrase)
            .map_err(crypto("encrypt the private key"))
    }

    /// An EC key as SEC 1 PEM (`EC PRIVATE KEY`) encrypted with AES-128-CBC, as `openssl ec` writes it.
    ///
    /// # Errors
    /// [`KeyError::Unsupported`] for Ed448; OpenSSL cannot encode it.
    pub fn to_encrypted_sec1_pem(&self, passphrase: &[u8]) -> Result<Vec<u8>, KeyError> {
        if self.algorithm == KeyAlgorithm::Ed448 {
            return Err(KeyError::Unsupported);
        }
        self.key
            .ec_key()
            .and_then(|key| key.private_key_to_pem_passphrase(Cipher::aes_128_cbc(), passphrase))
            .map_err(crypto("encrypt the private key"))
    }

    /// The key as PKCS#8 DER encrypted with AES-128-CBC under a pass phrase.
    ///
    /// # Errors
    /// OpenSSL cannot encode it.
    pub fn to_encrypted_pkcs8_der(&self, passphrase: &[u8]) -> Result<Vec<u8>, KeyError> {
        self.key
            .private_key_to_pkcs8_passphrase(Cipher::aes_128_cbc(), passphrase)
            .map_err(crypto("encrypt the private key"))
    }

    /// The key with its certificates (DER, leaf first) as a PKCS#12 archive.
    ///
    /// # Errors
    /// The chain is empty or no chain of certificates; OpenSSL cannot encode it.
    pub fn to_pkcs12(&self, alias: &str, chain: &[Vec<u8>], passphrase: &str) -> Result<Vec<u8>, KeyError> {
        let failed = crypto("write a PKCS#12 archive");
        let (leaf, rest) = chain.split_first().ok_or(KeyError::Unsupported)?;
        let mut others = Stack::new().map_err(&failed)?;
        for der in rest {
            others
                .push(X509::from_der(der).map_err(&failed)?)
                .map_err(&failed)?;
        }
        let leaf = X509::from_der(leaf).map_err(&failed)?;
        Pkcs12::builder()
            .name(alias)
            .pkey(&self.key)
            .cert(&leaf)
            .ca(others)
            .build2(passphrase)
            .and_then(|archive| archive.to_der())
            .map_err(&failed)
    }

    /// The key as unencrypted PKCS#8 DER: a secret, for a crate that computes with it itself.
    ///
    /// # Errors
    /// OpenSSL cannot encode it.
    pub fn to_pkcs8_der(&self) -> Result<Vec<u8>, KeyError> {
        self.key
            .private_key_to_pkcs8()
            .map_err(crypto("encode the private key"))
    }

    /// The private scalar of an EC key, left-padded to the curve's size (32 or 66 octets): a secret.
    ///
    /// # Errors
    /// [`KeyError::Unsupported`] for Ed448, which has no scalar of this kind.
    pub fn scalar(&self) -> Result<Vec<u8>, KeyError> {
        let size = match self.algorithm {
            KeyAlgorithm::P256 => 32,
            KeyAlgorithm::P521 => 66,
            KeyAlgorithm::Ed448 => return Err(KeyError::Unsupported),
        };
        self.key
            .ec_key()
            .and_then(|key| key.private_key().to_vec_padded(size))
            .map_err(crypto("read the private scalar"))
    }

    /// OpenSSL's handle of the key, for `io/tls`.
    #[must_use]
    pub fn pkey(&self) -> &PKey<Private> {
        &self.key
    }
}

impl Signer for FileKey {
    fn algorithm(&self) -> KeyAlgorithm {
        self.algorithm
    }

    fn public_key_der(&self) -> &[u8] {
        &self.spki
    }

    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, KeyError> {
        match self.algorithm {
            KeyAlgorithm::P256 => self.sign_digest(&sha256(message)),
            KeyAlgorithm::P521 => self.sign_digest(&sha512(message)),
            KeyAlgorithm::Ed448 => OpensslSigner::new_without_digest(&self.key)
                .and_then(|mut signer| signer.sign_oneshot_to_vec(message))
                .map_err(crypto("sign")),
        }
    }

    fn sign_digest(&self, digest: &[u8]) -> Result<Vec<u8>, KeyError> {
        let key = self.ec.as_ref().ok_or(KeyError::Unsupported)?;
        EcdsaSig::sign(digest, key)
            .and_then(|signature| signature.to_der())
            .map_err(crypto("sign a digest"))
    }

    fn as_file(&self) -> Option<&FileKey> {
        Some(self)
    }
}

impl fmt::Debug for FileKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FileKey")
            .field("algorithm", &self.algorithm)
            .finish_non_exhaustive()
    }
}

pub(crate) fn crypto(operation: &'static str) -> impl Fn(ErrorStack) -> KeyError {
    move |source| KeyError::Crypto { operation, source }
}
