//! Where a command gets revocation lists and OCSP answers from: files, and on request the places that
//! certificates name.

use std::net::IpAddr;
use std::path::{Path, PathBuf};

use gridlatch_fetch::{Revocation, RevocationConfig};
use gridlatch_trust::verdict::{AllowedPlaces, Evidence, Source};
use gridlatch_trust::{certificate, crl};
use serde_json::{Value, json};

/// The largest file that is read as a revocation list, bytes.
const MAX_LIST: u64 = 16 * 1024 * 1024;
/// The largest file that is read as an OCSP answer, bytes.
const MAX_ANSWER: u64 = 64 * 1024;
/// Places that certificates name and that are asked for one verdict.
const MAX_PLACES: usize = 8;

/// What a command may know and ask about revocation.
#[derive(Debug, Clone, Default, clap::Args)]
pub(crate) struct EvidenceArgs {
    /// A revocation list (DER or PEM; may be repeated)
    #[arg(long, value_name = "FILE")]
    crl: Vec<PathBuf>,
    /// An OCSP answer in DER (may be repeated)
    #[arg(long, value_name = "FILE")]
    ocsp: Vec<PathBuf>,
    /// Ask the OCSP responders and fetch the lists that the certificates name, if they are at public
    /// addresses; with =HOST or =HOST:PORT (may be repeated) exactly these places. Without it nobody is asked
    #[arg(
        long,
        value_name = "HOST[:PORT]",
        num_args = 0..=1,
        require_equals = true,
        default_missing_value = ""
    )]
    fetch: Vec<String>,
}

/// What came of asking.
#[derive(Debug, Default)]
pub(crate) struct Asked {
    /// Addresses that the certificates name.
    pub(crate) named: Vec<String>,
    /// Whether anybody was to be asked at all.
    pub(crate) wanted: bool,
    /// The places that were allowed.
    pub(crate) places: Vec<String>,
    /// What could not be had, and who was not asked.
    pub(crate) notes: Vec<String>,
    /// What was.
    pub(crate) evidence: Evidence,
}

impl EvidenceArgs {
    /// What the files hold.
    pub(crate) fn read(&self) -> Result<Evidence, String> {
        let mut evidence = Evidence::default();
        for path in &self.crl {
            let named = |error: String| format!("{}: {error}", path.display());
            let octets = bounded(path, MAX_LIST)?;
            let der = if octets.first() == Some(&0x30) {
                octets
            } else {
                gridlatch_pki::ca::from_pem_block(&octets, "X509 CRL")
                    .ok_or_else(|| named("holds no revocation list".to_owned()))?
            };
            evidence.add_crl(&der).map_err(|error| named(error.to_string()))?;
        }
        for path in &self.ocsp {
            let der = bounded(path, MAX_ANSWER)?;
            evidence
                .add_ocsp(&der, Source::Cached)
                .map_err(|error| format!("{}: {error}", path.display()))?;
        }
        Ok(evidence)
    }

    /// Asks about a path that holds (DER: leaf first, its anchor last), if that was asked for.
    pub(crate) async fn ask(&self, path: &[Vec<u8>]) -> Asked {
        let mut asked = Asked {
            named: named(path),
            wanted: !self.fetch.is_empty(),
            ..Asked::default()
        };
        let (Some((anchor, below)), true) = (path.split_last(), asked.wanted) else {
            return asked;
        };
        let given = self.fetch.iter().filter(|place| !place.is_empty());
        asked.places = given.cloned().collect();
        if asked.places.is_empty() {
            for url in &asked.named {
                match public(url).await {
                    Ok(place) if asked.places.contains(&place) => {}
                    Ok(_) if asked.places.len() == MAX_PLACES => {
                        asked
                            .notes
                            .push(format!("{url} is not asked: {MAX_PLACES} places are enough"));
                    }
                    Ok(place) => asked.places.push(place),
                    Err(why) => asked.notes.push(format!("{url} is not asked: {why}")),
                }
            }
        }
        let places = AllowedPlaces::new(asked.places.iter().cloned());
        let source = Revocation::new(RevocationConfig::new(places));
        let gathered = source.gather(below, anchor).await;
        asked.evidence = gathered.evidence;
        let notes = gathered.notes.into_iter();
        asked
            .notes
            .extend(notes.map(|note| format!("certificate {}: {}", note.depth, note.why)));
        asked
    }
}

