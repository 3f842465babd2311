//! Where a simulated station gets the OCSP answers it staples: the responder that its certificate names, if
//! that is on this machine. A certificate must not be able to send a station anywhere.

use std::time::Duration;

use gridlatch_fetch::{Revocation, RevocationConfig};
use gridlatch_station::{Fetched, StapleSource};
use gridlatch_trust::certificate;
use gridlatch_trust::verdict::AllowedPlaces;

/// `up` starts its stations before its responder: how often a station asks again meanwhile.
const AGAIN: Duration = Duration::from_secs(1);
/// And how many times.
const TIMES: usize = 20;

/// The responders that certificates name.
#[derive(Debug)]
pub(crate) struct Named(Revocation);

impl Named {
    /// Those of `chains` that are on this machine; nothing where no chain's leaf names a responder.
    pub(crate) fn by<'a>(chains: impl Iterator<Item = &'a Vec<Vec<u8>>>) -> Option<Self> {
        let mut places = chains
            .filter_map(|chain| {
                let [leaf, issuer, ..] = &chain[..] else {
                    return None;
                };
                let url = certificate::hash_data(leaf, issuer).ok()?.responder_url?;
                let place = url.strip_prefix("http://")?.split('/').next()?.to_owned();
                let here = place.starts_with("127.0.0.1") || place.starts_with("[::1]");
                here.then_some((place, url))
            })
            .peekable();
        // Sub-CAs name no responder; the one that speaks for the leaf speaks for them too.
        let first = places.peek()?.clone();
        Some(Self(Revocation::new(RevocationConfig {
            default_responder: Some(first.1),
            ..RevocationConfig::new(AllowedPlaces::new(places.map(|(place, _)| place)))
        })))
    }
}

impl StapleSource for Named {
    fn fetch<'a>(&'a self, chain: &'a [Vec<u8>]) -> Fetched<'a> {
        Box::pin(async move {
            let [leaf, issuer, ..] = chain else {
                return Err("the chain does not hold the issuer".to_owned());
            };
            let mut tries = 0;
            loop {
                match self.0.staple(leaf, issuer).await {
                    Err(_) if tries < TIMES => {
                        tries += 1;
                        tokio::time::sleep(AGAIN).await;
                    }
                    done => return done,
                }
            }
        })
    }
}
