//! The wire between a station and a car: two network namespaces joined by a veth pair.

use std::fs::File;
use std::future::Future;
use std::net::{Ipv6Addr, SocketAddrV6};
use std::os::fd::AsFd as _;
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Condvar, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};
use tokio::runtime::{Builder, Runtime};

const PREFIX: &str = "gridlatch-";

/// Two namespaces with one cable between them; both go when this is dropped, also after a panic.
///
/// At most two links exist at a time in one process, because a foreign peer on each end keeps a core busy: the third
/// caller waits for its turn.
#[derive(Debug)]
pub struct Link {
    /// The charging station's end.
    pub station: Namespace,
    /// The car's end.
    pub car: Namespace,
    _turn: Turn,
}

impl Link {
    /// Makes the namespaces, the veth pair and its link-local addresses (without duplicate address detection, so that
    /// they can be used at once). Needs root: say `need!(root)` first.
    ///
    /// # Errors
    /// When `ip` refuses, or no link-local address appears within five seconds.
    pub fn new() -> Result<Self> {
        let turn = Turn::take();
        sweep();
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let unique = format!(
            "{PREFIX}{}-{}",
            std::process::id(),
            COUNT.fetch_add(1, Ordering::Relaxed)
        );
        let mut station = Namespace::new(format!("{unique}-s"), "secc0")?;
        let mut car = Namespace::new(format!("{unique}-c"), "evcc0")?;
        ip(&[
            "link",
            "add",
            station.interface,
            "netns",
            &station.name,
            "type",
            "veth",
            "peer",
            "name",
            car.interface,
            "netns",
            &car.name,
        ])?;
        station.up()?;
        car.up()?;
        station.learn_address()?;
        car.learn_address()?;
        Ok(Self {
            station,
            car,
            _turn: turn,
        })
    }
}

/// One end: a network namespace with a loopback and one Ethernet interface.
#[derive(Debug)]
pub struct Namespace {
    name: String,
    interface: &'static str,
    index: u32,
    address: Ipv6Addr,
}

impl Namespace {
    fn new(name: String, interface: &'static str) -> Result<Self> {
        ip(&["netns", "add", &name])?;
        let made = Self {
            name,
            interface,
            index: 0,
            address: Ipv6Addr::UNSPECIFIED,
        };
        for setting in [
            "default.accept_dad=0",
            "default.disable_ipv6=0",
            "all.disable_ipv6=0",
        ] {
            let mut command = made.command("sysctl");
            command.arg("-qw").arg(format!("net.ipv6.conf.{setting}"));
            run(command)?;
        }
        ip(&["-n", &made.name, "link", "set", "lo", "up"])?;
        Ok(made)
    }

    fn up(&self) -> Result<()> {
        ip(&["-n", &self.name, "link", "set", self.interface, "up"])
    }

    fn learn_address(&mut self) -> Result<()> {
        let until = Instant::now() + Duration::from_secs(5);
        loop {
            let out = ip_output(&[
                "-n",
                &self.name,
                "-6",
                "-o",
                "addr",
                "show",
                "dev",
                self.interface,
            ])?;
            // Also without duplicate address detection an address is tentative for a moment, and no socket may use it.
            let mut words = out
                .lines()
                .find(|line| line.contains("fe80") && !line.contains("tentative"))
                .unwrap_or_default()
                .split_whitespace();
            if let Some(index) = words.next().and_then(|w| w.trim_end_matches(':').parse().ok()) {
                let address = words
                    .find(|w| w.starts_with("fe80"))
                    .and_then(|w| w.split('/').next()?.parse().ok());
                if let Some(address) = address {
                    (self.index, self.address) = (index, address);
                    return Ok(());
                }
            }
            if Instant::now() > until {
                bail!("no link-local address on {} in {}", self.interface, self.name);
            }
            thread::sleep(Duration::from_millis(20));
        }
    }

    /// The name `ip netns` knows it by.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The Ethernet interface on the cable.
    #[must_use]
    pub fn interface(&self) -> &str {
        self.interface
    }

    /// The interface's index inside the namespace (the scope of its link-local address).
    #[must_use]
    pub fn index(&self) -> u32 {
        self.index
    }

    /// The link-local address on the cable.
    #[must_use]
    pub fn address(&self) -> Ipv6Addr {
        self.address
    }

    /// The link-local address with `port` and scope, as sockets want it.
    #[must_use]
    pub fn socket(&self, port: u16) -> SocketAddrV6 {
        SocketAddrV6::new(self.address, port, 0, self.index)
    }

