//! The simulated cable between a vehicle and one outlet of a station: control pilot and its duty cycle,
//! HomePlug Ethernet frames, and the power path. In one process, or over a Unix socket.
//!
//! One vehicle at a time: a second plug is refused while one is in. Unplugging is dropping an end.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use thiserror::Error;
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::{Semaphore, mpsc};
use tokio_util::sync::CancellationToken;

#[cfg(test)]
mod tests;
mod wire;

/// Largest HomePlug frame that travels on the cable, in bytes: one Ethernet frame.
pub const MAX_FRAME: usize = 1518;

/// How many messages may wait in one direction. A peer that lets more pile up does not read its end:
/// the cable then counts as unplugged, which is the safe reading.
pub const MAX_QUEUED: usize = 1024;

/// How long [`plug_in`] waits for the outlet's greeting.
const GREETING_TIMEOUT: Duration = Duration::from_secs(5);

/// The control pilot as the vehicle sets it (IEC 61851-1 table A.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum PilotState {
    /// Nothing plugged in.
    A,
    /// Plugged in, not ready for energy.
    B,
    /// Ready for energy.
    C,
    /// Ready for energy, ventilation required.
    D,
    /// Pilot shorted or the station without power.
    E,
    /// The station is not available.
    F,
}

impl PilotState {
    /// Whether the vehicle asks for energy: only then may the contactor be closed.
    #[must_use]
    pub const fn wants_energy(self) -> bool {
        matches!(self, Self::C | Self::D)
    }
}

/// What travels from the vehicle to the station.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum ToStation {
    /// The vehicle set the control pilot.
    Pilot(PilotState),
    /// A HomePlug Ethernet frame, at most [`MAX_FRAME`] bytes.
    Frame(Vec<u8>),
    /// AC: the power the vehicle's charger takes, in watts; negative while it feeds back.
    Draw {
        /// Watts into the vehicle.
        watts: f64,
    },
    /// DC: what the battery shows at the inlet.
    Battery {
        /// Its voltage, in volts.
        volts: f64,
        /// State of charge, in per cent.
        soc: f64,
    },
}

/// What travels from the station to the vehicle.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum ToVehicle {
    /// The duty cycle of the control pilot; 5 % demands high-level communication, 100 % is "not ready".
    Pwm {
        /// 0 to 100.
        duty_percent: f64,
    },
    /// A HomePlug Ethernet frame, at most [`MAX_FRAME`] bytes.
    Frame(Vec<u8>),
    /// What the outlet delivers.
    Output {
        /// Volts at the outlet.
        volts: f64,
        /// Amps into the vehicle; negative while it feeds back.
        amps: f64,
        /// Whether the contactor is closed.
        closed: bool,
    },
}

