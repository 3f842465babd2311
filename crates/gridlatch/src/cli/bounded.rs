//! Files that somebody names on the command line, read up to a bound whatever they are: a device has no length and no
//! end.

use std::fs::File;
use std::io::{Error, ErrorKind, Read as _, Result};
use std::path::Path;

/// The octets of a file that has at most `most` of them.
///
/// # Errors
/// It cannot be read, or has more.
pub(crate) fn read(path: &Path, most: u64) -> Result<Vec<u8>> {
    let mut octets = Vec::new();
    File::open(path)?
        .take(most.saturating_add(1))
        .read_to_end(&mut octets)?;
    if octets.len() as u64 > most {
        return Err(Error::new(
            ErrorKind::FileTooLarge,
            format!("larger than {most} bytes"),
        ));
    }
    Ok(octets)
}
