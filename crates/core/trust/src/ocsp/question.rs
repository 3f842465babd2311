//! Questions.

use der::{Decode as _, Encode as _};
use x509_ocsp::{OcspRequest, TbsRequest};

use super::{CertId, MAX_IDS, MAX_NONCE, MAX_REQUEST, OcspError, malformed, nonce_extension, nonce_of};

/// A question about some certificates.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    /// Which, 1 to [`MAX_IDS`].
    pub ids: Vec<CertId>,
    /// Octets the answer shall repeat, 1 to [`MAX_NONCE`].
    pub nonce: Option<Vec<u8>>,
}

/// Reads a question. A signature over it is not looked at: everybody may ask.
///
/// # Errors
/// Too large, not a question, a hash that is not used here, or a critical extension that is not understood.
pub fn parse_request(der: &[u8]) -> Result<Request, OcspError> {
    if der.len() > MAX_REQUEST {
        return Err(OcspError::TooLarge);
    }
    let request = OcspRequest::from_der(der).map_err(malformed)?.tbs_request;
    if request.request_list.len() > MAX_IDS {
        return Err(OcspError::TooLarge);
    }
    if request.request_list.is_empty() {
        return Err(malformed("it asks about nothing"));
    }
    for single in &request.request_list {
        let extensions = single.single_request_extensions.iter().flatten();
        if let Some(extension) = extensions.into_iter().find(|extension| extension.critical) {
            return Err(malformed(format!(
                "the critical extension {} is not understood",
                extension.extn_id
            )));
        }
    }
    Ok(Request {
        nonce: nonce_of(request.request_extensions.as_deref().unwrap_or_default())?,
        ids: request
            .request_list
            .iter()
            .map(|single| CertId::from_asn1(&single.req_cert))
            .collect::<Result<_, _>>()?,
    })
}

/// Builds a question.
///
/// # Errors
/// None or too many certificates, or a nonce of another length than allowed.
pub fn build_request(request: &Request) -> Result<Vec<u8>, OcspError> {
    if !(1..=MAX_IDS).contains(&request.ids.len()) {
        return Err(OcspError::TooLarge);
    }
    if request
        .nonce
        .as_ref()
        .is_some_and(|nonce| !(1..=MAX_NONCE).contains(&nonce.len()))
    {
        return Err(malformed(format!("a nonce has 1 to {MAX_NONCE} octets")));
    }
    let request_list = request
        .ids
        .iter()
        .map(|id| {
            Ok(x509_ocsp::Request {
                req_cert: id.to_asn1()?,
                single_request_extensions: None,
            })
        })
        .collect::<der::Result<_>>()
        .map_err(malformed)?;
    let nonce = request.nonce.as_deref().map(nonce_extension).transpose();
    let tbs_request = TbsRequest {
        request_list,
        request_extensions: nonce.map_err(malformed)?.map(|extension| vec![extension]),
        ..Default::default()
    };
    let request = OcspRequest {
        tbs_request,
        optional_signature: None,
    };
    request.to_der().map_err(malformed)
}
