//! Codes of the area "key": private keys, in files and in hardware.

codes! {
    GENERATED = "key.generated", Info, Nobody, "A private key was made, in a file or inside a token.", causes: [], remedy: "Nothing.";
    UNAVAILABLE = "key.unavailable", Error, Operator, "A private key that hardware keeps cannot be used; nothing else is used in its place.",
        causes: ["the token was removed, reset or restarted", "the PKCS#11 module or the TPM's resource manager is not there", "another program holds the device", "the module was built for another machine"],
        remedy: "Bring the device or its service back; the key is tried again by itself at the next signature.",
        aliases: ["CKR_DEVICE_ERROR", "CKR_DEVICE_REMOVED", "CKR_TOKEN_NOT_PRESENT", "CKR_GENERAL_ERROR"];
    NOT_FOUND = "key.not_found", Error, Operator, "The token has no private key by this name.",
        causes: ["the object's label or id in the URI differs from the token's", "the key was made on another token", "the token shows private objects only after a PIN was given", "the TPM's persistent handle is empty"],
        remedy: "List what is there with `gridlatch pki key list --uri ...` and correct the URI.",
        aliases: ["CKR_OBJECT_HANDLE_INVALID", "TPM_RC_HANDLE"];
    MISMATCH = "key.mismatch", Error, Operator, "The key that answers is not the key that was asked for.",
        causes: ["the token was wiped and provisioned again", "two keys share a label", "the URI points at another certificate's key"],
        remedy: "Compare the public key with the certificate's; issue a new certificate for a key that was replaced.";
    PIN_REFUSED = "key.pin_refused", Error, Operator, "The token refused the PIN; it is not tried again, so that the token does not lock.",
        causes: ["the PIN in the file or the environment is not the token's", "the PIN was changed", "the token is locked or one attempt from it"],
        remedy: "Correct the PIN's file or variable; unlock a locked token with its security officer's PIN.",
        aliases: ["CKR_PIN_INCORRECT", "CKR_PIN_LOCKED", "CKR_PIN_LEN_RANGE", "TPM_RC_AUTH_FAIL", "TPM_RC_LOCKOUT"];
    BUSY = "key.busy", Warning, Operator, "More signatures are asked of a key than its device can give.",
        causes: ["many vehicles connect at once to a station with a TPM", "connections are opened to exhaust the device"],
        remedy: "Allow session resumption, use a faster token, or spread the load over more keys.";
    UNSUPPORTED = "key.unsupported", Error, Operator, "This kind of key cannot be used here.",
        causes: ["Ed448 was asked of hardware: neither TPM 2.0 nor the PKCS#11 tokens known have it", "the token lacks the curve", "the key is RSA or on a curve that no profile allows"],
        remedy: "Use P-256 or P-521 in hardware; keep Ed448 keys in files.",
        aliases: ["CKR_CURVE_NOT_SUPPORTED", "CKR_MECHANISM_INVALID", "CKR_KEY_TYPE_INCONSISTENT", "TPM_RC_CURVE"];
    INVALID_URI = "key.invalid_uri", Error, Operator, "The text is no key URI.",
        causes: ["a spelling mistake", "a PIN was written into the URI, where command lines and logs would show it"],
        remedy: "Write file:PATH, pkcs11:token=NAME;object=NAME?module-path=PATH, or tpm:0x81010002?tcti=...; give the PIN by a file or the environment.";
    FILE = "key.file", Error, Operator, "A key file cannot be used.",
        causes: ["other accounts can read it", "it is no PEM private key", "it needs a pass phrase", "the file system refused"],
        remedy: "Read the reason in the message; a key file is PKCS#8 PEM with mode 600.";
}
