//! SECC discovery datagrams (ISO 15118-2 clause 7.10.1), both directions, wired and wireless.

use gridlatch_vocab::catalogue::{cable::SDP_BAD_FIELD, wire::V2GTP_BAD_HEADER};
use iso15118::sdp::{Request, Response, SdpError, Security};
use iso15118::v2gtp::{Header, PayloadType};

use super::{Described, Layer, Tree, Undecodable};

fn security(security: Security) -> Tree {
    Tree::text(match security {
        Security::Tls => "TLS",
        _ => "no TLS",
    })
}

fn undecodable(datagram: &[u8], payload_type: Option<u16>, error: &SdpError) -> Undecodable {
    let framing = matches!(error, SdpError::Framing(_));
    Undecodable {
        code: if framing { V2GTP_BAD_HEADER } else { SDP_BAD_FIELD },
        layer: Layer::Sdp,
        protocol: Some("sdp"),
        payload_type,
        reason: error.to_string(),
        offset: match error {
            SdpError::UnknownSecurity(_) if payload_type == Some(0x9000) => Some(8),
            SdpError::UnknownTransport(_) if payload_type == Some(0x9000) => Some(9),
            SdpError::InvalidAddress(_) => Some(8),
            SdpError::InvalidPort => Some(24),
            SdpError::UnknownSecurity(_) => Some(26),
            SdpError::UnknownTransport(_) => Some(27),
            _ => None,
        },
        length: datagram.len(),
        first_bytes: Undecodable::excerpt(datagram),
    }
}

/// Describes one UDP datagram of port 15118, header included.
///
/// # Errors
/// [`Undecodable`] with `sdp.bad_field` for what the standard does not know, `v2gtp.bad_header` for
/// what is no V2GTP frame.
pub fn describe_sdp(datagram: &[u8]) -> Result<Described, Undecodable> {
    let header = Header::decode(datagram).map_err(|error| undecodable(datagram, None, &error.into()))?;
    let code = header.payload_type.as_u16();
    let failed = |error: SdpError| undecodable(datagram, Some(code), &error);
    let wireless = match header.payload_type {
        PayloadType::SdpWirelessRequest | PayloadType::SdpWirelessResponse => " (wireless)",
        _ => "",
    };
    let (name, fields) = if header.payload_type.is_sdp_request() {
        let request = Request::from_frame(datagram).map_err(failed)?;
        (
            format!("SDP request{wireless}"),
            vec![
                ("security".to_owned(), security(request.security)),
                (
                    "transport".to_owned(),
                    Tree::text(format!("{:?}", request.transport).to_uppercase()),
                ),
            ],
        )
    } else {
        let response = Response::from_frame(datagram).map_err(failed)?;
        (
            format!("SDP response{wireless}"),
            vec![
                ("address".to_owned(), Tree::text(response.ipv6().to_string())),
                ("port".to_owned(), Tree::Int(response.port.into())),
                ("security".to_owned(), security(response.security)),
                (
                    "transport".to_owned(),
                    Tree::text(format!("{:?}", response.transport).to_uppercase()),
                ),
            ],
        )
    };
    Ok(Described {
        layer: Layer::Sdp,
        name,
        payload_type: code,
        protocol: "sdp",
        response_code: None,
        fields: Tree::Fields(fields),
        notice: None,
        partial: false,
        length: datagram.len().saturating_sub(8),
    })
}
