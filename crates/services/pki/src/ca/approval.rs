//! Dual control: a request, two operators who sign it with keys of their own, then it is carried out.
mod action;

use gridlatch_keys::verify;
use gridlatch_store::pki::{Approval, RequestRow};
use gridlatch_trust::build::{AltName, Subject};
use gridlatch_trust::certificate::usable_key;
use gridlatch_vocab::catalogue::ca;

use super::issue::Grounds;
use super::policy::Policy;
use super::{APPROVERS, Ca, CaError, Control, Order, Reason, Requester, Role, Serial, setting};

pub use action::{Action, Outcome, PendingRequest, approval_message};
use action::{action_event, parse, profile};

impl Ca {
    /// Files a request; durable when it returns. Nothing is carried out yet.
    ///
    /// # Errors
    /// The request cannot be meant (an unusable policy, an operator who exists), or the store fails.
    pub async fn file(&self, action: &Action, by: &Requester) -> Result<PendingRequest, CaError> {
        match action {
            Action::Policy { text } => drop(Policy::parse(text)?),
            Action::Operator { name, key } => self.new_operator(name, key).await.map(drop)?,
            Action::RemoveOperator { name } => self.removable(name).await?,
            Action::Issue { authority, .. }
            | Action::RenewAuthority { authority }
            | Action::OcspSigner { authority }
            | Action::Revoke { authority, .. } => {
                self.authority(authority)?;
            }
        }
        let mut random = [0; 5];
        getrandom::fill(&mut random).map_err(|_| CaError::Entropy)?;
        let id = hex::encode(random);
        let text =
            serde_json::to_string(action).map_err(|_| CaError::Plan("the request cannot be written"))?;
        self.inner
            .store
            .pki_request_add(&id, &text, &by.label(), self.now())
            .await?;
        self.emit(ca::APPROVAL_ASKED, action_event(action), |event| {
            event.with("request", id.as_str()).with("requester", by.label())
        });
        self.request(&id).await
    }

    /// A request by its name.
    ///
    /// # Errors
    /// There is none, or the store fails.
    pub async fn request(&self, id: &str) -> Result<PendingRequest, CaError> {
        let row = self.inner.store.pki_request(id).await?;
        let row = row.ok_or(CaError::ApprovalRefused("there is no request of this name"))?;
        self.pending(row).await
    }

    /// The latest requests, latest first; at most `limit`.
    ///
    /// # Errors
    /// The store fails.
    pub async fn requests(&self, limit: u32) -> Result<Vec<PendingRequest>, CaError> {
        let mut all = Vec::new();
        for row in self.inner.store.pki_requests(limit).await? {
            all.push(self.pending(row).await?);
        }
        Ok(all)
    }

    /// Takes back a request that was not carried out: nobody can approve it any more.
    ///
    /// # Errors
    /// There is none, it is closed already, or the store fails.
    pub async fn withdraw(&self, id: &str, by: &Requester) -> Result<(), CaError> {
        let store = &self.inner.store;
        let row = store.pki_request(id).await?;
        let row = row.ok_or(CaError::ApprovalRefused("there is no request of this name"))?;
        if !store
            .pki_request_close(row.number, "withdrawn", self.now())
            .await?
        {
            return Err(CaError::ApprovalRefused("the request was executed or withdrawn"));
        }
        self.emit(
            ca::APPROVAL_WITHDRAWN,
            format!("{} withdrew {id}", by.label()),
            |event| event.with("request", id).with("requester", by.label()),
        );
        Ok(())
    }

    /// Names of the registered operators.
    ///
    /// # Errors
    /// The store fails.
    pub async fn operators(&self) -> Result<Vec<String>, CaError> {
        let rows = self.inner.store.pki_operators().await?;
        Ok(rows.into_iter().map(|(name, _)| name).collect())
    }

