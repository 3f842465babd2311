//! One TCP stream's worth of state: what was offered, what was agreed, and how to read the next frame.

use gridlatch_vocab::catalogue::{Code, wire};
use iso15118::Protocol;
use iso15118::app_protocol::SupportedAppProtocolReq;
use iso15118::exi::ExiError;
use iso15118::iso2;
use iso15118::message::{Message, MessageError};
use iso15118::v2gtp::PayloadType;

use super::{Described, Layer, MAX_PAYLOAD, Tree, Undecodable, envelope, serialize, xml};

/// Most entries of a vehicle's protocol list that are remembered; the schema allows 20.
const MAX_OFFERS: usize = 20;

/// The protocol a stream speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Agreed {
    /// DIN SPEC 70121: named, not decoded.
    Din70121,
    /// ISO 15118-2.
    Iso2,
    /// ISO 15118-20.
    Iso20,
    /// A namespace this build does not know.
    Unknown,
}

impl Agreed {
    /// The stable short name.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Din70121 => "din70121",
            Self::Iso2 => "iso15118-2",
            Self::Iso20 => "iso15118-20",
            Self::Unknown => "unknown",
        }
    }
}

/// What one TCP stream has agreed so far.
#[derive(Debug, Clone, Default)]
pub struct Conversation {
    offers: Vec<(u8, String)>,
    agreed: Option<Agreed>,
    namespace: Option<String>,
    assumed: bool,
}

/// Decodes one frame outside any stream: with no protocol it is read as the handshake first, then by
/// its payload type, then as ISO 15118-2, then as DIN 70121.
///
/// # Errors
/// [`Undecodable`], as [`Conversation::decode_frame`].
pub fn decode_frame(
    agreed: Option<Agreed>,
    payload_type: u16,
    payload: &[u8],
) -> Result<Described, Undecodable> {
    let mut conversation = Conversation::with(agreed);
    conversation.decode_frame(payload_type, payload)
}

impl Conversation {
    /// Starts after a handshake that agreed on `agreed`.
    #[must_use]
    pub fn with(agreed: Option<Agreed>) -> Self {
        Self {
            agreed,
            ..Self::default()
        }
    }

    /// The protocol agreed (or, without a handshake in sight, assumed), if any yet.
    #[must_use]
    pub const fn agreed(&self) -> Option<Agreed> {
        self.agreed
    }

    /// The namespace the two sides agreed on.
    #[must_use]
    pub fn namespace(&self) -> Option<&str> {
        self.namespace.as_deref()
    }

    /// Decodes one frame and remembers what it changes.
    ///
    /// # Errors
    /// [`Undecodable`] says what was expected, where reading stopped, and shows the first bytes.
    pub fn decode_frame(&mut self, payload_type: u16, payload: &[u8]) -> Result<Described, Undecodable> {
        let frame = Frame {
            payload_type,
            payload,
            protocol: self.agreed,
        };
        if payload.len() > MAX_PAYLOAD {
            let reason = format!(
                "the payload has {} bytes, more than the {MAX_PAYLOAD} this reader accepts",
                payload.len()
            );
            return Err(frame.undecodable(wire::V2GTP_TOO_LARGE, reason, None));
        }
        if let Some(text) = xml::detect(payload) {
            return Ok(self.plain_xml(&frame, text));
        }
        let kind = PayloadType::from_u16(payload_type);
        if !kind.is_exi() {
            let what = if kind.is_sdp_request() || kind.is_sdp_response() {
                "a discovery message, which belongs in a UDP datagram"
            } else if payload_type >= 0xA000 {
                "a manufacturer-specific message"
            } else {
                "a reserved payload type"
            };
            return Err(frame.undecodable(
                wire::V2GTP_UNKNOWN_TYPE,
                format!("payload type {payload_type:#06x} is {what}"),
                None,
            ));
        }
        // A new handshake may come on a stream that resumed mid-capture, never after agreement.
        if kind == PayloadType::ExiEncodedV2gMessage
            && (self.agreed.is_none() || self.assumed)
            && let Ok(message) = Message::decode(None, kind, payload)
        {
            return self.handshake(&frame, &message);
        }
        match (self.agreed, kind) {
            (Some(Agreed::Din70121), _) => frame.din(),
            (Some(Agreed::Unknown), _) => {
                let namespace = self.namespace.as_deref().unwrap_or("?");
                let reason = format!("the two sides agreed on {namespace:?}, which this build does not know");
                Err(frame.undecodable(wire::EXI_NO_CODEC, reason, None))
            }
            (Some(Agreed::Iso2), _) => frame.message(Protocol::Iso2, None),
            (Some(Agreed::Iso20), _) => frame.message(Protocol::Iso20, None),
            (None, PayloadType::ExiEncodedV2gMessage) => self.without_handshake(&frame),
            (None, _) => {
                let described = frame.message(
                    Protocol::Iso20,
                    Some("no handshake seen: read as ISO 15118-20 by its payload type"),
                )?;
                self.assume(Agreed::Iso20);
                Ok(described)
            }
        }
    }

