//! The development PKI as a CA with its services, so that whatever the laptop issued can be asked about,
//! revoked and enrolled for.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use anyhow::Result;
use gridlatch_host::{DataDir, Hub, Shutdown};
use gridlatch_pki::ca::Ca;
use gridlatch_pki::dev::DevPki;
use gridlatch_pki::pools::Pools;

use crate::services::{Places, Services};

/// How often certificates that other processes issued (a vehicle's contract) are taken up.
const LOOK: Duration = Duration::from_secs(1);

/// Serves the CA over the development PKI, and its pools.
pub(super) async fn start(
    places: Places,
    (ca, pools): (&Ca, Pools),
    data: &DataDir,
    pki: &Arc<DevPki>,
    (hub, shutdown): (&Hub, &Shutdown),
) -> Result<Services> {
    let folder = data.dir("pki")?;
    let credential = pki.platform_server()?;
    let services = Services::start(places, ca, &folder, credential, Some(pools), hub, shutdown).await?;
    tokio::spawn(follow(ca.clone(), Arc::clone(pki), folder, shutdown.clone()));
    Ok(services)
}

/// Writes where the services are into the policy, unless somebody has written another place there.
pub(super) async fn name_places(ca: &Ca, places: &Places) -> Result<()> {
    if !places.lasting {
        return Ok(());
    }
    let text = ca.policy_text().await?;
    let line = |line: &str| {
        let plain = line.trim_start_matches(['#', ' ']);
        let ours = line.starts_with('#') || line.contains("//127.0.0.1:");
        if ours && plain.starts_with("ocsp = ") {
            format!("ocsp = \"{}\"", places.ocsp_url())
        } else if ours && plain.starts_with("crl = ") {
            format!("crl = \"{}\"", places.crl_url())
        } else {
            line.to_owned()
        }
    };
    let named: Vec<String> = text.lines().map(line).collect();
    let named = named.join("\n") + "\n";
    if named != text {
        ca.set_policy(&named).await?;
    }
    Ok(())
}

/// Takes up what the development PKI issues from now on, in this process and in others.
async fn follow(ca: Ca, pki: Arc<DevPki>, folder: PathBuf, shutdown: Shutdown) {
    let mut seen = None;
    loop {
        tokio::select! {
            () = shutdown.cancelled() => return,
            () = tokio::time::sleep(LOOK) => {}
        }
        let stamp = stamp(&folder);
        // A failure is tried again with the next look; until then OCSP calls the new ones unknown.
        if seen != Some(stamp) && ca.adopt_issued(&pki).await.is_ok() {
            seen = Some(stamp);
        }
    }
}

/// When anything was last issued in any tree.
fn stamp(folder: &Path) -> [Option<SystemTime>; 3] {
    ["iso2", "iso20", "ocpp"].map(|tree| {
        std::fs::metadata(folder.join(tree).join("issued"))
            .and_then(|metadata| metadata.modified())
            .ok()
    })
}