    /// Adds an operator's consent, a signature over [`PendingRequest::message`]; the last that is needed
    /// carries the request out. If that fails, the consent stays and approving again tries again.
    ///
    /// # Errors
    /// The request is closed, the operator unknown, the signature not of their key; or as the action.
    pub async fn approve(&self, id: &str, operator: &str, signature: &[u8]) -> Result<Outcome, CaError> {
        let result = self.try_approve(id, operator, signature).await;
        match &result {
            Ok(_) => self.emit(ca::APPROVAL_GIVEN, format!("{operator} approved {id}"), |event| {
                event.with("request", id).with("operator", operator)
            }),
            Err(error) => self.emit(error.code(), error.to_string(), |event| {
                event.with("request", id).with("operator", operator)
            }),
        }
        result
    }

    async fn try_approve(&self, id: &str, operator: &str, signature: &[u8]) -> Result<Outcome, CaError> {
        let refused = |reason| Err(CaError::ApprovalRefused(reason));
        let store = &self.inner.store;
        let Some(row) = store.pki_request(id).await? else {
            return refused("there is no request of this name");
        };
        if row.state != "open" {
            return refused("the request was executed or withdrawn");
        }
        let message = approval_message(&row.id, &row.action);
        let operators = store.pki_operators().await?;
        let valid = |name: &str, signature: &[u8]| {
            let key = operators.iter().find(|(known, _)| known == name);
            key.is_some_and(|(_, spki)| signed_by(spki, &message, signature))
        };
        if !operators.iter().any(|(name, _)| name == operator) {
            return refused("the operator is not registered");
        }
        if !valid(operator, signature) {
            return refused("the signature is not of the operator's registered key");
        }
        let consent = Approval {
            operator: operator.to_owned(),
            signature: signature.to_vec(),
            at: self.now(),
        };
        store.pki_approve(row.number, &consent).await?;
        // Counted from what is stored, and only what still verifies: names are distinct by its key.
        let given = store
            .pki_approvals(row.number)
            .await?
            .iter()
            .filter(|approval| valid(&approval.operator, &approval.signature))
            .count();
        if given < APPROVERS {
            return Ok(Outcome::Waiting {
                given,
                needed: APPROVERS,
            });
        }
        self.execute(row).await
    }

    async fn execute(&self, row: RequestRow) -> Result<Outcome, CaError> {
        let asked_by = row
            .asked_by
            .split_once(':')
            .map_or(row.asked_by.as_str(), |(_, id)| id);
        let by = Requester {
            role: Role::Operator,
            id: asked_by.to_owned(),
        };
        let store = &self.inner.store;
        let close = async || store.pki_request_close(row.number, "executed", self.now()).await;
        match parse(&row)? {
            Action::Issue {
                authority,
                kind,
                common_name,
                organization,
                country,
                key,
                requester,
            } => {
                let unreadable = || CaError::ApprovalRefused("the request cannot be read");
                let generation = self.authority(&authority)?.profile.generation;
                let (role, id) = requester.split_once(':').ok_or_else(unreadable)?;
                let order = Order {
                    authority,
                    profile: profile(&kind, generation).ok_or_else(unreadable)?,
                    subject: Subject {
                        common_name,
                        organization,
                        country,
                    },
                    spki: hex::decode(&key).map_err(|_| unreadable())?,
                    alt_names: Vec::<AltName>::new(),
                    not_before: None,
                    not_after: None,
                    requester: Requester {
                        role: role.parse().map_err(|()| unreadable())?,
                        id: id.to_owned(),
                    },
                };
                let grounds = Grounds {
                    request_digest: None,
                    approved: Some(row.number),
                };
                let issued = self.issue_on(order, grounds).await?;
                Ok(Outcome::Issued(Box::new(issued)))
            }
            Action::RenewAuthority { authority } => {
                let der = self.renew_authority_on(&authority, &by, Some(row.number)).await?;
                Ok(Outcome::Renewed(der))
            }
            Action::OcspSigner { authority } => {
                let issued = self.approved_ocsp_signer(&authority, row.number).await?;
                Ok(Outcome::Issued(Box::new(issued)))
            }
            Action::Revoke {
                authority,
                serial,
                reason,
            } => {
                let unreadable = CaError::ApprovalRefused("the request cannot be read");
                let (Ok(serial), Some(reason)) = (serial.parse::<Serial>(), Reason::parse(&reason)) else {
                    return Err(unreadable);
                };
                let done = self
                    .revoke_on(&authority, serial, reason, self.now(), &by, true)
                    .await;
                // Revoked and not closed, after a crash: closing is all that is left.
                if !matches!(done, Err(CaError::AlreadyRevoked { .. })) {
                    done?;
                }
                close().await?;
                Ok(Outcome::Done)
            }
            Action::Policy { text } => {
                self.put_policy(&text).await?;
                close().await?;
                Ok(Outcome::Done)
            }
            Action::Operator { name, key } => {
                let spki = self.new_operator(&name, &key).await?;
                store.pki_operator_add(&name, &spki, self.now()).await?;
                close().await?;
                Ok(Outcome::Done)
            }
            Action::RemoveOperator { name } => {
                // Removed and not closed, after a crash: closing is all that is left.
                if self.operators().await?.contains(&name) {
                    self.removable(&name).await?;
                    store.pki_operator_remove(&name).await?;
                }
                close().await?;
                Ok(Outcome::Done)
            }
        }
    }

