//! Codes of the area "wire": V2GTP framing and EXI decoding.

codes! {
    V2GTP_BAD_HEADER = "v2gtp.bad_header", Error, Vehicle, "A V2GTP header was malformed; the stream cannot be resynchronised and was closed.",
        causes: ["plain TCP bytes on a TLS port or the other way round", "a defective or hostile peer"],
        remedy: "Decode a capture with `gridlatch decode` and look at the first bytes after the last good message.";
    V2GTP_TOO_LARGE = "v2gtp.too_large", Error, Vehicle, "A message announced more bytes than this side accepts; the connection was closed before any of them were stored.",
        causes: ["a hostile peer probing memory limits", "a certificate chain beyond what ISO 15118 allows"],
        remedy: "If a real peer sends it, look at the certificate chain sizes; raise the payload limit only with a memory limit on the process.";
    EXI_DECODING_ERROR = "exi.decoding_error", Error, Vehicle, "An EXI message could not be decoded.",
        causes: ["the peer uses another schema version than it negotiated", "a value outside its schema facet", "a damaged or hostile message"],
        remedy: "The event carries payload type and bytes: give them to `gridlatch decode --hex` and to the peer's maker.",
        aliases: ["EXI_DECODING_ERROR"];
    V2GTP_PIPELINED = "v2gtp.pipelined", Error, Vehicle, "The peer sent further requests without waiting for answers; the connection was closed.",
        causes: ["a hostile peer probing memory limits", "a defective vehicle"],
        remedy: "Record the link; V2G is strictly one request, one answer.";
    UNDECODABLE_ANSWERED = "exi.undecodable_answered", Warning, Vehicle, "A request that could not be decoded was recognised by its type and answered FAILED before the session was closed.",
        causes: ["a value outside its schema facet, as some cars on the road send"],
        remedy: "Give the bytes in the event to `gridlatch decode --hex` and to the peer's maker.";
}
