//! One vehicle at one station: a handshake over real sockets, and what each side makes of it.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use anyhow::{Context as _, Result};
use gridlatch_keys::OpensslVerifier;
use gridlatch_tls::{
    Generation, Handshake, Judging, Refusal, TlsStream, VehicleClient, VehicleClientConfig, VehicleServer,
    refusal_of,
};
use gridlatch_trust::Profile;
use gridlatch_trust::profile::Kind;
use gridlatch_trust::verdict::check_with;
use gridlatch_vocab::catalogue::tls;
use gridlatch_vocab::{Code, Timestamp};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

/// How long a handshake may take: far above what a loaded machine needs.
pub(super) const TIMEOUT: Duration = Duration::from_secs(20);

/// Which side said no.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Side {
    Vehicle,
    Station,
}

impl Side {
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Vehicle => "vehicle",
            Self::Station => "station",
        }
    }
}

/// The vehicle of a row.
#[derive(Debug, Clone)]
pub(super) struct Car {
    pub(super) config: VehicleClientConfig,
    pub(super) judging: Judging,
    /// Whether it holds the station's chain against its profile once TLS is up, as a vehicle that
    /// keeps to the standard does.
    pub(super) checks_profile: bool,
    /// What it does about revocation; nothing for a vehicle that does not look.
    pub(super) revocation: Option<super::revocation::Policy>,
}

/// The station of a row.
pub(super) struct Post {
    pub(super) server: VehicleServer,
    /// Roots of vehicle certificates it trusts.
    pub(super) vehicle_roots: Vec<Vec<u8>>,
}

/// What one side says at the end.
#[derive(Debug, Clone)]
pub(super) struct Said {
    pub(super) code: Code,
    pub(super) message: String,
}

/// One handshake as both sides saw it.
#[derive(Debug, Clone)]
pub(super) struct Met {
    /// `None` where the two came to terms.
    pub(super) refused_by: Option<Side>,
    /// The refusing side's code, or `tls.established`.
    pub(super) code: Code,
    /// The alert on the wire, where TLS carried the refusal.
    pub(super) alert: Option<u8>,
    /// Certificates the vehicle was shown, where the handshake got that far.
    pub(super) chain: Option<usize>,
    /// The vehicle's time from ClientHello to the end of its handshake, or to its refusal.
    pub(super) took: Duration,
    /// What went over the wire until the first answered message, or the end; only where it was counted.
    pub(super) bytes: Option<u64>,
    /// Which credential the station showed.
    pub(super) shown: Option<String>,
    pub(super) vehicle: Said,
    pub(super) station: Said,
}

/// Runs one handshake and whatever the two check after it. With `count`, a relay between them counts
/// the octets; its time is then not representative.
pub(super) async fn meet(car: &Car, post: &Post, now: Timestamp, count: bool) -> Result<Met> {
    let client = VehicleClient::judging(car.config.clone(), car.judging)?;
    let counted = Arc::new(AtomicU64::new(0));
    let (near, far) = sockets(count.then(|| Arc::clone(&counted))).await?;
    let started = std::time::Instant::now();
    // Each side closes its socket as soon as it has an opinion, so that the other learns of it.
    let vehicle = async {
        let result = client.connect(near, None).await;
        let took = started.elapsed();
        (vehicle_side(car, result, now).await, took)
    };
    let station =
        async { station_side(post, car.config.generation, post.server.accept(far).await, now).await };
    let ((vehicle, took), station) = tokio::join!(vehicle, station);
    let (refused_by, code, alert) = blame(&vehicle, &station);
    Ok(Met {
        refused_by,
        code,
        alert,
        chain: vehicle.chain,
        took,
        bytes: count.then(|| counted.load(Ordering::Relaxed)),
        shown: station.shown.clone(),
        vehicle: vehicle.said(),
        station: station.said(),
    })
}

/// One side's end of the story.
struct End {
    /// Why it or its peer said no.
    refusal: Option<Refusal>,
    handshake: Option<String>,
    chain: Option<usize>,
    shown: Option<String>,
}

impl End {
    fn said(&self) -> Said {
        match &self.refusal {
            Some(refusal) => Said {
                code: refusal.code,
                message: refusal.message.clone(),
            },
            None => Said {
                code: tls::ESTABLISHED,
                message: self.handshake.clone().unwrap_or_default(),
            },
        }
    }
}

/// Who refused: the side that judged, not the one that was told by an alert or a closed connection.
fn blame(vehicle: &End, station: &End) -> (Option<Side>, Code, Option<u8>) {
    let alert = [vehicle, station]
        .iter()
        .find_map(|end| end.refusal.as_ref().and_then(|refusal| refusal.alert));
    let judged = |end: &End| {
        end.refusal
            .clone()
            .filter(|refusal| refusal.alert.is_none() && refusal.code != tls::CONNECTION_LOST)
    };
    if let Some(refusal) = judged(vehicle) {
        return (Some(Side::Vehicle), refusal.code, alert);
    }
    if let Some(refusal) = judged(station) {
        return (Some(Side::Station), refusal.code, alert);
    }
    // Both were only told something: name what was told.
    match (&vehicle.refusal, &station.refusal) {
        (Some(refusal), _) => (Some(Side::Station), refusal.code, alert),
        (None, Some(refusal)) => (Some(Side::Vehicle), refusal.code, alert),
        (None, None) => (None, tls::ESTABLISHED, None),
    }
}

