//! Codes of the area "pki": issuing, storing and judging certificates.

codes! {
    DEV_PKI_CREATED = "pki.dev_pki_created", Notice, Nobody, "A development PKI was created because the data folder had none.", causes: [], remedy: "Nothing on a laptop; never use these keys in the field.";
    DEV_PKI_COMPLETED = "pki.dev_pki_completed", Notice, Nobody, "A development PKI that was only half written has been completed.", causes: [], remedy: "Nothing; the process was stopped while it created the PKI.";
    ISSUED = "pki.certificate_issued", Info, Nobody, "A certificate was issued.", causes: [], remedy: "Nothing.";
    RENEWED = "pki.certificate_renewed", Info, Nobody, "A certificate was issued again because the old one is about to expire.", causes: [], remedy: "Nothing.";
    STORE_DAMAGED = "pki.store_damaged", Critical, Operator, "A stored certificate and its key do not belong together or cannot be read.",
        causes: ["a file was edited, copied from elsewhere or cut short", "the disk is failing"],
        remedy: "Restore the folder from a backup; on a laptop delete it and a new development PKI is made.";
    KEY_UNAVAILABLE = "pki.key_unavailable", Error, Operator, "A private key could not be used.",
        causes: ["the key file is missing or readable by others", "the token or TPM that holds it does not answer"],
        remedy: "Restore the key or its permissions; a key is never replaced by a weaker one.";
    LINT_REFUSED = "pki.lint_refused", Error, Operator, "A certificate was not issued because it would break its profile.",
        causes: ["a name does not follow the grammar of its kind", "the requested key type is not of this generation"],
        remedy: "Correct the request; the message names each broken rule with its clause.";
    NO_PATH = "pki.no_path", Error, Pki, "A certificate chain does not lead to any trusted root.",
        causes: ["the root that issued the chain is not installed here", "an intermediate certificate was not sent", "the issuer's key was renewed under the same name"],
        remedy: "Install the root named as missing, send the missing intermediate, or cross-sign.";
    EXPIRED = "pki.expired", Error, Pki, "A certificate in the chain has expired.",
        causes: ["it was not renewed in time", "the clock of this side runs ahead"],
        remedy: "Renew the certificate that is named, or correct the clock.";
    NOT_YET_VALID = "pki.not_yet_valid", Error, Pki, "A certificate in the chain is not valid yet.",
        causes: ["the clock of this side runs behind", "it was installed before its time"],
        remedy: "Correct the clock, or wait.";
    BAD_SIGNATURE = "pki.bad_signature", Error, Pki, "A certificate's signature does not verify with its issuer's key.",
        causes: ["the certificate was altered", "two CAs share a name but not a key"],
        remedy: "Fetch the certificate again from its issuer and compare fingerprints.";
    PATH_TOO_LONG = "pki.path_too_long", Error, Pki, "A chain has more certificates than allowed.",
        causes: ["a cross-certificate over the root instead of the sub-CA", "a path length constraint of a CA is exceeded"],
        remedy: "Cross-sign the sub-CA 1, so that at most three certificates lie below the root [V2G2-009].";
    OUTLIVES_ISSUER = "pki.outlives_issuer", Error, Pki, "A certificate is valid beyond its issuer's validity.",
        causes: ["the CA does not clamp lifetimes"], remedy: "Issue it again with an end no later than its issuer's [V2G20-3000].";
    KEY_USAGE = "pki.key_usage", Error, Pki, "A certificate's key usage does not allow what it is used for.",
        causes: ["a certificate of another kind is used", "the CA's template lacks a bit"],
        remedy: "Issue it again by its profile.";
    BASIC_CONSTRAINTS = "pki.basic_constraints", Error, Pki, "A CA certificate is no CA, or a leaf is one.",
        causes: ["a leaf was used to sign", "the CA's template is wrong"], remedy: "Issue it again by its profile.";
    DOMAIN_COMPONENT = "pki.domain_component", Error, Pki, "A certificate lacks the domain component of its kind.",
        causes: ["a certificate of another kind is used", "the issuing CA left it out"],
        remedy: "Issue it again with the domain component its profile names.";
    COMMON_NAME = "pki.common_name", Error, Pki, "A certificate's common name does not follow the grammar of its kind.",
        causes: ["an EMAID, PCID or SECCID was mistyped or kept its separators"], remedy: "Correct the name and issue again.";
    LIFETIME = "pki.lifetime", Error, Pki, "A certificate is valid for longer than its profile allows.",
        causes: ["a lifetime was set by hand"], remedy: "Issue it with the profile's lifetime.";
    WRONG_CURVE = "pki.wrong_curve", Error, Pki, "A certificate's key is not of a type its generation allows.",
        causes: ["a certificate of ISO 15118-2 is used for ISO 15118-20, or the reverse", "an RSA key"],
        remedy: "Issue it with secp256r1 for ISO 15118-2 or secp521r1 or Ed448 for ISO 15118-20.";
    UNSUPPORTED_ALGORITHM = "pki.unsupported_algorithm", Error, Pki, "A certificate is signed with an algorithm that no profile allows.",
        causes: ["RSA, or a digest of another strength"], remedy: "Issue it by its profile.";
    UNKNOWN_EXTENSION = "pki.unknown_extension", Error, Pki, "A certificate carries a critical extension that is not understood here.",
        causes: ["name constraints or policies that V2G profiles do not know"], remedy: "Issue it without the extension, or mark it not critical.";
    TOO_LARGE = "pki.too_large", Error, Pki, "A certificate or a chain is larger than allowed.",
        causes: ["long names or extra extensions", "hostile input"], remedy: "Keep within 800 octets for ISO 15118-2 and 1600 for ISO 15118-20.";
    MALFORMED = "pki.malformed", Warning, Pki, "A certificate is not valid DER.",
        causes: ["PEM where DER is expected", "a certificate cut short on the way", "hostile input"], remedy: "Look at it with `openssl asn1parse -inform DER`.";
    CSR_MALFORMED = "pki.csr_malformed", Warning, Pki, "A certificate request is not a PKCS#10 request in DER.",
        causes: ["PEM where DER is expected", "a request without the attributes field", "hostile input"], remedy: "Make the request again, for example with `openssl req -new -outform DER`.";
    CSR_TOO_LARGE = "pki.csr_too_large", Warning, Pki, "A certificate request is larger than any that could be issued.",
        causes: ["hostile input", "dozens of alternative names"], remedy: "Keep a request within 16 kB and 32 names.";
    CSR_POSSESSION = "pki.csr_possession", Error, Pki, "A certificate request is not signed by the key it carries.",
        causes: ["the request was altered on the way", "somebody asks for a certificate on a key that is not theirs"],
        remedy: "Make the request on the device that holds the key; find out who sent it.";
    CSR_NAME = "pki.csr_name", Error, Pki, "A certificate request holds a name that is never issued.",
        causes: ["a NUL or another control character in a name", "two common names", "an alternative name that is neither host name nor address"],
        remedy: "Ask for one readable name of each kind.";
    CMS_MALFORMED = "pki.cms_malformed", Warning, Pki, "A message that should hold certificates is not a certs-only CMS message.",
        causes: ["PEM where DER is expected", "an error page instead of an answer"], remedy: "Look at it with `openssl pkcs7 -inform DER -print_certs`.";
    CMS_TOO_LARGE = "pki.cms_too_large", Warning, Pki, "A message holds more certificates than are looked at.",
        causes: ["a whole trust store instead of a chain", "hostile input"], remedy: "Send one chain or one set of roots, at most 64 certificates.";
    ODD_SERIAL = "pki.odd_serial", Warning, Pki, "A certificate's serial number is one that RFC 5280 does not allow: zero (told only), negative or longer than 20 octets (refused below a root).",
        causes: ["a CA that makes its serial numbers by hand", "hostile input"],
         remedy: "Issue it again with a positive serial number of at most 20 octets; some stacks refuse others.";
    ODD_NAME = "pki.odd_name", Warning, Pki, "A name in a certificate holds characters that readers cut or hide.",
        causes: ["a NUL or another control character in a name", "an attempt to be taken for somebody else"],
         remedy: "Do not trust what the name seems to say; issue the certificate again with a plain name.";
    ODD_PURPOSE = "pki.odd_purpose", Notice, Pki, "A certificate carries an extended key usage that its profile does not know.", causes: [], remedy: "Nothing here; where another stack refuses the chain, ask the CA for certificates without it.";
    SENT_TWICE = "pki.sent_twice", Notice, Pki, "A certificate was sent twice in one chain.", causes: [], remedy: "Remove the copy; each certificate costs about 500 octets in every handshake.";
    ROOT_SENT = "pki.root_sent", Notice, Pki, "A root was sent along with its chain.", causes: [], remedy: "Leave the root out: who trusts it has it, and who has it not must not take it from the peer.";
    WRONG_ORDER = "pki.wrong_order", Notice, Pki, "The certificates of a chain were sent in the wrong order.", causes: [], remedy: "Send the leaf first and then each certificate's issuer; some stacks do not sort.";
    UNRELATED = "pki.unrelated", Notice, Pki, "A certificate was sent that belongs to no path.", causes: [], remedy: "Remove it, or send the chain it belongs to.";
}