    /// A command that will run inside (`ip netns exec`, which replaces itself by the program).
    #[must_use]
    pub fn command(&self, program: impl AsRef<std::ffi::OsStr>) -> Command {
        let mut command = Command::new("ip");
        command.args(["netns", "exec", &self.name]).arg(program);
        command
    }

    /// A tokio runtime whose threads all live inside: sockets made on it are on this end of the cable. Enter the
    /// namespace with [`Self::block_on`]; a `block_on` of the runtime itself would stay on the caller's thread.
    ///
    /// # Errors
    /// When the namespace is gone or the runtime cannot start.
    pub fn runtime(&self) -> Result<Runtime> {
        let name = self.name.clone();
        Builder::new_multi_thread()
            .worker_threads(2)
            .enable_all()
            // A thread that failed to move would test the wrong network, silently.
            .on_thread_start(move || enter(&name).unwrap_or_else(|e| panic!("{e:#}")))
            .build()
            .context("starting a runtime in a namespace")
    }

    /// Runs a future to its end inside the namespace, on a thread (and worker threads) of its own; a panic in it
    /// panics here.
    ///
    /// # Errors
    /// When the namespace cannot be entered.
    pub fn block_on<F, Fut, T>(&self, make: F) -> Result<T>
    where
        F: FnOnce() -> Fut + Send,
        Fut: Future<Output = T>,
        T: Send,
    {
        let test = thread::current().name().unwrap_or("unnamed").to_owned();
        thread::scope(|scope| {
            let inside = thread::Builder::new().name(test).spawn_scoped(scope, || {
                enter(&self.name)?;
                let runtime = self.runtime()?;
                let answer = runtime.block_on(make());
                runtime.shutdown_timeout(Duration::from_secs(2));
                Ok(answer)
            });
            match inside.context("starting a thread")?.join() {
                Ok(answer) => answer,
                Err(panic) => std::panic::resume_unwind(panic),
            }
        })
    }
}

impl Drop for Namespace {
    fn drop(&mut self) {
        remove(&self.name);
    }
}

/// Moves the calling thread into a namespace, for good.
fn enter(name: &str) -> Result<()> {
    let path = format!("/run/netns/{name}");
    let file = File::open(&path).with_context(|| format!("opening {path}"))?;
    move_into_link_name_space(file.as_fd(), Some(LinkNameSpaceType::Network))
        .with_context(|| format!("entering namespace {name}"))
}

/// Kills what still runs inside, then deletes. Threads of this very process may be listed: they are left alone.
fn remove(name: &str) {
    for pid in ip_output(&["netns", "pids", name])
        .unwrap_or_default()
        .split_whitespace()
    {
        let pid = pid
            .parse()
            .ok()
            .filter(|pid| Some(*pid) != i32::try_from(std::process::id()).ok());
        if let Some(pid) = pid.and_then(rustix::process::Pid::from_raw) {
            let _ = rustix::process::kill_process(pid, rustix::process::Signal::KILL);
        }
    }
    let _ = ip(&["netns", "del", name]);
}

/// Removes what a killed test process left behind: its id is part of the name.
fn sweep() {
    for line in ip_output(&["netns", "list"]).unwrap_or_default().lines() {
        let Some(name) = line.split_whitespace().next() else {
            continue;
        };
        let owner = name.strip_prefix(PREFIX).and_then(|rest| rest.split('-').next());
        if let Some(owner) = owner.filter(|pid| pid.parse::<u32>().is_ok())
            && !std::path::Path::new("/proc").join(owner).exists()
        {
            remove(name);
        }
    }
}

fn ip(arguments: &[&str]) -> Result<()> {
    ip_output(arguments).map(drop)
}

fn ip_output(arguments: &[&str]) -> Result<String> {
    let mut command = Command::new("ip");
    command.args(arguments);
    run(command)
}

fn run(mut command: Command) -> Result<String> {
    let out = command.output().with_context(|| format!("running {command:?}"))?;
    if !out.status.success() {
        bail!(
            "{command:?} failed: {}",
            String::from_utf8_lossy(&out.stderr).trim()
        );
    }
    Ok(String::from_utf8_lossy(&out.stdout).into_owned())
}

/// A place among the links that may exist at once.
#[derive(Debug)]
struct Turn;

static FREE: Mutex<u32> = Mutex::new(2);
static FREED: Condvar = Condvar::new();

impl Turn {
    fn take() -> Self {
        let mut free = FREE.lock().unwrap_or_else(PoisonError::into_inner);
        while *free == 0 {
            free = FREED.wait(free).unwrap_or_else(PoisonError::into_inner);
        }
        *free -= 1;
        Self
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        *FREE.lock().unwrap_or_else(PoisonError::into_inner) += 1;
        FREED.notify_one();
    }
}
