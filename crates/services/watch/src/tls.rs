//! TLS as a capture shows it: records, handshakes, and, with a key log, what was said inside.
//!
//! Every decrypted record is verified (AEAD tag or MAC): a key log of another run yields an error, never
//! garbage. TLS 1.2 with the suites of ISO 15118-2 and their GCM siblings, TLS 1.3 with its three suites.
//!
//! Deliberately absent: TLS below 1.2, compression, early data, renegotiation.

mod certificate;
mod handshake;
mod keylog;
mod keys;
mod protection;
mod record;
mod session;

pub use keylog::KeyLog;
pub use session::{TlsEvent, TlsSession};
