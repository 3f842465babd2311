//! The security log: every event as one JSON line, appended to a file only its owner can read.

use std::fs::{File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;
use std::sync::Mutex;
use std::sync::mpsc::{SyncSender, TrySendError, sync_channel};
use std::thread::JoinHandle;

use gridlatch_vocab::Event;

/// How many events may wait for the disk before the emitter waits with them.
const QUEUE: usize = 4096;

/// An append-only file of JSON lines, written by its own thread so that a slow disk does not stall a
/// charging session. Dropping it writes out what is queued and syncs the file.
#[derive(Debug)]
pub struct SecurityLog {
    queue: Option<SyncSender<Event>>,
    writer: Mutex<Option<JoinHandle<()>>>,
}

impl SecurityLog {
    /// Opens (or creates, mode 0600) the log for appending.
    pub fn open(path: &Path) -> io::Result<Self> {
        let file = OpenOptions::new()
            .create(true)
            .append(true)
            .mode(0o600)
            .open(path)?;
        Self::into_file(file)
    }

    /// Writes to a file, or a pipe to another process, that is open already.
    pub fn into_file(file: File) -> io::Result<Self> {
        let (queue, events) = sync_channel::<Event>(QUEUE);
        let writer = std::thread::Builder::new()
            .name("security-log".to_owned())
            .spawn(move || write_all(file, &events))?;
        Ok(Self {
            queue: Some(queue),
            writer: Mutex::new(Some(writer)),
        })
    }

    /// Queues one event. Waits only when [`QUEUE`] events are already waiting for the disk: a security
    /// log that drops lines under load would be blind exactly when it matters.
    pub(crate) fn append(&self, event: &Event) {
        let Some(queue) = &self.queue else { return };
        match queue.try_send(event.clone()) {
            Ok(()) | Err(TrySendError::Disconnected(_)) => {}
            Err(TrySendError::Full(event)) => {
                let _ = queue.send(event);
            }
        }
    }
}

impl Drop for SecurityLog {
    fn drop(&mut self) {
        self.queue = None;
        if let Ok(mut writer) = self.writer.lock()
            && let Some(writer) = writer.take()
        {
            let _ = writer.join();
        }
    }
}

fn write_all(mut file: File, events: &std::sync::mpsc::Receiver<Event>) {
    let mut failing = false;
    let mut lines = Vec::new();
    while let Ok(event) = events.recv() {
        lines.clear();
        for event in std::iter::once(event).chain(events.try_iter().take(256)) {
            if serde_json::to_writer(&mut lines, &event).is_ok() {
                lines.push(b'\n');
            }
        }
        let written = file.write_all(&lines);
        if let Err(error) = &written
            && !failing
        {
            // The event of this failure cannot go to the log that failed; it goes to the console.
            let code = gridlatch_vocab::catalogue::host::LOG_WRITE_FAILED;
            tracing::error!(code = %code, %error, "the security log cannot be written");
        }
        failing = written.is_err();
    }
    let _ = file.sync_all();
}
