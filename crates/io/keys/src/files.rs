//! Writing a file so that a crash leaves the old content or the new, never a part.

use std::fs;
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

/// Replaces `path` as a whole with `content`, created with permission bits `mode`.
///
/// The content is on the disk, and so is the name, when this returns.
///
/// # Errors
/// What the file system says; the old content is then still in place.
pub fn write_atomically(path: &Path, content: &[u8], mode: u32) -> io::Result<()> {
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(format!(".{}.new", std::process::id()));
    let temporary = path.with_file_name(name);
    let written = (|| {
        let mut file = fs::OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(true)
            .mode(mode)
            .open(&temporary)?;
        file.write_all(content)?;
        file.sync_all()?;
        fs::rename(&temporary, path)?;
        match path.parent().filter(|parent| !parent.as_os_str().is_empty()) {
            Some(parent) => fs::File::open(parent)?.sync_all(),
            None => Ok(()),
        }
    })();
    if written.is_err() {
        // The first error is the one that matters; a left-over temporary file is harmless.
        let _ = fs::remove_file(&temporary);
    }
    written
}
