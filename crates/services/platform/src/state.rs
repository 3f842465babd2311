//! What every handler, command and REST route shares.

use std::sync::atomic::AtomicI64;
use std::sync::{Arc, PoisonError, RwLock};

use gridlatch_host::{Hub, Shutdown, now};
use gridlatch_store::{Store, StoreError};
use gridlatch_vocab::{Event, EventSink as _, StationId, catalogue};

use crate::campaign::Campaigns;
use crate::registry::Registry;
use crate::signing::Signing;
use crate::trust::Asking;
use crate::{BillSigner, PlatformConfig, billing};

/// The platform. Cheap to clone; all clones are the same platform.
#[derive(Debug, Clone)]
pub struct PlatformState {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    config: PlatformConfig,
    store: Store,
    hub: Hub,
    registry: Registry,
    signing: Signing,
    asking: Asking,
    campaigns: Campaigns,
    shutdown: Shutdown,
    /// What signs bills now; the one of the configuration until it is replaced.
    bill_signer: RwLock<Option<BillSigner>>,
    /// The last charging profile and remote start number given out.
    numbers: AtomicI64,
}

impl PlatformState {
    pub(crate) fn new(
        config: PlatformConfig,
        store: Store,
        hub: Hub,
        shutdown: Shutdown,
        last_number: i64,
    ) -> Self {
        Self {
            inner: Arc::new(Inner {
                bill_signer: RwLock::new(config.bill_signer.clone()),
                config,
                store,
                hub,
                registry: Registry::default(),
                signing: Signing::default(),
                asking: Asking::default(),
                campaigns: Campaigns::default(),
                shutdown,
                numbers: AtomicI64::new(last_number),
            }),
        }
    }

    /// The configuration.
    #[must_use]
    pub fn config(&self) -> &PlatformConfig {
        &self.inner.config
    }

    /// The store.
    #[must_use]
    pub fn store(&self) -> &Store {
        &self.inner.store
    }

    /// The event hub.
    #[must_use]
    pub fn hub(&self) -> &Hub {
        &self.inner.hub
    }

    pub(crate) fn registry(&self) -> &Registry {
        &self.inner.registry
    }

    /// What signs bills now.
    pub(crate) fn bill_signer(&self) -> Option<BillSigner> {
        self.inner
            .bill_signer
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// Bills are signed with this from now on, without a restart; those that wait because the one before had ended
    /// are issued. Bills that were signed keep their signature.
    pub async fn replace_bill_signer(&self, signer: BillSigner) {
        *self
            .inner
            .bill_signer
            .write()
            .unwrap_or_else(PoisonError::into_inner) = Some(signer);
        billing::sweep(self).await;
    }

    /// Stations' requests for certificates that are being answered.
    pub(crate) fn signing(&self) -> &Signing {
        &self.inner.signing
    }

    /// The round in which stations are asked what they hold.
    pub(crate) fn asking(&self) -> &Asking {
        &self.inner.asking
    }

    /// Campaigns that are being driven.
    pub(crate) fn campaigns(&self) -> &Campaigns {
        &self.inner.campaigns
    }

    pub(crate) fn shutdown(&self) -> &Shutdown {
        &self.inner.shutdown
    }

    /// The next number for a charging profile or a remote start; fits OCPP's integers.
    pub(crate) fn next_number(&self) -> i64 {
        let next = self
            .inner
            .numbers
            .fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        next.rem_euclid(i64::from(i32::MAX) - 1) + 1
    }

    /// Whether a station is connected to this process.
    #[must_use]
    pub fn is_connected(&self, station: &StationId) -> bool {
        self.inner.registry.find(station).is_some()
    }

    /// Allows a station to connect.
    pub async fn register_station(&self, station: &StationId) -> Result<(), StoreError> {
        if self.inner.store.station_exists(station).await? {
            return Ok(());
        }
        self.inner.store.station_register(station, now()).await?;
        self.inner.hub.emit(
            Event::new(
                now(),
                catalogue::platform::STATION_REGISTERED,
                crate::SOURCE,
                format!("{station} may connect"),
            )
            .station(station),
        );
        Ok(())
    }

    /// Makes an event of a store failure and hands back what to tell the peer.
    pub(crate) fn store_failed(&self, station: Option<&StationId>, doing: &str, error: &StoreError) {
        let mut event = Event::new(
            now(),
            catalogue::platform::STORE_FAILED,
            crate::SOURCE,
            format!("{doing}: {}", crate::describe(error)),
        );
        event.station = station.cloned();
        self.inner.hub.emit(event);
    }
}
