//! One question for every peer: was a certificate on its path revoked, as far as can be learnt in time?

use core::time::Duration;

use gridlatch_trust::Verify;
use gridlatch_trust::verdict::{Checked, Policy, Source, Unfit, standing};
use gridlatch_vocab::Timestamp;

use crate::revocation::{Gathered, Note, Revocation};

/// Where revocation is asked, what the answer must be, and how long anybody waits for it. Cheap to clone;
/// all clones share one memory.
#[derive(Debug, Clone)]
pub struct RevocationCheck {
    /// Fetches answers and lists.
    pub source: Revocation,
    /// What to do about the unknown, and which certificates are asked about.
    pub policy: Policy,
    /// How long one check may take. What is not known by then counts as unknown; it is fetched to its end
    /// nevertheless, for the next check.
    pub patience: Duration,
    /// How often a connection that lasts is asked about again.
    pub again: Duration,
}

/// A check that holds up a peer for no longer than its own protocol allows: ISO 15118 gives a station two
/// seconds for its first answer.
const PATIENCE: Duration = Duration::from_millis(1500);
/// A revocation ends a lasting connection after this at the latest, and after what a [`Revocation`] keeps.
const AGAIN: Duration = Duration::from_secs(60);

impl RevocationCheck {
    /// With the usual times: 1.5 s for a check, and a minute between two of a connection that lasts.
    #[must_use]
    pub const fn new(source: Revocation, policy: Policy) -> Self {
        Self {
            source,
            policy,
            patience: PATIENCE,
            again: AGAIN,
        }
    }

    /// Asks about `path` (DER: leaf first, its anchor last), which somebody has verified. `staple` is what the
    /// peer showed about its leaf.
    ///
    /// # Errors
    /// A certificate was revoked, or nothing is known and the policy does not tolerate that; the message
    /// names it and says who did not answer.
    pub async fn standing(
        &self,
        path: &[Vec<u8>],
        staple: Option<&[u8]>,
        now: Timestamp,
        verifier: &(dyn Verify + Sync),
    ) -> Result<Vec<Checked>, Box<Unfit>> {
        let Some((anchor, below)) = path.split_last() else {
            return Ok(Vec::new());
        };
        let mut gathered = self.gathered(below, anchor).await;
        if let Some(staple) = staple
            && let Err(error) = gathered.evidence.add_ocsp(staple, Source::Stapled)
        {
            gathered.notes.push(Note {
                depth: 0,
                why: format!("its staple is not used: {error}"),
            });
        }
        standing(path, now, &gathered.evidence, &self.policy, verifier).map_err(|mut unfit| {
            if unfit.reason.is_none() {
                let depth = unfit.rejected.depth;
                let mine = gathered.notes.iter().filter(|note| Some(note.depth) == depth);
                for note in mine.take(3) {
                    unfit.rejected.message.push_str("; ");
                    unfit.rejected.message.push_str(&note.why);
                }
            }
            unfit
        })
    }

    async fn gathered(&self, below: &[Vec<u8>], anchor: &[u8]) -> Gathered {
        let (source, path, root) = (self.source.clone(), below.to_vec(), anchor.to_vec());
        let asking = tokio::spawn(async move { source.gather(&path, &root).await });
        match tokio::time::timeout(self.patience, asking).await {
            Ok(Ok(gathered)) => gathered,
            _ => Gathered {
                notes: (0..below.len())
                    .map(|depth| Note {
                        depth,
                        why: format!("nobody answered within {} ms", self.patience.as_millis()),
                    })
                    .collect(),
                ..Gathered::default()
            },
        }
    }

    /// Asks about `path` again and again, and ends when a certificate on it is revoked. A responder that is
    /// away ends nothing: whoever was let in stays.
    pub async fn until_revoked(
        &self,
        path: &[Vec<u8>],
        now: impl Fn() -> Timestamp,
        verifier: &(dyn Verify + Sync),
    ) -> Box<Unfit> {
        loop {
            tokio::time::sleep(self.again).await;
            match self.standing(path, None, now(), verifier).await {
                Err(unfit) if unfit.reason.is_some() => return unfit,
                _ => {}
            }
        }
    }
}
