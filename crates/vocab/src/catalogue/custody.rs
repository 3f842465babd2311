//! Codes of the area "custody": the certificates a station holds, and how they are replaced over OCPP.

codes! {
    REQUESTED = "custody.requested", Info, Nobody, "A charging station asks for a new certificate.", causes: [], remedy: "Nothing.";
    SIGNED = "custody.signed", Info, Nobody, "The platform had a charging station's request signed and sent it the certificate.", causes: [], remedy: "Nothing.";
    INSTALLED = "custody.installed", Notice, Nobody, "A charging station shows a new certificate; the old one is kept until the crossover is over.", causes: [], remedy: "Nothing.";
    ROOT_INSTALLED = "custody.root_installed", Notice, Nobody, "A root certificate was installed at a charging station.", causes: [], remedy: "Nothing, if you ordered it; otherwise find out who did, for whoever holds that root can sign for everybody.";
    ROOT_REMOVED = "custody.root_removed", Notice, Nobody, "A root certificate was removed from a charging station.", causes: [], remedy: "Nothing, if you ordered it.";
    NOT_ASKED = "custody.not_asked", Error, Platform, "A certificate was sent for a key that the charging station did not ask with.",
        causes: ["the certificate belongs to another station", "an answer arrived twice", "the station lost its key and asks with a new one"],
        remedy: "Trigger a new request (TriggerMessage SignV2GCertificate or SignChargingStationCertificate).";
    NO_ROOT = "custody.no_root", Error, Platform, "What was to be installed as a root is not a root.",
        causes: ["a sub-CA or a leaf was sent", "the root has expired", "a root of another kind was named"],
        remedy: "Send the self-signed certificate at the top of the chain, under the use it has.";
    IN_USE = "custody.in_use", Warning, Operator, "A root was not removed because the latest certificate of some use leads to it.",
        causes: ["the station's certificates have not been replaced yet"], remedy: "Install certificates under the new root first.";
    UNKNOWN = "custody.unknown", Warning, Operator, "No installed certificate has the hash data that were named.",
        causes: ["it was removed already", "the hash data were computed with another algorithm"], remedy: "List what is installed with GetInstalledCertificateIds.";
    FULL = "custody.full", Warning, Operator, "No further certificate of this use can be kept.",
        causes: ["old roots were never removed"], remedy: "Remove what is no longer needed.";
    REFUSED = "custody.refused", Error, Operator, "A new certificate verifies but the station's listener cannot use it; the old one stays.",
        causes: ["the chain does not fit the generations this station serves"], remedy: "Read the reason in the message and issue a fitting certificate.";
    NOT_KEPT = "custody.not_kept", Error, Operator, "A certificate or key could not be written, so it is not used.",
        causes: ["the disk is full", "the folder is not writable"], remedy: "Make room or correct the permissions; the certificate is asked for again.";
    NO_KEY_PLACE = "custody.no_key_place", Error, Operator, "No new key was made: the current one is in a token or a TPM, and nobody has said where the next one goes.",
        causes: ["the station was started without the token that holds its keys"],
        remedy: "Start it with the place of its keys again (docs/keys.md, --station-keys); the certificate is asked for again.";
    SIGNING_REFUSED = "custody.signing_refused", Error, Station, "A charging station's request for a certificate was refused.",
        causes: ["it names another station", "the signature does not prove the key", "the issuing policy does not allow it", "too many requests"],
        remedy: "Read the reason in the message; compare the request's name with the station's identity.";
    SIGNING_UNAVAILABLE = "custody.signing_unavailable", Error, Platform, "A charging station's request for a certificate could not be answered now.",
        causes: ["no certification authority is configured", "it is down, or waits for an approval"], remedy: "Bring the authority back; the station asks again by itself.";
}