    fn assume(&mut self, agreed: Agreed) {
        self.agreed = Some(agreed);
        self.assumed = true;
    }

    /// A stream whose beginning the capture missed.
    fn without_handshake(&mut self, frame: &Frame<'_>) -> Result<Described, Undecodable> {
        let failure = match frame.message(Protocol::Iso2, Some("no handshake seen: read as ISO 15118-2")) {
            Ok(described) => {
                self.assume(Agreed::Iso2);
                return Ok(described);
            }
            Err(failure) => failure,
        };
        if let Ok(mut described) = frame.din() {
            self.assume(Agreed::Din70121);
            described.notice = Some(format!("no handshake seen: read as DIN 70121; {DIN_NOTICE}"));
            return Ok(described);
        }
        Err(Undecodable {
            protocol: None,
            reason: format!(
                "no handshake seen, and it is neither a supportedAppProtocol, ISO 15118-2 nor DIN 70121 message ({})",
                failure.reason
            ),
            ..failure
        })
    }

    fn handshake(&mut self, frame: &Frame<'_>, message: &Message) -> Result<Described, Undecodable> {
        let mut described = frame.describe(message, "sap", None)?;
        match message {
            Message::AppProtocolReq(request) => self.remember(request),
            Message::AppProtocolRes(response) => {
                // A single offer may be accepted without naming it.
                let schema_id = response.schema_id.or(match self.offers.as_slice() {
                    [(only, _)] => Some(*only),
                    _ => None,
                });
                let chosen = schema_id.and_then(|id| self.offers.iter().find(|(offer, _)| *offer == id));
                if let Some((_, namespace)) = chosen.filter(|_| response.response_code.is_ok()) {
                    let agreed = match Protocol::from_namespace(namespace) {
                        Some(Protocol::Din70121) => Agreed::Din70121,
                        Some(Protocol::Iso2) => Agreed::Iso2,
                        Some(Protocol::Iso20) => Agreed::Iso20,
                        _ => Agreed::Unknown,
                    };
                    described.notice = Some(format!("agreed: {namespace}"));
                    self.agreed = Some(agreed);
                    self.assumed = false;
                    self.namespace = Some(namespace.clone());
                }
            }
            _ => {}
        }
        Ok(described)
    }

    fn remember(&mut self, request: &SupportedAppProtocolReq) {
        self.offers = request
            .app_protocols
            .iter()
            .take(MAX_OFFERS)
            .map(|offer| (offer.schema_id, offer.protocol_namespace.clone()))
            .collect();
        self.agreed = None;
        self.namespace = None;
    }

    fn plain_xml(&self, frame: &Frame<'_>, text: &str) -> Described {
        Described {
            layer: Layer::V2gtp,
            name: xml::message_name(text),
            payload_type: frame.payload_type,
            protocol: self.agreed.map_or("xml", Agreed::as_str),
            response_code: xml::response_code(text),
            fields: xml::fields(text),
            notice: Some("EXI was off: this frame carries plain XML".to_owned()),
            partial: false,
            length: frame.payload.len(),
        }
    }
}

/// What a reader of a DIN message is told.
const DIN_NOTICE: &str = "of DIN 70121 only session id, name and response code are read";

/// One frame on its way to a description.
struct Frame<'a> {
    payload_type: u16,
    payload: &'a [u8],
    protocol: Option<Agreed>,
}