async fn vehicle_side(car: &Car, result: Result<(TlsStream, Handshake), Refusal>, now: Timestamp) -> End {
    let (mut stream, handshake) = match result {
        Ok(up) => up,
        Err(refusal) => return refused(refusal),
    };
    let mut end = up(&handshake);
    end.chain = Some(handshake.peer_chain.len());
    if car.checks_profile {
        let profile = Profile {
            kind: Kind::SeccLeaf,
            generation: car.config.generation,
        };
        let clock = car.judging.clock.unwrap_or(now);
        let verdict = check_with(
            &handshake.peer_chain,
            &car.config.roots,
            profile,
            clock,
            &OpensslVerifier,
        );
        let judged = verdict
            .map_err(|rejected| (rejected.code, rejected.message))
            .and_then(|accepted| match car.revocation {
                Some(policy) => policy.judge(handshake.staple.as_deref(), &accepted, clock),
                None => Ok(String::new()),
            });
        match judged {
            Ok(note) => end.note(&note),
            Err((code, message)) => end.refusal = Some(own(code, &message)),
        }
        if end.refusal.is_some() {
            // Leaving without a word is all a vehicle can do once TLS is up.
            let _ = stream.shutdown().await;
            return end;
        }
    }
    let mut answer = [0; 4];
    let talk = async {
        stream.write_all(b"ping").await?;
        stream.read_exact(&mut answer).await
    };
    if let Err(error) = talk.await {
        // In TLS 1.3 the station judges the vehicle after the vehicle's handshake is over.
        end.refusal =
            Some(refusal_of(&error).unwrap_or_else(|| own(tls::CONNECTION_LOST, &error.to_string())));
    }
    end
}

async fn station_side(
    post: &Post,
    generation: Generation,
    result: Result<(TlsStream, Handshake), Refusal>,
    now: Timestamp,
) -> End {
    let (mut stream, handshake) = match result {
        Ok(up) => up,
        Err(refusal) => return refused(refusal),
    };
    let mut end = up(&handshake);
    end.shown = handshake.own_label.clone();
    if generation == Generation::Iso20 {
        let profile = Profile::iso20(Kind::VehicleLeaf);
        let verdict = check_with(
            &handshake.peer_chain,
            &post.vehicle_roots,
            profile,
            now,
            &OpensslVerifier,
        );
        if let Err(rejected) = verdict {
            end.refusal = Some(own(rejected.code, &rejected.message));
            let _ = stream.shutdown().await;
            return end;
        }
    }
    let mut message = [0; 4];
    let talk = async {
        stream.read_exact(&mut message).await?;
        stream.write_all(b"pong").await
    };
    if let Err(error) = talk.await {
        end.refusal = Some(refusal_of(&error).unwrap_or_else(|| {
            own(
                tls::CONNECTION_LOST,
                "the vehicle ended the connection after the handshake, before its first message",
            )
        }));
    }
    end
}

impl End {
    fn note(&mut self, note: &str) {
        if let (Some(text), false) = (&mut self.handshake, note.is_empty()) {
            text.push_str("; ");
            text.push_str(note);
        }
    }
}

fn up(handshake: &Handshake) -> End {
    let group = handshake.group.as_deref().unwrap_or("?");
    let shown = handshake
        .own_label
        .as_ref()
        .map(|label| format!(", shown {label:?}"))
        .unwrap_or_default();
    End {
        refusal: None,
        handshake: Some(format!(
            "{}, {}, {group}{shown}, peer's chain {} certificates",
            handshake.version,
            handshake.suite,
            handshake.peer_chain.len()
        )),
        chain: None,
        shown: None,
    }
}

fn refused(refusal: Refusal) -> End {
    End {
        refusal: Some(refusal),
        handshake: None,
        chain: None,
        shown: None,
    }
}

fn own(code: Code, message: &str) -> Refusal {
    Refusal {
        code,
        message: message.to_owned(),
        alert: None,
    }
}

/// Two ends of one TCP connection on loopback, through a counting relay if one is asked for.
async fn sockets(count: Option<Arc<AtomicU64>>) -> Result<(TcpStream, TcpStream)> {
    let listener = TcpListener::bind(("127.0.0.1", 0))
        .await
        .context("no socket on loopback")?;
    let address = listener.local_addr()?;
    let Some(counted) = count else {
        let (near, far) = tokio::try_join!(TcpStream::connect(address), listener.accept())?;
        return Ok((near, far.0));
    };
    let relay = TcpListener::bind(("127.0.0.1", 0)).await?;
    let relay_address = relay.local_addr()?;
    let (near, relayed) = tokio::try_join!(TcpStream::connect(relay_address), relay.accept())?;
    let (onward, far) = tokio::try_join!(TcpStream::connect(address), listener.accept())?;
    let (near_read, near_write) = relayed.0.into_split();
    let (far_read, far_write) = onward.into_split();
    tokio::spawn(pump(near_read, far_write, Arc::clone(&counted)));
    tokio::spawn(pump(far_read, near_write, counted));
    Ok((near, far.0))
}

async fn pump(
    mut from: tokio::net::tcp::OwnedReadHalf,
    mut to: tokio::net::tcp::OwnedWriteHalf,
    counted: Arc<AtomicU64>,
) {
    let mut buffer = vec![0; 16 * 1024];
    while let Ok(read @ 1..) = from.read(&mut buffer).await {
        counted.fetch_add(read as u64, Ordering::Relaxed);
        if to
            .write_all(buffer.get(..read).unwrap_or_default())
            .await
            .is_err()
        {
            break;
        }
    }
    let _ = to.shutdown().await;
}
