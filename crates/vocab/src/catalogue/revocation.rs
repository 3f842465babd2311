//! Codes of the area "revocation": CRLs, OCSP answers, and what they say.

codes! {
    REVOKED = "revocation.revoked", Error, Pki, "A certificate in the chain has been revoked.",
        causes: ["its key was lost or stolen", "the contract or the station was taken out of service", "the issuing CA was compromised"],
        remedy: "Have a new certificate issued on a new key; the message says when and why the old one was revoked.";
    UNKNOWN = "revocation.unknown", Warning, Pki, "Nothing is known about whether a certificate was revoked.",
        causes: ["neither a revocation list nor an OCSP answer of its CA is at hand", "the list or answer that is at hand has run out", "the OCSP responder does not know the certificate"],
        remedy: "Fetch the CA's list or an OCSP answer, let the station staple one, or allow unknown for a while in the policy.";
    STALE = "revocation.stale", Warning, Pki, "A revocation list or an OCSP answer has run out.",
        causes: ["the CA stopped publishing", "the copy here is not refreshed", "the clock of this side runs ahead"],
        remedy: "Fetch it again; look at the CA's publishing job and at the clock.";
    FROM_THE_FUTURE = "revocation.from_the_future", Warning, Operator, "A revocation list or an OCSP answer is of a time that has not come yet.",
        causes: ["the clock of this side runs behind by more than five minutes", "the responder's clock runs ahead"], remedy: "Correct the clock.";
    BAD_SIGNATURE = "revocation.bad_signature", Error, Pki, "A revocation list or an OCSP answer is not signed by the CA it speaks for.",
        causes: ["it was altered on the way", "the CA's key was renewed under the same name", "the CA's key usage does not allow signing lists"],
        remedy: "Fetch it again from the CA; until then the certificate counts as unknown.";
    UNAUTHORISED = "revocation.unauthorised_responder", Error, Pki, "An OCSP answer was signed by somebody the CA has not delegated.",
        causes: ["the responder's certificate is of another CA, has expired, or lacks the purpose OCSPSigning", "the responder's certificate lacks ocsp-nocheck, so that its own revocation would have to be asked"],
        remedy: "Issue the responder a certificate of the profile OCSP signer by the CA whose certificates it speaks of.";
    NONCE = "revocation.nonce", Error, Network, "An OCSP answer does not repeat the nonce it was asked with.",
        causes: ["an old answer is played back", "the responder serves answers made beforehand, and the policy insists on a nonce"],
        remedy: "Ask again; where answers are made beforehand, do not insist on a nonce.";
    OTHER_CERTIFICATE = "revocation.other_certificate", Warning, Pki, "An OCSP answer is about another certificate.",
        causes: ["an old answer is stapled after a renewal", "the answers of two certificates were swapped"], remedy: "Fetch the answer for the certificate that is shown now.";
    OTHER_SCOPE = "revocation.other_scope", Warning, Pki, "A revocation list does not speak of the certificate in question.",
        causes: ["it is another CA's list", "it is indirect, partial or of a kind that is not used here"], remedy: "Use the list that the certificate names.";
    REFUSED = "revocation.responder_refused", Warning, Pki, "An OCSP responder did not answer the question.",
        causes: ["it does not speak for this CA", "it is overloaded or misconfigured"], remedy: "Ask the responder that the certificate names, later.";
    TOO_LARGE = "revocation.too_large", Warning, Pki, "A revocation list, an OCSP request or an OCSP answer is larger than allowed.",
        causes: ["a list of hundreds of thousands of entries", "hostile input"], remedy: "Split the list by issuing CA; ask about fewer certificates at a time.";
    MALFORMED = "revocation.malformed", Warning, Pki, "A revocation list, an OCSP request or an OCSP answer is not valid DER.",
        causes: ["an error page instead of an answer", "PEM where DER is expected", "hostile input"], remedy: "Look at it with `openssl asn1parse -inform DER`.";
    PLACE_NOT_ALLOWED = "revocation.place_not_allowed", Warning, Operator, "Revocation was not fetched because the place is not on the list of allowed places.",
        causes: ["a certificate names a responder nobody here knows", "a certificate was made to probe this network"],
        remedy: "Add the host to the allowed places if you trust it.";
    FETCH_FAILED = "revocation.fetch_failed", Warning, Network, "A revocation list or an OCSP answer could not be fetched.",
        causes: ["the place does not answer or is not reachable from here", "it answered with an error or too much"],
        remedy: "Fetch the address by hand; check the network between here and there.";
}
