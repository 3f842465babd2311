//! Codes of the area "tls": TLS on the cable and on OCPP connections.

codes! {
    ESTABLISHED = "tls.established", Info, Nobody, "A TLS connection is up and the peer is verified as policy demands.", causes: [], remedy: "Nothing.";
    LEGACY_CBC = "tls.legacy_cbc", Notice, Nobody, "The connection uses ECDHE-ECDSA-AES128-SHA256 (0xC023), the CBC suite that ISO 15118-2 demands.", causes: [], remedy: "Nothing: vehicles of ISO 15118-2 offer no better suite; disallow it only where every vehicle offers AES-GCM.", aliases: ["ECDHE-ECDSA-AES128-SHA256", "TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA256"];
    UNKNOWN_CA = "tls.unknown_ca", Error, Pki, "A certificate chain does not lead to any trusted root.",
        causes: ["vehicle and station belong to different V2G roots", "a sub-CA certificate is missing from the chain", "the root was renewed on one side only"],
        remedy: "Compare the roots both sides trust; then cross-sign, install a second leaf, or install the missing root.",
        aliases: ["tlsv1 alert unknown ca", "unknown_ca", "unable to get local issuer certificate", "unable to get issuer certificate", "self-signed certificate in certificate chain", "self signed certificate in certificate chain", "self-signed certificate", "unable to verify the first certificate"];
    CERTIFICATE_REQUIRED = "tls.certificate_required", Error, Vehicle, "The connecting side showed no certificate where policy demands one.",
        causes: ["a vehicle of ISO 15118-20 without a vehicle certificate", "a charging station configured for OCPP security profile 2 where profile 3 is demanded"],
        remedy: "Install a client certificate on the connecting side and check that its key can be read.",
        aliases: ["tlsv13 alert certificate required", "certificate_required", "peer did not return a certificate"];
    CERTIFICATE_EXPIRED = "tls.certificate_expired", Error, Pki, "A certificate in the chain has expired.",
        causes: ["the certificate was not renewed in time", "a sub-CA expired under a leaf that is still valid", "the clock of the verifying side runs ahead"],
        remedy: "Renew the certificate that is named, or correct the clock.",
        aliases: ["certificate has expired", "sslv3 alert certificate expired", "ssl/tls alert certificate expired", "certificate_expired"];
    CERTIFICATE_NOT_YET_VALID = "tls.certificate_not_yet_valid", Error, Pki, "A certificate in the chain is not valid yet.",
        causes: ["the clock of the verifying side runs behind", "the certificate was installed before its time"],
        remedy: "Correct the clock; a station without battery-backed time needs NTP before it accepts vehicles.",
        aliases: ["certificate is not yet valid"];
    CERTIFICATE_REVOKED = "tls.certificate_revoked", Error, Pki, "A certificate in the chain is revoked.",
        causes: ["its issuer withdrew it"], remedy: "Issue a new certificate and find out why the old one was withdrawn.",
        aliases: ["certificate revoked", "sslv3 alert certificate revoked", "certificate_revoked"];
    CERTIFICATE_REJECTED = "tls.certificate_rejected", Error, Pki, "A certificate was refused for a reason other than its root, its dates or its revocation.",
        causes: ["a signature in the chain does not verify", "a CA certificate is used beyond its path length", "key usage or basic constraints do not allow this use", "the key or the digest is too weak"],
        remedy: "Read the reason in the message and issue the certificate that is named again by its profile.",
        aliases: ["certificate verify failed", "bad_certificate", "sslv3 alert bad certificate", "sslv3 alert certificate unknown", "certificate_unknown", "sslv3 alert unsupported certificate", "unsupported_certificate", "certificate signature failure", "invalid CA certificate", "path length constraint exceeded", "unsupported certificate purpose", "unsuitable certificate purpose"];
    WRONG_DOMAIN = "tls.wrong_domain_component", Error, Pki, "The station's certificate does not carry the domain component CPO.",
        causes: ["a certificate of another kind (contract, provisioning) was installed as the station's", "the issuing CA left out DC=CPO"],
        remedy: "Issue the station's certificate again with DC=CPO in its subject [V2G2-925].";
    NAME_MISMATCH = "tls.name_mismatch", Error, Platform, "The platform's certificate is not valid for the name that was dialled.",
        causes: ["the station dials an address that the certificate does not list", "the connection is redirected to another server"],
        remedy: "Dial a name from the certificate, or issue it again with that name.",
        aliases: ["hostname mismatch", "IP address mismatch"];
    NO_COMMON_SUITE = "tls.no_common_suite", Error, Vehicle, "The two sides have no cipher suite, group or signature algorithm in common.",
        causes: ["one side allows only AES-GCM and the other offers only the CBC suite of ISO 15118-2", "the peer lacks secp521r1, X448 or secp256r1", "no configured certificate has a key type the peer can verify"],
        remedy: "Compare the two lists in the message; allow the legacy suite or add a credential of the missing type.",
        aliases: ["no shared cipher", "no suitable key share", "no suitable signature algorithm", "sslv3 alert handshake failure", "ssl/tls alert handshake failure", "handshake_failure", "no common signature algorithms", "insufficient_security"];
    STATIC_ECDH_ONLY = "tls.static_ecdh_only", Error, Vehicle, "The vehicle offers only static ECDH, which no current TLS library supports.",
        causes: ["a vehicle that implements the second mandatory suite of ISO 15118-2 and not the first"],
        remedy: "Update the vehicle, or let it charge without TLS where policy allows that.",
        aliases: ["TLS_ECDH_ECDSA_WITH_AES_128_CBC_SHA256", "ECDH-ECDSA-AES128-SHA256"];
    PROTOCOL_VERSION = "tls.protocol_version", Error, Vehicle, "The two sides have no TLS version in common.",
        causes: ["a peer that knows only TLS 1.0 or 1.1", "a vehicle of ISO 15118-2 at a station that serves only ISO 15118-20, or the reverse"],
        remedy: "Enable the other generation on the station, or update the peer.",
        aliases: ["tlsv1 alert protocol version", "unsupported protocol", "protocol_version", "no protocols available", "wrong ssl version"];
    HANDSHAKE_TIMEOUT = "tls.handshake_timeout", Warning, Network, "The TLS handshake did not finish in its time.",
        causes: ["the peer connected and said nothing, or too slowly", "frames are lost on the power line", "the other side is overloaded"],
        remedy: "Look at the signal quality of the link; repeated from one address it is an attack, and the connection limit holds it off.";
    NOT_TLS = "tls.not_tls", Warning, Vehicle, "The peer spoke something other than TLS on the TLS port.",
        causes: ["the vehicle ignored that SDP announced TLS", "a health check or a browser on the wrong port"],
        remedy: "Check the security byte of the SDP answer and the address the peer dialled.",
        aliases: ["wrong version number", "http request", "unknown protocol", "packet length too long"];
    MALFORMED = "tls.malformed", Warning, Vehicle, "The peer sent TLS that breaks its own grammar.",
        causes: ["a faulty TLS implementation", "bytes damaged or injected on the way", "an attack"],
        remedy: "Record the connection and compare it with a sound one; nothing on this side is wrong.",
        aliases: ["decode_error", "tlsv1 alert decode error", "illegal_parameter", "unexpected_message", "bad_record_mac", "decryption failed or bad record mac", "digest check failed", "bad extension", "length mismatch", "unexpected message", "bad record type", "decrypt_error", "tlsv1 alert decrypt error"];
    CONNECTION_LOST = "tls.connection_lost", Warning, Network, "The connection ended in the middle of the TLS handshake.",
        causes: ["the peer gave up without saying why: often it did not like the certificate", "the cable was pulled", "the peer crashed"],
        remedy: "Read the peer's own log; if it happens right after the station's certificate, compare roots.",
        aliases: ["unexpected eof while reading", "connection reset by peer"];
    PEER_ALERT = "tls.peer_alert", Error, Vehicle, "The peer ended the handshake with an alert that has no code of its own.",
        causes: ["see the alert in the message"], remedy: "Look the alert up in RFC 8446 section 6 and read the peer's log.",
        aliases: ["internal_error", "tlsv1 alert internal error", "access_denied", "user_canceled", "unrecognized_name"];
    INTERNAL = "tls.internal", Error, Station, "The TLS library failed on this side.",
        causes: ["a private key that cannot be used", "memory or entropy is exhausted"],
        remedy: "Read the message; check that the key matches its certificate and can be read.";
    STAPLE_RENEWED = "tls.staple_renewed", Info, Nobody, "A station got a fresh OCSP answer to staple to its certificate.", causes: [], remedy: "Nothing.";
    STAPLE_UNAVAILABLE = "tls.staple_unavailable", Warning, Pki, "A station cannot get a fresh OCSP answer to staple to its certificate.",
        causes: ["the responder does not answer or is not reachable from the station", "the responder does not speak for the issuer of the station's certificate", "the station's clock is wrong"],
        remedy: "Bring the responder back before the old answer runs out: vehicles that insist on an answer will refuse the station.";
    STAPLE_EXPIRED = "tls.staple_expired", Error, Pki, "The OCSP answer that a station staples has run out, and there is no new one.",
        causes: ["the responder has been away for longer than its answers are valid"],
        remedy: "Bring the responder back; the station asks it every minute.";
}