    /// Replaces the policy, where one operator is enough.
    ///
    /// # Errors
    /// Two are needed, the text is no policy, or the store fails.
    pub async fn set_policy(&self, text: &str) -> Result<(), CaError> {
        if self.control() == Control::Dual {
            return Err(CaError::ApprovalNeeded {
                what: "another policy",
                needed: APPROVERS,
            });
        }
        self.put_policy(text).await
    }

    async fn put_policy(&self, text: &str) -> Result<(), CaError> {
        let rules = Policy::parse(text)?.rules.len();
        self.inner.store.setting_put(setting::POLICY, text).await?;
        self.reload().await?;
        self.emit(ca::POLICY_CHANGED, format!("{rules} rules"), |event| {
            event.with("rules", rules)
        });
        Ok(())
    }

    /// The text of the policy in force.
    ///
    /// # Errors
    /// The store fails.
    pub async fn policy_text(&self) -> Result<String, CaError> {
        let text = self.inner.store.setting_find(setting::POLICY).await?;
        Ok(text.unwrap_or_else(|| super::policy::DEFAULT.to_owned()))
    }

    async fn new_operator(&self, name: &str, key: &str) -> Result<Vec<u8>, CaError> {
        let spki = hex::decode(key).map_err(|_| CaError::Plan("the operator's key is not hexadecimal"))?;
        if usable_key(&spki).is_none() {
            return Err(CaError::Plan(NO_KEY));
        }
        let known = self.inner.store.pki_operators().await?;
        if known.iter().any(|(other, held)| other == name || *held == spki) {
            return Err(CaError::Exists(format!("the operator {name}, or this key,")));
        }
        Ok(spki)
    }

    /// Two must remain, or nothing could be approved any more.
    async fn removable(&self, name: &str) -> Result<(), CaError> {
        let known = self.inner.store.pki_operators().await?;
        if !known.iter().any(|(other, _)| other == name) {
            return Err(CaError::Plan("there is no operator of this name"));
        }
        if known.len() <= APPROVERS {
            return Err(CaError::Plan(
                "only two operators are registered: add another one first",
            ));
        }
        Ok(())
    }

    async fn pending(&self, row: RequestRow) -> Result<PendingRequest, CaError> {
        let approvals = self.inner.store.pki_approvals(row.number).await?;
        Ok(PendingRequest {
            message: approval_message(&row.id, &row.action),
            action: parse(&row)?,
            id: row.id,
            asked_by: row.asked_by,
            at: row.at,
            state: row.state,
            approved_by: approvals.into_iter().map(|approval| approval.operator).collect(),
        })
    }
}

/// An operator who can approve nothing must not count as one of two.
pub(super) const NO_KEY: &str =
    "the operator's key is neither P-256, P-521 nor Ed448, or no point of its curve";

pub(super) fn signed_by(spki: &[u8], message: &[u8], signature: &[u8]) -> bool {
    usable_key(spki).is_some_and(|algorithm| verify(algorithm, spki, message, signature).unwrap_or(false))
}