impl Asked {
    /// For people, one line each.
    pub(crate) fn lines(&self) -> Vec<String> {
        if !self.wanted {
            return if self.named.is_empty() {
                Vec::new()
            } else {
                vec![format!(
                    "nobody was asked; --fetch asks {}",
                    self.named.join(", ")
                )]
            };
        }
        let mut lines = vec![if self.places.is_empty() {
            "from nowhere".to_owned()
        } else {
            format!("from {}", self.places.join(", "))
        }];
        lines.extend(self.notes.iter().cloned());
        lines
    }

    /// For programs.
    pub(crate) fn json(&self) -> Value {
        json!({
            "named": self.named, "asked": self.wanted, "places": self.places, "notes": self.notes,
        })
    }
}

fn bounded(path: &Path, most: u64) -> Result<Vec<u8>, String> {
    super::bounded::read(path, most).map_err(|error| format!("{}: {error}", path.display()))
}

/// Where the certificates of a path say that they can be asked about.
fn named(path: &[Vec<u8>]) -> Vec<String> {
    let mut urls: Vec<String> = Vec::new();
    for pair in path.windows(2) {
        let [subject, issuer] = pair else { continue };
        let responder = certificate::hash_data(subject, issuer).ok();
        let responder = responder.and_then(|data| data.responder_url);
        for url in responder.into_iter().chain(crl::distribution_points(subject)) {
            // What a certificate says is shown: no control characters, no endless lines.
            let shown: String = url.chars().filter(|c| !c.is_control()).take(200).collect();
            if !urls.contains(&shown) {
                urls.push(shown);
            }
        }
    }
    urls
}

/// The place of an address, if the whole world may ask there. A certificate can name any machine of this
/// network; those are asked only when a person names them.
async fn public(url: &str) -> Result<String, String> {
    let rest = url.strip_prefix("http://").ok_or("it is not plain HTTP")?;
    let place = rest.split('/').next().unwrap_or_default().to_ascii_lowercase();
    let (host, port) = match place.rsplit_once(':') {
        Some((host, port)) if !port.contains(']') => {
            (host, port.parse().map_err(|_| "its port is no number")?)
        }
        _ => (place.as_str(), 80),
    };
    let host = host.trim_start_matches('[').trim_end_matches(']');
    let found = tokio::time::timeout(
        std::time::Duration::from_secs(3),
        tokio::net::lookup_host((host, port)),
    );
    let found: Vec<IpAddr> = match found.await {
        Ok(Ok(found)) => found.map(|address| address.ip()).collect(),
        _ => return Err("its name cannot be resolved".to_owned()),
    };
    if found.is_empty() || !found.iter().all(|address| is_public(*address)) {
        return Err(format!(
            "it is not at a public address; name it with --fetch={place} if you trust it"
        ));
    }
    Ok(place)
}

fn is_public(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(v4) => {
            let [a, b, ..] = v4.octets();
            !(v4.is_private()
                || v4.is_loopback()
                || v4.is_link_local()
                || v4.is_multicast()
                || a == 0
                || a >= 240
                || (a == 100 && (64..128).contains(&b)))
        }
        IpAddr::V6(v6) => match v6.to_ipv4_mapped() {
            Some(v4) => is_public(IpAddr::V4(v4)),
            None => {
                !(v6.is_loopback()
                    || v6.is_unspecified()
                    || v6.is_multicast()
                    || v6.is_unique_local()
                    || v6.is_unicast_link_local())
            }
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn certificates_send_nobody_to_machines_of_this_network() {
        for url in [
            "http://127.0.0.1/ocsp",
            "http://10.1.2.3:8080/",
            "http://169.254.169.254/latest",
            "http://100.64.0.1/",
            "http://[::1]:80/",
            "http://[fe80::1]/",
            "http://[::ffff:192.168.0.1]/",
            "http://localhost/",
            "http://0.0.0.0/",
            "https://8.8.8.8/",
            "ldap://8.8.8.8/",
            "http://8.8.8.8:port/",
        ] {
            assert!(public(url).await.is_err(), "{url}");
        }
        assert_eq!(public("http://8.8.8.8/a.crl").await.unwrap(), "8.8.8.8");
        assert_eq!(
            public("http://[2001:4860::1]:8080/x").await.unwrap(),
            "[2001:4860::1]:8080"
        );
    }
}