impl Frame<'_> {
    fn undecodable(&self, code: Code, reason: String, offset: Option<usize>) -> Undecodable {
        Undecodable {
            code,
            layer: Layer::V2gtp,
            protocol: self.protocol.map(Agreed::as_str),
            payload_type: Some(self.payload_type),
            reason,
            offset,
            length: self.payload.len(),
            first_bytes: Undecodable::excerpt(self.payload),
        }
    }

    fn din(&self) -> Result<Described, Undecodable> {
        let Some(envelope) = envelope::envelope(self.payload) else {
            let reason = "not a DIN 70121 message envelope; DIN 70121 bodies are not decoded".to_owned();
            return Err(self.undecodable(wire::EXI_NO_CODEC, reason, None));
        };
        Ok(Described {
            layer: Layer::V2gtp,
            name: envelope.name.to_owned(),
            payload_type: self.payload_type,
            protocol: Agreed::Din70121.as_str(),
            response_code: envelope.response_code.map(str::to_owned),
            fields: envelope.fields,
            notice: Some(DIN_NOTICE.to_owned()),
            partial: true,
            length: self.payload.len(),
        })
    }

    fn message(&self, protocol: Protocol, notice: Option<&str>) -> Result<Described, Undecodable> {
        let kind = PayloadType::from_u16(self.payload_type);
        match Message::decode(Some(protocol), kind, self.payload) {
            Ok(message) => self.describe(&message, protocol.as_str(), notice),
            Err(MessageError::Exi(error)) => {
                let decode = |length: usize| Message::decode(Some(protocol), kind, &self.payload[..length]);
                let offset = failing_offset(self.payload.len(), error, decode);
                let mut reason = format!("{} ({error:?}) in a {} message", error, protocol.as_str());
                if let Some(name) = self.name_of_broken(protocol) {
                    reason.push_str(&format!(", a {name}"));
                }
                Err(self.undecodable(wire::EXI_DECODING_ERROR, reason, Some(offset)))
            }
            Err(error @ MessageError::NotForThisSession { .. }) => {
                Err(self.undecodable(wire::V2GTP_UNKNOWN_TYPE, error.to_string(), None))
            }
            Err(error) => Err(self.undecodable(wire::EXI_NO_CODEC, error.to_string(), None)),
        }
    }

    /// The message name of a -2 frame whose body is broken: the envelope sits before the fault.
    fn name_of_broken(&self, protocol: Protocol) -> Option<String> {
        if protocol != Protocol::Iso2 {
            return None;
        }
        envelope::iso2_name(self.payload).map(str::to_owned)
    }

    fn describe(
        &self,
        message: &Message,
        protocol: &'static str,
        notice: Option<&str>,
    ) -> Result<Described, Undecodable> {
        let tree = match message {
            Message::AppProtocolReq(m) => named("supportedAppProtocolReq", serialize::describe(&**m)),
            Message::AppProtocolRes(m) => named("supportedAppProtocolRes", serialize::describe(&**m)),
            Message::Iso2(m) => iso2_tree(m),
            Message::Iso20(m) => serialize::describe(&**m),
            Message::Iso20Ac(m) => serialize::describe(&**m),
            Message::Iso20Dc(m) => serialize::describe(&**m),
            Message::Iso20Wpt(m) => serialize::describe(&**m),
            Message::Iso20Acdp(m) => serialize::describe(&**m),
            Message::Iso20AcDerIec(m) => serialize::describe(&**m),
            Message::Iso20AcDerSae(m) => serialize::describe(&**m),
            _ => Ok(Tree::Nothing),
        };
        let tree = tree.map_err(|error| self.undecodable(wire::V2GTP_TOO_LARGE, error.to_string(), None))?;
        let (name, fields) = match tree {
            Tree::Fields(mut outer) if outer.len() == 1 => outer.remove(0),
            other => ("message".to_owned(), other),
        };
        let response_code = fields
            .get("response_code")
            .and_then(Tree::as_text)
            .map(str::to_owned);
        Ok(Described {
            layer: Layer::V2gtp,
            name,
            payload_type: self.payload_type,
            protocol,
            response_code,
            fields,
            notice: notice.map(str::to_owned),
            partial: false,
            length: self.payload.len(),
        })
    }
}

fn named(name: &str, tree: Result<Tree, serialize::TooLarge>) -> Result<Tree, serialize::TooLarge> {
    Ok(Tree::Fields(vec![(name.to_owned(), tree?)]))
}

/// -2 wraps header and body; -20 puts the header inside each message. Both are shown the second way.
fn iso2_tree(document: &iso2::Document) -> Result<Tree, serialize::TooLarge> {
    let iso2::Document::V2GMessage(message) = document else {
        return serialize::describe(document);
    };
    let header = serialize::describe(&message.header)?;
    let body = match &message.body.choice {
        Some(choice) => serialize::describe(choice)?,
        None => Tree::Fields(vec![("Body".to_owned(), Tree::Fields(Vec::new()))]),
    };
    Ok(match body {
        Tree::Fields(mut outer) if outer.len() == 1 => {
            let (name, fields) = outer.remove(0);
            let mut all = vec![("header".to_owned(), header)];
            match fields {
                Tree::Fields(fields) => all.extend(fields),
                Tree::Nothing => {}
                other => all.push(("value".to_owned(), other)),
            }
            Tree::Fields(vec![(name, Tree::Fields(all))])
        }
        other => other,
    })
}

/// The codec reports no position. A prefix that ends before the fault fails for want of data, one that
/// contains it fails as the whole does: the shortest such prefix ends with the byte at fault.
fn failing_offset(
    length: usize,
    error: ExiError,
    decode: impl Fn(usize) -> Result<Message, MessageError>,
) -> usize {
    if error == ExiError::UnexpectedEnd {
        return length;
    }
    let (mut short, mut long) = (0, length);
    while long - short > 1 {
        let middle = short + (long - short) / 2;
        match decode(middle) {
            Err(MessageError::Exi(found)) if found == error => long = middle,
            _ => short = middle,
        }
    }
    long.saturating_sub(1)
}