/// The cable cannot be used.
#[derive(Debug, Error)]
pub enum CableError {
    /// The other end is gone, or stopped reading.
    #[error("the cable is unplugged")]
    Unplugged,
    /// A frame larger than [`MAX_FRAME`] was handed in.
    #[error("a frame of {0} bytes does not fit the cable ({MAX_FRAME} at most)")]
    TooLarge(usize),
    /// Another vehicle is plugged in.
    #[error("the outlet {path} is in use by another vehicle")]
    Occupied {
        /// The outlet's socket.
        path: PathBuf,
    },
    /// The socket of the outlet failed.
    #[error("cannot use the outlet {path}")]
    Io {
        /// The outlet's socket.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
}

macro_rules! end {
    ($(#[$doc:meta])* $name:ident sends $out:ident receives $in:ident) => {
        $(#[$doc])*
        #[derive(Debug)]
        pub struct $name {
            to: mpsc::Sender<$out>,
            from: mpsc::Receiver<$in>,
            alive: CancellationToken,
        }

        impl $name {
            /// Sends without waiting. Fails once the other end is gone or has let [`MAX_QUEUED`]
            /// messages pile up; the cable is then unplugged for good.
            pub fn send(&self, message: $out) -> Result<(), CableError> {
                if let $out::Frame(frame) = &message
                    && frame.len() > MAX_FRAME
                {
                    return Err(CableError::TooLarge(frame.len()));
                }
                self.to.try_send(message).map_err(|_| {
                    self.alive.cancel();
                    CableError::Unplugged
                })
            }

            /// The next message; `None` once the other end is gone. Cancel safe.
            pub async fn recv(&mut self) -> Option<$in> {
                tokio::select! {
                    biased;
                    () = self.alive.cancelled() => None,
                    message = self.from.recv() => message,
                }
            }

            /// A message that is already here, if one is.
            pub fn try_recv(&mut self) -> Option<$in> {
                if self.alive.is_cancelled() { None } else { self.from.try_recv().ok() }
            }

            /// Whether the other end is still there.
            #[must_use]
            pub fn is_plugged(&self) -> bool {
                !self.alive.is_cancelled() && !self.to.is_closed()
            }
        }

        impl Drop for $name {
            fn drop(&mut self) {
                self.alive.cancel();
            }
        }
    };
}

end! {
    /// The station's end of a plugged cable. Dropping it throws the vehicle out.
    StationEnd sends ToVehicle receives ToStation
}
end! {
    /// The vehicle's end of a plugged cable. Dropping it unplugs.
    VehicleEnd sends ToStation receives ToVehicle
}

/// Feeds arbitrary bytes to the decoder of both directions; for fuzzing. Panics on a bug only.
pub fn fuzz_messages(mut data: &[u8]) {
    while let Some((header, rest)) = data.split_first_chunk::<{ wire::HEADER }>() {
        let Ok((length, kind)) = wire::announced(*header) else {
            return;
        };
        let Some((body, rest)) = rest.split_at_checked(length) else {
            return;
        };
        again(wire::decode::<ToStation>(kind, body.to_vec()));
        again(wire::decode::<ToVehicle>(kind, body.to_vec()));
        data = rest;
    }

    /// What was read can be written.
    fn again<M: wire::Message>(read: io::Result<M>) {
        if let Ok(message) = read {
            let written = wire::encode(&message, &mut Vec::new());
            assert!(written.is_ok(), "a message that was read cannot be written");
        }
    }
}

/// Both ends of a cable inside one process.
#[must_use]
pub fn in_process() -> (StationEnd, VehicleEnd) {
    let (to_station, from_vehicle) = mpsc::channel(MAX_QUEUED);
    let (to_vehicle, from_station) = mpsc::channel(MAX_QUEUED);
    let alive = CancellationToken::new();
    let station = StationEnd {
        to: to_vehicle,
        from: from_vehicle,
        alive: alive.clone(),
    };
    let vehicle = VehicleEnd {
        to: to_station,
        from: from_station,
        alive,
    };
    (station, vehicle)
}

/// An outlet on a Unix socket that other processes plug into. The socket file is removed on drop.
#[derive(Debug)]
pub struct Outlet {
    path: PathBuf,
    plugged: mpsc::Receiver<StationEnd>,
    stop: CancellationToken,
}

impl Outlet {
    /// Binds the socket, replacing a stale file of an earlier run; only the owner may connect. Must be
    /// called inside a tokio runtime.
    pub fn bind(path: impl Into<PathBuf>) -> Result<Self, CableError> {
        use std::os::unix::fs::PermissionsExt as _;
        let path = path.into();
        let wrap = |source| CableError::Io {
            path: path.clone(),
            source,
        };
        match std::fs::remove_file(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(wrap(error)),
            _ => {}
        }
        let listener = UnixListener::bind(&path).map_err(wrap)?;
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).map_err(wrap)?;
        let (arrivals, plugged) = mpsc::channel(1);
        let stop = CancellationToken::new();
        tokio::spawn(accept(listener, arrivals, stop.clone()));
        Ok(Self { path, plugged, stop })
    }

    /// Where vehicles plug in.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Waits for the next vehicle. Cancel safe.
    pub async fn plugged(&mut self) -> Option<StationEnd> {
        self.plugged.recv().await
    }
}

impl Drop for Outlet {
    fn drop(&mut self) {
        self.stop.cancel();
        let _ = std::fs::remove_file(&self.path);
    }
}

async fn accept(listener: UnixListener, arrivals: mpsc::Sender<StationEnd>, stop: CancellationToken) {
    let slot = Arc::new(Semaphore::new(1));
    loop {
        let accepted = tokio::select! {
            () = stop.cancelled() => return,
            accepted = listener.accept() => accepted,
        };
        let Ok((stream, _)) = accepted else {
            // Out of file descriptors or the like: give the system a moment rather than spin.
            tokio::time::sleep(Duration::from_millis(100)).await;
            continue;
        };
        let Ok(permit) = Arc::clone(&slot).try_acquire_owned() else {
            let _ = stream.try_write(&[wire::REFUSED]);
            continue;
        };
        if stream.try_write(&[wire::WELCOME]).is_err() {
            continue;
        }
        let (end, to, from, alive) = ends(|to, from, alive| StationEnd { to, from, alive });
        tokio::spawn(async move {
            wire::pump(stream, to, from, alive).await;
            drop(permit);
        });
        if arrivals.send(end).await.is_err() {
            return;
        }
    }
}

/// Plugs into an outlet of another process.
pub async fn plug_in(path: impl AsRef<Path>) -> Result<VehicleEnd, CableError> {
    let path = path.as_ref();
    let wrap = |source| CableError::Io {
        path: path.to_owned(),
        source,
    };
    let stream = UnixStream::connect(path).await.map_err(wrap)?;
    let greeting = tokio::time::timeout(GREETING_TIMEOUT, wire::greeting(&stream)).await;
    match greeting {
        Ok(Ok(wire::WELCOME)) => {}
        Ok(Ok(_)) => {
            return Err(CableError::Occupied {
                path: path.to_owned(),
            });
        }
        Ok(Err(source)) => return Err(wrap(source)),
        Err(_) => return Err(wrap(io::ErrorKind::TimedOut.into())),
    }
    let (end, to, from, alive) = ends(|to, from, alive| VehicleEnd { to, from, alive });
    tokio::spawn(wire::pump(stream, to, from, alive));
    Ok(end)
}

type Ends<E, O, I> = (E, mpsc::Receiver<O>, mpsc::Sender<I>, CancellationToken);

/// An end made by `make`, and the far sides of its two queues for the pump.
fn ends<E, O, I>(
    make: impl FnOnce(mpsc::Sender<O>, mpsc::Receiver<I>, CancellationToken) -> E,
) -> Ends<E, O, I> {
    let (to, outgoing) = mpsc::channel(MAX_QUEUED);
    let (incoming, from) = mpsc::channel(MAX_QUEUED);
    let alive = CancellationToken::new();
    (make(to, from, alive.clone()), outgoing, incoming, alive)
}
