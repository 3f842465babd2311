//! The certificates of `up`'s listeners and of what signs its bills: looked at each hour, replaced while everything
//! runs. The signer of contract data looks after itself: it is judged whenever a contract is made.

use std::sync::Arc;
use std::time::Duration;

use gridlatch_host::{Hub, Shutdown, now};
use gridlatch_pki::dev::DevPki;
use gridlatch_platform::{BillSigner, PlatformState};
use gridlatch_tls::{Credential, PlatformServer, WebServer};
use gridlatch_vocab::catalogue::rollover;
use gridlatch_vocab::{Event, EventSink as _};

/// How often.
const LOOK: Duration = Duration::from_secs(3600);

/// What shows the platform's certificate: the port of the stations, and enrolment; and what signs its bills.
pub(super) struct Listeners {
    pub(super) platform: Arc<PlatformServer>,
    pub(super) web: Arc<WebServer>,
    pub(super) bills: PlatformState,
}

/// Looks until it is told to stop.
pub(super) async fn keep(
    pki: Arc<DevPki>,
    listeners: Listeners,
    (mut shown, mut signs): (Credential, Credential),
    hub: Hub,
    shutdown: Shutdown,
) {
    loop {
        tokio::select! {
            () = shutdown.cancelled() => return,
            () = tokio::time::sleep(LOOK) => {
                listeners.look(&pki, &mut shown, &hub);
                listeners.look_at_bills(&pki, &mut signs, &hub).await;
            }
        }
    }
}

impl Listeners {
    /// The development PKI issues another certificate in the last third of the old one's life.
    fn look(&self, pki: &DevPki, shown: &mut Credential, hub: &Hub) {
        let kept = |reason: String| {
            let text = format!("the certificate of the platform's listeners is not replaced: {reason}");
            hub.emit(Event::new(now(), rollover::LISTENER_KEPT, "host", text));
        };
        let next = match pki.platform_server() {
            Ok(next) if next.chain == shown.chain => return,
            Ok(next) => next,
            Err(error) => return kept(error.to_string()),
        };
        let replaced = self
            .platform
            .replace(next.clone())
            .and_then(|()| self.web.replace(next.clone()));
        if let Err(error) = replaced {
            return kept(error.to_string());
        }
        *shown = next;
        let text = "the ports of stations and of enrolment show a new certificate";
        hub.emit(Event::new(now(), rollover::CREDENTIALS_SWAPPED, "host", text));
    }
}

impl Listeners {
    /// The same for what signs bills; bills that wait for it are issued.
    async fn look_at_bills(&self, pki: &DevPki, signs: &mut Credential, hub: &Hub) {
        let next = match pki.bill_signer() {
            Ok(next) if next.chain == signs.chain => return,
            Ok(next) => next,
            Err(error) => {
                let text = format!("the certificate that signs bills is not replaced: {error}");
                return hub.emit(Event::new(now(), rollover::LISTENER_KEPT, "host", text));
            }
        };
        let signer = BillSigner {
            chain: next.chain.clone(),
            key: Arc::clone(&next.key),
        };
        self.bills.replace_bill_signer(signer).await;
        *signs = next;
        let text = "bills are signed with a new certificate";
        hub.emit(Event::new(now(), rollover::CREDENTIALS_SWAPPED, "host", text));
    }
}

#[cfg(test)]
mod tests {
    use gridlatch_host::HubConfig;
    use gridlatch_pki::dev;
    use gridlatch_platform::{Plaintext, Platform, PlatformConfig};
    use gridlatch_store::Store;
    use gridlatch_tls::{
        Handshake, PlatformClient, PlatformClientConfig, PlatformServerConfig, TlsStream, WebServerConfig,
    };
    use gridlatch_trust::certificate;
    use gridlatch_vocab::Timestamp;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::{TcpListener, TcpStream};

    use super::*;

    const PATIENCE: Duration = Duration::from_secs(20);

    async fn pipe() -> (TcpStream, TcpStream) {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        let (near, far) = tokio::join!(TcpStream::connect(address), listener.accept());
        (near.unwrap(), far.unwrap().0)
    }

    async fn with_platform(
        station: &PlatformClient,
        server: &PlatformServer,
    ) -> ((TlsStream, Handshake), TlsStream) {
        let (near, far) = pipe().await;
        let (ours, theirs) = tokio::join!(station.connect(near, "127.0.0.1"), server.accept(far));
        (ours.unwrap(), theirs.unwrap().0)
    }

