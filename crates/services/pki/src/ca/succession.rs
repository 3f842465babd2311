//! The next generation of a tree's V2G root: the root, the CAs that issue for stations below it, the link
//! certificates that join old and new, and the old sub-CA certified by the new root.
//!
//! Nothing is issued below it before [`Ca::issue_below`] says so: stations have to hold the new root first.

use gridlatch_store::pki::NewAuthority;
use gridlatch_trust::build::Subject;
use gridlatch_trust::certificate;
use gridlatch_trust::cross::{CrossRequest, Link, Reach, cross, link};
use gridlatch_trust::profile::Kind;
use gridlatch_vocab::Timestamp;

use super::authority::generation_word;
use super::issue::{Draft, Grounds};
use super::renew::subject;
use super::{APPROVERS, Authority, Ca, CaError, Control, Requester, Serial, World};

/// What joins two generations of a root; all in DER.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Succession {
    /// The root that goes.
    pub old: Vec<u8>,
    /// The root that comes.
    pub new: Vec<u8>,
    /// Old-with-new and new-with-old.
    pub links: Vec<Vec<u8>>,
    /// The old sub-CA 1 of charge point operators, certified by the new root.
    pub recertified: Vec<u8>,
    /// The CA that will issue for stations: `iso2/cpo-sub2-g2`.
    pub issuing: String,
}

/// Kind, name without its generation, and the name of who signs it.
const LINE: [(Kind, &str, Option<&str>); 3] = [
    (Kind::V2gRoot, "v2g-root", None),
    (Kind::CpoSub1, "cpo-sub1", Some("v2g-root")),
    (Kind::CpoSub2, "cpo-sub2", Some("cpo-sub1")),
];

fn setting(world: World) -> String {
    format!("pki.issuing.{}", world.folder())
}

impl Ca {
    /// Makes the next generation of a tree's V2G root, or completes it after a crash; called again it returns
    /// what is there, with fresh link certificates.
    ///
    /// # Errors
    /// Two operators have to agree ([`CaError::ApprovalNeeded`]); the tree has no V2G root; `generation` is
    /// not 2 to 99; keys or store fail.
    pub async fn succeed(
        &self,
        world: World,
        generation: u8,
        requester: &Requester,
    ) -> Result<Succession, CaError> {
        if !(2..=99).contains(&generation) || world == World::Ocpp {
            return Err(CaError::Plan(
                "the next generation is 2 to 99, of a tree with a V2G root",
            ));
        }
        if self.control() == Control::Dual {
            return Err(CaError::ApprovalNeeded {
                what: "a new root and what it certifies",
                needed: APPROVERS,
            });
        }
        let folder = world.folder();
        let before = if generation == 2 {
            String::new()
        } else {
            format!("-g{}", generation - 1)
        };
        let old = self.authority(&format!("{folder}/v2g-root{before}"))?;
        let old_sub1 = self.authority(&format!("{folder}/cpo-sub1{before}"))?;
        for (kind, stem, above) in LINE {
            let name = format!("{folder}/{stem}-g{generation}");
            let like = self.authority(&format!("{folder}/{stem}"))?;
            let above = match above {
                Some(above) => Some(self.authority(&format!("{folder}/{above}-g{generation}"))?),
                None => None,
            };
            self.next_authority(
                (world, kind),
                (name, generation),
                &like,
                above.as_deref(),
                requester,
            )
            .await?;
        }
        let new = self.authority(&format!("{folder}/v2g-root-g{generation}"))?;
        let joined = |which: Link, by: &Authority| -> Result<Vec<u8>, CaError> {
            let signer = by.signer(self.keys())?;
            let serial = Serial::random().ok_or(CaError::Entropy)?;
            Ok(link(
                (&old.der, &new.der),
                which,
                world.profile(Kind::V2gRoot),
                (&serial.octets(), self.now()),
                signer.algorithm(),
                &|message| signer.sign(message).map_err(Into::into),
            )?)
        };
        let links = vec![joined(Link::OldWithNew, &new)?, joined(Link::NewWithOld, &old)?];
        let signer = new.signer(self.keys())?;
        let serial = Serial::random().ok_or(CaError::Entropy)?;
        let recertified = cross(
            &CrossRequest {
                subject: &old_sub1.der,
                kind: Kind::CpoSub1,
                generation: world.profile(Kind::CpoSub1).generation,
                serial: &serial.octets(),
                not_before: self.now(),
                not_after: None,
                ocsp_url: None,
                crl_url: None,
                reach: Reach::WithinPath,
            },
            &new.der,
            signer.algorithm(),
            &|message| signer.sign(message).map_err(Into::into),
        )?;
        Ok(Succession {
            old: old.der.clone(),
            new: new.der.clone(),
            links,
            recertified,
            issuing: format!("{folder}/cpo-sub2-g{generation}"),
        })
    }

