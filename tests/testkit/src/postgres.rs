//! A PostgreSQL server of a test's own: its data in a scratch folder, reached by a socket in it, no network.
//!
//! Tests of one process that run at the same time share one server; each gets databases of its own. The server ends
//! with the last value that uses it.

use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use rustix::process::Signal;
use tempfile::TempDir;

use crate::{Process, temp};

const READY: Duration = Duration::from_secs(60);
/// PostgreSQL refuses to run as root; Debian's package makes this account.
const ACCOUNT: &str = "postgres";

/// A running server.
#[derive(Debug)]
pub struct Postgres {
    process: Mutex<Process>,
    /// Last, so that the folder goes after the server.
    dir: TempDir,
    databases: AtomicUsize,
}

impl Postgres {
    /// The server that tests of this process share, started if none runs.
    ///
    /// # Errors
    /// When PostgreSQL is not there or does not start.
    pub fn shared() -> Result<Arc<Self>> {
        static SHARED: Mutex<Weak<Postgres>> = Mutex::new(Weak::new());
        let mut shared = SHARED.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(running) = shared.upgrade() {
            return Ok(running);
        }
        let started = Arc::new(Self::start()?);
        *shared = Arc::downgrade(&started);
        Ok(started)
    }

    /// A server for one test alone.
    ///
    /// # Errors
    /// As [`Self::shared`].
    pub fn start() -> Result<Self> {
        let dir = temp::dir()?;
        // The account that runs the server must get to its folder.
        std::fs::set_permissions(dir.path(), std::fs::Permissions::from_mode(0o755))?;
        let data = dir.path().join("data");
        std::fs::create_dir(&data)?;
        if rustix::process::geteuid().is_root() {
            run(Command::new("chown").arg(ACCOUNT).arg(&data))?;
        }
        run(as_account("initdb")?
            .args([
                "--username",
                ACCOUNT,
                "--auth",
                "trust",
                "--encoding",
                "UTF8",
                "--locale",
                "C",
                "--no-sync",
                "-D",
            ])
            .arg(&data))?;
        let process = Mutex::new(server(&data)?);
        let this = Self {
            process,
            dir,
            databases: AtomicUsize::new(0),
        };
        this.await_ready()?;
        Ok(this)
    }

    /// The URL of a new, empty database.
    ///
    /// # Errors
    /// When the server does not make it.
    pub fn database(&self) -> Result<String> {
        let name = format!("test{}", self.databases.fetch_add(1, Ordering::Relaxed));
        self.sql(&format!("CREATE DATABASE {name}"))?;
        let socket = self.data();
        Ok(format!(
            "postgres://{ACCOUNT}@localhost/{name}?host={}",
            socket.display()
        ))
    }

    /// Kills the server and everything it does, and starts it again on the same data.
    ///
    /// # Errors
    /// When it does not come back.
    pub fn crash_and_restart(&self) -> Result<()> {
        let mut process = self.process.lock().unwrap_or_else(PoisonError::into_inner);
        process.signal(Signal::KILL)?;
        process.wait_exit(READY)?;
        let until = Instant::now() + READY;
        // The new one refuses to start until the last helper of the old one has noticed that it is alone.
        loop {
            *process = server(&self.data())?;
            let up = process.wait_line(READY, |line| line.contains("ready to accept connections"));
            match up {
                Ok(_) => return Ok(()),
                Err(error) if Instant::now() >= until => return Err(error),
                Err(_) => std::thread::sleep(Duration::from_millis(100)),
            }
        }
    }

    fn data(&self) -> PathBuf {
        self.dir.path().join("data")
    }

    fn await_ready(&self) -> Result<()> {
        let until = Instant::now() + READY;
        while let Err(error) = self.sql("SELECT 1") {
            if Instant::now() >= until {
                return Err(error.context("PostgreSQL does not answer"));
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        Ok(())
    }

    fn sql(&self, statement: &str) -> Result<()> {
        run(Command::new(program("psql")?)
            .args([
                "--no-psqlrc",
                "--quiet",
                "--username",
                ACCOUNT,
                "--dbname",
                "postgres",
                "--command",
                statement,
            ])
            .arg("--host")
            .arg(self.data()))
    }
}

fn server(data: &Path) -> Result<Process> {
    let mut command = as_account("postgres")?;
    command
        .arg("-D")
        .arg(data)
        .arg("-k")
        .arg(data)
        .args(["-c", "listen_addresses="]);
    Process::spawn("postgres", command)
}

/// A program of the newest PostgreSQL that is installed. Debian keeps them off the path.
pub(crate) fn program(name: &str) -> Result<PathBuf> {
    let mut found: Vec<(u32, PathBuf)> = std::fs::read_dir("/usr/lib/postgresql")
        .into_iter()
        .flatten()
        .flatten()
        .filter_map(|entry| {
            let version = entry.file_name().to_str()?.parse().ok()?;
            Some((version, entry.path().join("bin").join(name)))
        })
        .filter(|(_, path)| path.exists())
        .collect();
    found.sort();
    match found.pop() {
        Some((_, path)) => Ok(path),
        None => bail!("there is no {name} below /usr/lib/postgresql"),
    }
}

fn as_account(name: &str) -> Result<Command> {
    let program = program(name)?;
    if !rustix::process::geteuid().is_root() {
        return Ok(Command::new(program));
    }
    let mut command = Command::new("setpriv");
    command
        .args(["--reuid", ACCOUNT, "--regid", ACCOUNT, "--clear-groups", "--"])
        .arg(program);
    Ok(command)
}

fn run(command: &mut Command) -> Result<()> {
    let out = command
        .output()
        .with_context(|| format!("running {}", command.get_program().display()))?;
    if !out.status.success() {
        bail!(
            "{} ended with {}: {}",
            command.get_program().display(),
            out.status,
            String::from_utf8_lossy(&out.stderr)
        );
    }
    Ok(())
}