    #[tokio::test]
    async fn a_certificate_that_is_due_changes_on_listeners_in_use_and_open_connections_go_on() {
        let folder = tempfile::tempdir().unwrap();
        let hub = Hub::new(HubConfig::default(), None);
        // A year before the last day: due, and still valid.
        let first = dev::ensure(folder.path(), &hub, now())
            .unwrap()
            .platform_server()
            .unwrap();
        let life = certificate::summary(&first.chain[0]).unwrap();
        let life = life.not_after.0 - life.not_before.0;
        std::fs::remove_dir_all(folder.path()).unwrap();
        let then = Timestamp(now().0 - life * 0.8);
        let old = dev::ensure(folder.path(), &hub, then)
            .unwrap()
            .platform_server()
            .unwrap();
        let before = dev::ensure(folder.path(), &hub, then).unwrap();
        let signed = before.bill_signer().unwrap();
        let pki = dev::ensure(folder.path(), &hub, now()).unwrap();
        let config = PlatformConfig {
            bill_signer: Some(BillSigner {
                chain: signed.chain.clone(),
                key: Arc::clone(&signed.key),
            }),
            ..PlatformConfig::default()
        };
        let store = Store::open(":memory:").await.unwrap();
        let shutdown = Shutdown::new();
        let platform = Platform::start(config, Plaintext, store, hub.clone(), shutdown.clone())
            .await
            .unwrap();
        let listeners = Listeners {
            bills: platform.state.clone(),
            platform: Arc::new(
                PlatformServer::new(PlatformServerConfig {
                    credential: old.clone(),
                    station_roots: pki.csms_roots(),
                    handshake_timeout: PATIENCE,
                })
                .unwrap(),
            ),
            web: Arc::new(
                WebServer::new(WebServerConfig {
                    credential: old.clone(),
                    client_roots: pki.csms_roots(),
                    handshake_timeout: PATIENCE,
                })
                .unwrap(),
            ),
        };
        let station = PlatformClient::new(PlatformClientConfig {
            identity: pki.station_client(&"GL-1".parse().unwrap()).unwrap(),
            platform_roots: pki.csms_roots(),
            handshake_timeout: PATIENCE,
        })
        .unwrap();
        let ((mut open, seen), mut served) = with_platform(&station, &listeners.platform).await;
        assert_eq!(seen.peer_chain[0], old.chain[0]);

        let mut shown = old.clone();
        listeners.look(&pki, &mut shown, &hub);
        listeners.look(&pki, &mut shown, &hub);
        assert_ne!(shown.chain[0], old.chain[0]);
        let ((_, seen), _) = with_platform(&station, &listeners.platform).await;
        assert_eq!(seen.peer_chain[0], shown.chain[0]);
        let (near, far) = pipe().await;
        let (ours, theirs) = tokio::join!(station.connect(near, "127.0.0.1"), listeners.web.accept(far));
        theirs.unwrap();
        assert_eq!(ours.unwrap().1.peer_chain[0], shown.chain[0]);
        open.write_all(b"still").await.unwrap();
        let mut heard = [0; 5];
        served.read_exact(&mut heard).await.unwrap();
        assert_eq!(&heard, b"still");
        let codes: Vec<_> = hub.recent(100).iter().map(|event| event.code).collect();
        let swaps = codes
            .iter()
            .filter(|code| **code == rollover::CREDENTIALS_SWAPPED);
        assert_eq!(swaps.count(), 1, "{codes:?}");

        let mut signs = signed.clone();
        listeners.look_at_bills(&pki, &mut signs, &hub).await;
        listeners.look_at_bills(&pki, &mut signs, &hub).await;
        assert_ne!(signs.chain[0], signed.chain[0]);
        let swaps = hub.recent(100);
        let swaps = swaps
            .iter()
            .filter(|event| event.code == rollover::CREDENTIALS_SWAPPED);
        assert_eq!(swaps.count(), 2, "the listeners, and the bills");

        // A PKI that cannot issue: said, and what is shown stays.
        std::fs::remove_dir_all(folder.path()).unwrap();
        listeners.look(&pki, &mut shown, &hub);
        assert!(
            hub.recent(100)
                .iter()
                .any(|event| event.code == rollover::LISTENER_KEPT)
        );
        let ((_, seen), _) = with_platform(&station, &listeners.platform).await;
        assert_eq!(seen.peer_chain[0], shown.chain[0]);
    }
}
