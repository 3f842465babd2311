//! The ports of an EVSE: admits one connection, brings TLS up within its deadline, hands it over.

use std::sync::Arc;

use gridlatch_link::listen::{Admitted, Arrival, Place, Port};
use gridlatch_tls::Handshake;
use gridlatch_vocab::catalogue::{cable, session, tls};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::mpsc;

use crate::report::Reporter;
use crate::vehicles::Vehicles;

/// A byte stream, with or without TLS.
pub(crate) trait Stream: AsyncRead + AsyncWrite + Unpin + Send {}
impl<S: AsyncRead + AsyncWrite + Unpin + Send> Stream for S {}

/// A connection that is ready for V2G.
pub(crate) struct Connection {
    pub(crate) stream: Box<dyn Stream>,
    pub(crate) handshake: Option<Handshake>,
    pub(crate) place: Place,
}

/// Serves the ports of one EVSE until the task is dropped.
pub(crate) async fn serve(
    tls: Option<(Port, Arc<Vehicles>)>,
    plain: Option<Port>,
    connections: mpsc::Sender<Connection>,
    report: Reporter,
) {
    let secure = async {
        let Some((port, vehicles)) = tls else {
            return std::future::pending().await;
        };
        loop {
            let Some(admitted) = admit(&port, &report).await else {
                continue;
            };
            let (vehicles, connections, report) =
                (Arc::clone(&vehicles), connections.clone(), report.clone());
            // In its own task, so that a second connection is refused while this one shakes hands.
            tokio::spawn(async move { secure(&vehicles, admitted, &connections, &report).await });
        }
    };
    let open = async {
        let Some(port) = plain else {
            return std::future::pending().await;
        };
        loop {
            let Some(admitted) = admit(&port, &report).await else {
                continue;
            };
            report.say(session::CONNECTED, "a vehicle connected without TLS");
            let connection = Connection {
                stream: Box::new(admitted.stream),
                handshake: None,
                place: admitted.place,
            };
            if connections.send(connection).await.is_err() {
                return;
            }
        }
    };
    tokio::select! {
        () = secure => {}
        () = open => {}
        () = connections.closed() => {}
    }
}

async fn admit(port: &Port, report: &Reporter) -> Option<Admitted> {
    match port.accept().await {
        Ok(Arrival::Admitted(admitted)) => Some(admitted),
        Ok(Arrival::Refused { .. }) => {
            report.say(
                cable::SECOND_CONNECTION_REFUSED,
                "another connection came while one is being served",
            );
            None
        }
        Err(_) => {
            // Out of descriptors or a connection that was gone already: breathe, go on.
            tokio::time::sleep(std::time::Duration::from_millis(50)).await;
            None
        }
    }
}

async fn secure(
    vehicles: &Vehicles,
    admitted: Admitted,
    connections: &mpsc::Sender<Connection>,
    report: &Reporter,
) {
    let Admitted { stream, place, .. } = admitted;
    match vehicles.accept(stream, report).await {
        Ok((stream, handshake)) => {
            let event = report
                .event(
                    tls::ESTABLISHED,
                    format!("{} with {} is up", handshake.version, handshake.suite),
                )
                .with("version", handshake.version.clone())
                .with("suite", handshake.suite.clone())
                .with("group", handshake.group.clone().unwrap_or_default())
                .with("certificate", handshake.own_label.clone().unwrap_or_default())
                .with("client_certificate", !handshake.peer_chain.is_empty())
                .with("legacy", handshake.legacy)
                .with(
                    "milliseconds",
                    u64::try_from(handshake.duration.as_millis()).unwrap_or(u64::MAX),
                );
            report.emit(event);
            report.say(session::CONNECTED, "a vehicle connected");
            let connection = Connection {
                stream: Box::new(stream),
                handshake: Some(handshake),
                place,
            };
            let _ = connections.send(connection).await;
        }
        Err(refusal) => report.say(refusal.code, refusal.message),
    }
}
