//! Codes of the area "enrolment": the certificate services on the network: EST, OCSP, revocation lists.

codes! {
    SERVING = "enrolment.serving", Notice, Nobody, "Certificate services are reachable.", causes: [], remedy: "Nothing.";
    ENROLLED = "enrolment.enrolled", Info, Nobody, "A certificate was issued over EST.", causes: [], remedy: "Nothing.";
    PENDING = "enrolment.pending", Notice, Nobody, "A certificate request waits for approval.", causes: [], remedy: "See `gridlatch pki client waiting`, then `gridlatch pki client approve ID`; the client asks again by itself.";
    CRL_PUBLISHED = "enrolment.crl_published", Info, Nobody, "A revocation list was published.", causes: [], remedy: "Nothing.";
    OCSP_SIGNER_RENEWED = "enrolment.ocsp_signer_renewed", Notice, Nobody, "An OCSP signer got a new certificate.", causes: [], remedy: "Nothing.";
    OCSP_SIGNER_DUE = "enrolment.ocsp_signer_due", Warning, Operator, "The OCSP signer below a root ends soon, and a new one takes two operators.",
        causes: ["the request for a new signer has not been approved yet"],
        remedy: "Have two operators approve the request that is named (`gridlatch pki approve`); without it nobody answers for this root's certificates once the old signer has ended.";
    UNAUTHENTICATED = "enrolment.unauthenticated", Warning, Operator, "A client asked for a certificate without proving who it is.",
        causes: ["no client certificate and no password was sent", "the password is wrong", "the client was removed"],
        remedy: "Give the client a password (`gridlatch pki client add`) or a client certificate of this PKI.";
    UNPROTECTED = "enrolment.unprotected", Error, Operator, "A client asked for a certificate over a connection without TLS.",
        causes: ["http instead of https in the client's configuration", "a proxy that ends TLS in front of this service"],
        remedy: "Use the https address; whatever password was sent is known to the network now, replace it.";
    UNKNOWN_LABEL = "enrolment.unknown_label", Warning, Operator, "A client asked for a kind of certificate that this service does not have.",
        causes: ["a slip in the path", "an ISO 15118 version or a curve that do not belong together"],
        remedy: "Use a label of docs/enrolment.md, such as secc, contract or station, with -iso2 or -iso20 behind it where it matters.";
    NOT_A_REQUEST = "enrolment.not_a_request", Warning, Operator, "What a client sent is no certificate request.",
        causes: ["the body is not Base64 of a PKCS#10 request", "another content type than application/pkcs10"],
        remedy: "Send PKCS#10 in Base64; `openssl req -new -outform DER | base64` makes it.";
    REQUEST_REFUSED = "enrolment.request_refused", Warning, Operator, "A certificate request was refused.",
        causes: ["its signature was not made by the key inside", "a name that no certificate of this kind may have", "a key of a type that this kind may not have"],
        remedy: "Read the code in the answer; correct the request and make a new one.";
    OTHER_SUBJECT = "enrolment.other_subject", Error, Operator, "A client asked to renew a certificate under another name.",
        causes: ["the request's subject or alternative names differ from those of the certificate that was shown", "an attempt to take over another identity"],
        remedy: "Renew with the same subject [RFC 7030 4.2.2]; another name is a first enrolment.";
    NOTHING_TO_RENEW = "enrolment.nothing_to_renew", Warning, Operator, "A client asked to renew without showing a certificate of this CA that is still good.",
        causes: ["no client certificate was shown", "it was issued by another CA", "it was revoked"],
        remedy: "Show the certificate that is to be renewed as client certificate; a revoked one takes a first enrolment.";
    OTHER_CONNECTION = "enrolment.other_connection", Error, Network, "A certificate request was made for another connection than the one it came over.",
        causes: ["somebody between client and service passes requests on", "a client that computes the channel binding wrongly"],
        remedy: "Look for whoever ends TLS between client and service [RFC 7030 3.5].";
    KEY_GENERATION_OFF = "enrolment.key_generation_off", Warning, Operator, "A client asked for a key made by the service, which is switched off.",
        causes: ["serverkeygen is configured in the client"], remedy: "Let the client make its own key and enrol with a request.";
    TOO_LARGE = "enrolment.too_large", Warning, Network, "A request was larger than its bound.",
        causes: ["a broken client", "an attempt to exhaust the service"], remedy: "Nothing unless it repeats; then look at the address.";
    TOO_SLOW = "enrolment.too_slow", Warning, Network, "A request's body did not arrive in time.",
        causes: ["a bad network", "an attempt to hold connections open"], remedy: "Nothing unless it repeats; then look at the address.";
    NOT_HTTP = "enrolment.not_http", Warning, Network, "Something other than HTTP arrived at a certificate service.",
        causes: ["TLS on the plain port", "a port scan", "a broken client"], remedy: "Check scheme and port of the address the client uses.";
    CONNECTIONS_EXHAUSTED = "enrolment.connections_exhausted", Warning, Network, "A connection to a certificate service was closed because too many are open.",
        causes: ["a client that does not close connections", "a flood"], remedy: "Look at the addresses of the open connections.";
    OCSP_MALFORMED = "enrolment.ocsp_malformed", Warning, Network, "An OCSP request could not be read.",
        causes: ["a broken client", "bytes that were never OCSP"], remedy: "Look at the request with `openssl ocsp -reqin FILE -req_text`.";
    OCSP_UNAVAILABLE = "enrolment.ocsp_unavailable", Error, Operator, "An OCSP answer could not be made.",
        causes: ["the signer's key cannot be used", "the CA has expired", "the database does not answer"],
        remedy: "Read the message and correct the cause; clients are told to try later meanwhile.";
    OCSP_BUSY = "enrolment.ocsp_busy", Warning, Network, "OCSP requests that need a fresh signature came faster than they can be signed; some were told to try later.",
        causes: ["a flood of requests with a nonce"], remedy: "Look at the addresses; requests without a nonce are answered from memory.";
    CRL_FAILED = "enrolment.crl_failed", Critical, Operator, "A revocation list could not be made; the last one stands until it expires.",
        causes: ["the CA's key is away", "the CA has expired", "the database does not take it"],
        remedy: "Correct the cause before the last list expires; it is tried again every minute.";
}