    /// From now on certificates of a tree's stations are issued by this CA; durable when it returns, and
    /// other processes see it at their next issue.
    ///
    /// # Errors
    /// The CA is unknown, of another tree, or issues nothing for stations; the store fails.
    pub async fn issue_below(&self, world: World, authority: &str) -> Result<(), CaError> {
        let known = self.authority(authority)?;
        if known.world != world || known.profile.kind != Kind::CpoSub2 {
            return Err(CaError::Plan("it is no CA for stations of that tree"));
        }
        known.usable(self.now())?;
        self.store().setting_put(&setting(world), authority).await?;
        Ok(())
    }

    /// The CA that issues for the stations of a tree now.
    ///
    /// # Errors
    /// The store fails, or the CA it names is unknown.
    pub async fn issues_for_stations(&self, world: World) -> Result<String, CaError> {
        let Some(name) = self.store().setting_find(&setting(world)).await? else {
            return Ok(format!("{}/cpo-sub2", world.folder()));
        };
        if self.authority(&name).is_err() {
            // Another process made it.
            self.reload().await?;
            self.authority(&name)?;
        }
        Ok(name)
    }

    async fn next_authority(
        &self,
        (world, kind): (World, Kind),
        (name, generation): (String, u8),
        like: &Authority,
        above: Option<&Authority>,
        requester: &Requester,
    ) -> Result<(), CaError> {
        if let Ok(known) = self.authority(&name) {
            return self.write_copy(&name, &known.key_uri, &known.der);
        }
        let damaged = |reason| CaError::Damaged {
            what: like.name.clone(),
            reason,
        };
        let parsed = certificate::parse(&like.der).map_err(|_| damaged("its certificate cannot be read"))?;
        let key_uri = self.keys().create(&name, world.algorithm())?;
        let key = self.keys().open(&key_uri)?;
        let own = subject(&parsed);
        let subject = Subject {
            common_name: format!("{} G{generation}", own.common_name),
            ..own
        };
        let profile = world.profile(kind);
        // A day's grace for clocks that differ.
        let not_before = Timestamp(self.now().0 - time::Duration::DAY);
        let policy = self.policy();
        let draft = Draft {
            profile,
            subject: &subject,
            spki: key.public_key_der(),
            alt_names: &[],
            not_before,
            not_after: Timestamp(not_before.0 + time::Duration::days(i64::from(profile.row().days))),
            requester: requester.label(),
            urls: &policy.urls,
            grounds: Grounds::default(),
        };
        let row = match above {
            None => draft.sign(None, 0, &*key, self.now())?.1,
            Some(above) => {
                let signer = above.signer(self.keys())?;
                draft.sign(Some(above), above.number(), &*signer, self.now())?.1
            }
        };
        let der = row.der.clone();
        let authority = NewAuthority {
            name: name.clone(),
            kind: kind.slug().to_owned(),
            generation: generation_word(profile).to_owned(),
            key_uri: key_uri.clone(),
            issuer: above.map(Authority::number),
        };
        if self.store().pki_authority_add(authority, row).await?.is_none() {
            return Err(CaError::Exists(name));
        }
        self.reload().await?;
        self.write_copy(&name, &key_uri, &der)
    }
}
