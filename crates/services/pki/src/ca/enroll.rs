//! Certificates for those who come with a request of their own (PKCS#10).

use gridlatch_keys::OpensslVerifier;
use gridlatch_trust::Profile;
use gridlatch_trust::build::Subject;
use gridlatch_trust::csr::{self, Csr};
use gridlatch_vocab::catalogue::pki;

use super::issue::{About, Grounds, digest};
use super::{Ca, CaError, Issued, Order, Requester};

impl Ca {
    /// Issues what a certificate request (DER) asks for: its proof of possession is checked, then policy,
    /// profile and names as for [`Ca::issue`]. The same octets are served once.
    ///
    /// # Errors
    /// The request is malformed, too large, not signed by its own key or asks for something else than the
    /// profile gives; [`CaError::Replayed`]; or as [`Ca::issue`].
    pub async fn enroll(
        &self,
        request: &[u8],
        authority: &str,
        profile: Profile,
        requester: Requester,
    ) -> Result<Issued, CaError> {
        let octets = request.to_vec();
        self.enroll_by(request, authority, profile, requester, move || {
            Ok(csr::parse(&octets, &OpensslVerifier)?)
        })
        .await
    }

    /// As [`Self::enroll`], for a request that [`Self::read_request`] has read.
    ///
    /// # Errors
    /// As [`Self::enroll`].
    pub async fn enroll_read(
        &self,
        asked: Csr,
        request: &[u8],
        authority: &str,
        profile: Profile,
        requester: Requester,
    ) -> Result<Issued, CaError> {
        self.enroll_by(request, authority, profile, requester, move || Ok(asked))
            .await
    }

    /// Reads a request (DER) and checks its proof of possession.
    ///
    /// # Errors
    /// As [`Self::enroll`] about the request itself.
    pub async fn read_request(&self, request: &[u8]) -> Result<Csr, CaError> {
        let octets = request.to_vec();
        Ok(self
            .off_thread(move || csr::parse(&octets, &OpensslVerifier))
            .await??)
    }

    async fn enroll_by(
        &self,
        request: &[u8],
        authority: &str,
        profile: Profile,
        requester: Requester,
        asked: impl FnOnce() -> Result<Csr, CaError> + Send + 'static,
    ) -> Result<Issued, CaError> {
        let about = About {
            authority: authority.to_owned(),
            profile,
            requester: requester.label(),
        };
        let grounds = Grounds {
            request_digest: Some(digest(request)),
            approved: None,
        };
        let authority = authority.to_owned();
        self.issue_made(about, grounds, move || {
            order(asked()?, authority, profile, requester)
        })
        .await
    }
}

fn order(asked: Csr, authority: String, profile: Profile, requester: Requester) -> Result<Order, CaError> {
    let Csr {
        subject,
        spki,
        alt_names,
        wants_ca,
        ..
    } = asked;
    let refused = |reason| CaError::Request {
        code: pki::CSR_NAME,
        reason,
    };
    if wants_ca {
        return Err(refused("it asks to become a CA"));
    }
    // What the profile fixes is added whatever the request says; asking for another is a mistake that
    // would only be found in the field.
    let fixed = profile.row().domain_component;
    if subject.domain_component.is_some() && subject.domain_component.as_deref() != fixed {
        return Err(refused("it asks for the domain component of another kind"));
    }
    Ok(Order {
        authority,
        profile,
        subject: Subject {
            common_name: subject
                .common_name
                .ok_or_else(|| refused("it has no common name that can be read"))?,
            organization: subject.organization,
            country: None,
        },
        spki,
        alt_names,
        not_before: None,
        not_after: None,
        requester,
    })
}
