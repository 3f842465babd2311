//! A supervised child process: its output goes to a file, its whole group ends with the value.

use std::fs::File;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, anyhow, bail};
use rustix::process::{Pid, Signal, kill_process_group};

const POLL: Duration = Duration::from_millis(20);

/// A running program. Dropping it kills the program and everything it started.
#[derive(Debug)]
pub struct Process {
    child: Child,
    name: String,
    log: PathBuf,
}

impl Process {
    /// Starts `command` with both output streams in `target/peers/<test>/<name>.log`.
    ///
    /// # Errors
    /// When the program cannot be started or its log not be written.
    pub fn spawn(name: &str, mut command: Command) -> Result<Self> {
        let log = crate::temp::logs()?.join(format!("{name}.log"));
        let out = File::create(&log).with_context(|| format!("creating {}", log.display()))?;
        let err = out.try_clone().context("sharing the log file")?;
        let child = command
            .stdin(Stdio::null())
            .stdout(out)
            .stderr(err)
            .process_group(0)
            .spawn()
            .with_context(|| format!("starting {name} ({})", command.get_program().display()))?;
        Ok(Self {
            child,
            name: name.to_owned(),
            log,
        })
    }

    /// The process id.
    #[must_use]
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// The file with everything the program printed.
    #[must_use]
    pub fn log(&self) -> &Path {
        &self.log
    }

    /// What the program printed so far; only whole lines.
    #[must_use]
    pub fn output(&self) -> String {
        let bytes = std::fs::read(&self.log).unwrap_or_default();
        let whole = bytes.iter().rposition(|b| *b == b'\n').map_or(0, |at| at + 1);
        String::from_utf8_lossy(&bytes[..whole]).into_owned()
    }

    /// Waits for the first line that `wanted` accepts.
    ///
    /// # Errors
    /// When the program ends without printing it or the time is up; the message carries the end of the log.
    pub fn wait_line(&mut self, limit: Duration, wanted: impl Fn(&str) -> bool) -> Result<String> {
        let until = Instant::now() + limit;
        loop {
            let exited = self.child.try_wait().context("asking for the state of a child")?;
            let output = self.output();
            if let Some(line) = output.lines().find(|line| wanted(line)) {
                return Ok(line.to_owned());
            }
            if let Some(status) = exited {
                bail!(
                    "{} ended ({status}) before the expected line; {}",
                    self.name,
                    self.tail()
                );
            }
            if Instant::now() >= until {
                bail!(
                    "{} did not print the expected line within {limit:?}; {}",
                    self.name,
                    self.tail()
                );
            }
            std::thread::sleep(POLL);
        }
    }

    /// Waits for the program to end by itself.
    ///
    /// # Errors
    /// When it still runs after `limit`.
    pub fn wait_exit(&mut self, limit: Duration) -> Result<ExitStatus> {
        let until = Instant::now() + limit;
        loop {
            if let Some(status) = self.child.try_wait().context("asking for the state of a child")? {
                return Ok(status);
            }
            if Instant::now() >= until {
                return Err(anyhow!(
                    "{} still runs after {limit:?}; {}",
                    self.name,
                    self.tail()
                ));
            }
            std::thread::sleep(POLL);
        }
    }

    /// Sends a signal to the program alone (not to what it started).
    ///
    /// # Errors
    /// When it has already gone.
    pub fn signal(&self, signal: Signal) -> Result<()> {
        rustix::process::kill_process(self.pid()?, signal)
            .with_context(|| format!("signalling {}", self.name))
    }

    /// Asks politely: the terminal's Ctrl-C.
    ///
    /// # Errors
    /// When it has already gone.
    pub fn interrupt(&self) -> Result<()> {
        self.signal(Signal::INT)
    }

    fn pid(&self) -> Result<Pid> {
        i32::try_from(self.child.id())
            .ok()
            .and_then(Pid::from_raw)
            .context("a process id out of range")
    }

    fn tail(&self) -> String {
        let output = self.output();
        let lines: Vec<&str> = output.lines().collect();
        let from = lines.len().saturating_sub(30);
        format!("log {}:\n{}", self.log.display(), lines[from..].join("\n"))
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // Until it is waited for, the id cannot belong to another process.
        if let Ok(pid) = self.pid() {
            let _ = kill_process_group(pid, Signal::KILL);
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The `gridlatch` executable of this build folder, built once per test process if need be.
///
/// # Errors
/// When it does not build.
pub fn binary() -> Result<PathBuf> {
    static BUILT: OnceLock<Result<PathBuf, String>> = OnceLock::new();
    BUILT
        .get_or_init(|| build().map_err(|e| format!("{e:#}")))
        .clone()
        .map_err(|e| anyhow!(e))
}

fn build() -> Result<PathBuf> {
    let target = crate::temp::target();
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut command = Command::new(cargo);
    command.args(["build", "--quiet", "--package", "gridlatch", "--bin", "gridlatch"]);
    // What the whole run is built with, so that nothing is built twice.
    if let Some(features) = std::env::var_os("GRIDLATCH_FEATURES").filter(|features| !features.is_empty()) {
        command.arg("--features").arg(features);
    }
    let out = command
        .arg("--target-dir")
        .arg(&target)
        .current_dir(crate::temp::workspace())
        .output()
        .context("running cargo build for the gridlatch binary")?;
    if !out.status.success() {
        bail!(
            "the gridlatch binary does not build:\n{}",
            String::from_utf8_lossy(&out.stderr)
        );
    }
    Ok(target.join("debug/gridlatch"))
}
