//! Asking a person for a secret.

use std::fs::OpenOptions;
use std::io::{self, BufRead as _, BufReader, Read as _, Write as _};

use rustix::termios::{LocalModes, OptionalActions, tcgetattr, tcsetattr};

/// The longest secret that is read, in bytes.
const MAX: u64 = 1024;

/// Asks on the terminal, without showing what is typed.
///
/// # Errors
/// There is no terminal, or it ended.
pub fn ask_secret(question: &str) -> io::Result<String> {
    let mut terminal = OpenOptions::new().read(true).write(true).open("/dev/tty")?;
    let before = tcgetattr(&terminal)?;
    let mut quiet = before.clone();
    quiet.local_modes.remove(LocalModes::ECHO);
    // Before the question: whoever sees it may type, and nothing of that is shown or thrown away.
    tcsetattr(&terminal, OptionalActions::Flush, &quiet)?;
    let asked = terminal.write_all(question.as_bytes());
    let mut line = String::new();
    let read = asked.and_then(|()| BufReader::new((&terminal).take(MAX)).read_line(&mut line));
    // Whatever was read, the terminal shows again what is typed.
    tcsetattr(&terminal, OptionalActions::Flush, &before)?;
    terminal.write_all(b"\n")?;
    if read? == 0 {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    line.truncate(line.trim_end_matches(['\r', '\n']).len());
    Ok(line)
}
