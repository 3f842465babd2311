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
    EXI_NO_CODEC = "exi.no_codec", Warning, Operator, "The two sides agreed on a protocol this build has no message set for.",
        causes: ["a DIN 70121 session: only its envelopes are read", "a vendor's own protocol"],
        remedy: "Nothing is wrong on the wire; use a decoder that knows the protocol for the message bodies.";
    V2GTP_UNKNOWN_TYPE = "v2gtp.unknown_type", Warning, Vehicle, "A V2GTP frame carries a payload type that does not belong to this session; the standard has it ignored.",
        causes: ["a manufacturer's extension", "a peer that mixes two protocol generations"],
        remedy: "Nothing, unless the session stalls: then ask the peer's maker what the frame means.";
    V2G_NOT_FOUND = "capture.no_v2g", Notice, Operator, "The capture holds no V2G traffic: no SLAC, no discovery, no V2GTP.",
        causes: ["recorded on the wrong interface", "the session is inside TLS and no key log was given", "a capture filter dropped it"],
        remedy: "Record on the interface of the power line modem, without a filter, and start before the cable is plugged in.";
    TLS_KEYS_MISSING = "capture.tls_keys_missing", Notice, Operator, "The capture holds a TLS connection that could not be opened because the key log has no secrets for it.",
        causes: ["no key log was given", "the key log belongs to another run"],
        remedy: "Give the key log of this very run with `--keys`; the client random in the message names the line to look for.";
    TLS_KEYS_WRONG = "capture.tls_keys_wrong", Error, Operator, "TLS records did not verify with the secrets in the key log.",
        causes: ["the key log line is damaged or of another connection with a copied client random", "bytes are missing from the capture"],
        remedy: "Take capture and key log from the same run again.";
    CAPTURE_UNREADABLE = "capture.unreadable", Error, Operator, "The file is no capture this program can read, or it is damaged.",
        causes: ["another file format", "a file cut off while it was written"],
        remedy: "Give a pcap or pcapng file (tcpdump -w, Wireshark, `gridlatch`).";
    CAPTURE_GAP = "capture.gap", Notice, Network, "The capture lacks bytes of a TCP stream; messages in the gap are lost.",
        causes: ["the capturing host dropped packets", "the capture started in the middle"],
        remedy: "Capture closer to the link or with a larger buffer.";
    TLS_NOT_READABLE = "capture.tls_not_readable", Notice, Network, "A recorded TLS connection cannot be read on from here.",
        causes: ["the capture lacks bytes of it", "the peer sent something that is no TLS"],
        remedy: "Capture closer to the link; look at the bytes if a peer really sent them.";
}
