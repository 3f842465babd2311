//! A station as vehicles, strangers on the wire and its platform meet it, over real sockets.
#![allow(
    clippy::unwrap_used,
    missing_docs,
    reason = "a test that meets what it did not expect stops there; its parts need no documentation"
)]

mod agreement;
mod bench;
mod connections;
mod contracts;
mod discovery;
mod ed448;
mod link;
mod orders;
mod stream;
