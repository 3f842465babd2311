//! Codes of the area "ca": running a certification authority.

codes! {
    INITIALISED = "ca.initialised", Notice, Nobody, "A certification authority was set up.", causes: [], remedy: "Make a backup with `gridlatch pki backup` and keep it apart.";
    ADOPTED = "ca.adopted", Info, Nobody, "CAs that existed in the folder are managed from now on.", causes: [], remedy: "Nothing.";
    ISSUED = "ca.certificate_issued", Info, Nobody, "The CA issued a certificate.", causes: [], remedy: "Nothing.";
    RENEWED = "ca.certificate_renewed", Info, Nobody, "The CA issued a certificate again.", causes: [], remedy: "Install it before the old one ends.";
    REVOKED = "ca.certificate_revoked", Notice, Nobody, "A certificate was revoked.", causes: [], remedy: "Publish a new revocation list; whoever used the certificate needs another.";
    RELEASED = "ca.hold_released", Notice, Nobody, "The suspension of a certificate was lifted.", causes: [], remedy: "Nothing; lists and OCSP answers say so from now on.";
    EXPORTED = "ca.exported", Notice, Nobody, "Certificates, and private keys where asked for, were written to files.", causes: [], remedy: "Delete exported keys once they are installed.";
    BACKED_UP = "ca.backed_up", Notice, Nobody, "A backup of the CA was written.", causes: [], remedy: "Keep it and its passphrase apart from this machine and from each other.";
    RESTORED = "ca.restored", Notice, Nobody, "A CA was restored from a backup.", causes: [], remedy: "Certificates issued after the backup are unknown to it: compare with the last lists.";
    POLICY_CHANGED = "ca.policy_changed", Notice, Nobody, "The issuing policy was replaced.", causes: [], remedy: "Nothing.";
    APPROVAL_ASKED = "ca.approval_asked", Notice, Nobody, "Something that takes two people was asked for.", causes: [], remedy: "Two operators look at the request and approve it with `gridlatch pki approve`.";
    APPROVAL_GIVEN = "ca.approval_given", Notice, Nobody, "An operator approved a request.", causes: [], remedy: "Nothing.";
    APPROVAL_WITHDRAWN = "ca.approval_withdrawn", Notice, Nobody, "A request that takes two people was taken back.", causes: [], remedy: "Nothing.";
    APPROVAL_NEEDED = "ca.approval_needed", Warning, Operator, "This needs the approval of two operators.",
        causes: ["a root would sign", "a CA would be revoked", "the policy or the operators would change"],
        remedy: "Have two operators approve the request with `gridlatch pki approve`.";
    DUAL_CONTROL = "ca.dual_control", Error, Operator, "A PKI that takes two operators was not handed to a program that would hold all its keys.",
        causes: ["`gridlatch up` was started on the data folder of a PKI that `gridlatch pki init` set up for two operators"],
        remedy: "Serve the PKI with `gridlatch pki serve`, and give `gridlatch up` a folder of its own with --data.";
    APPROVAL_REFUSED = "ca.approval_refused", Error, Operator, "An approval was not accepted.",
        causes: ["the operator is not registered here", "the key is not the one that was registered", "the request was executed or withdrawn", "the same operator approved before"],
        remedy: "Approve with the key of a registered operator who has not approved yet; `gridlatch pki approve` alone lists what is open.";
    POLICY_REFUSED = "ca.policy_refused", Error, Operator, "The issuing policy does not allow this certificate.",
        causes: ["the requester's role may not get this kind of certificate", "the name is not one the rule allows", "another CA issues this kind"],
        remedy: "Ask for what the policy allows (`gridlatch pki policy show`), or change the policy.";
    POLICY_INVALID = "ca.policy_invalid", Error, Operator, "An issuing policy cannot be used.",
        causes: ["a word that no rule knows", "a kind of certificate or a role that does not exist"],
        remedy: "Correct the line that is named; `gridlatch pki policy check FILE` checks without changing anything.";
    WRONG_ISSUER = "ca.wrong_issuer", Error, Operator, "This CA may not sign this kind of certificate.",
        causes: ["a leaf asked from a root", "the kind belongs to another branch or another generation"],
        remedy: "Ask the CA that the profile names; `gridlatch pki list --authorities` shows them.";
    UNKNOWN_AUTHORITY = "ca.unknown_authority", Error, Operator, "There is no CA of this name here.",
        causes: ["a slip in the name", "another data folder is used"], remedy: "See `gridlatch pki list --authorities`.";
    AUTHORITY_UNUSABLE = "ca.authority_unusable", Error, Pki, "The CA has expired, was revoked or was retired, and signs nothing any more.",
        causes: ["the CA was not renewed in time", "it was revoked"], remedy: "Renew it, or issue from its successor.";
    UNKNOWN_CERTIFICATE = "ca.unknown_certificate", Warning, Operator, "The CA never issued a certificate with this serial number.",
        causes: ["a slip in the serial number", "another CA issued it"], remedy: "Look for it with `gridlatch pki list`.";
    ALREADY_REVOKED = "ca.already_revoked", Warning, Operator, "The certificate was revoked before.",
        causes: ["two people revoked it", "the order was sent twice"], remedy: "Nothing; the first time and reason stand.";
    NOT_HELD = "ca.not_held", Warning, Operator, "A suspension cannot be lifted: the certificate is not on hold.",
        causes: ["it was never suspended, or the suspension was lifted before", "it was revoked for good"],
        remedy: "Look at it with `gridlatch pki show`; what was revoked for good needs a new certificate.";
    REPLAYED = "ca.request_replayed", Error, Operator, "This certificate request was used before.",
        causes: ["the client sent it again because an answer was lost", "somebody replays a recorded request"],
        remedy: "Make a new request; the certificate of the first one can be fetched by its serial number.";
    EXISTS = "ca.exists", Error, Operator, "Something that would have been overwritten exists already.",
        causes: ["the CA was set up before", "the folder is in use"], remedy: "Choose another name or folder, or move what is there away yourself.";
    PLAN_INVALID = "ca.plan_invalid", Error, Operator, "A CA cannot be set up, or a request not be filed, the way it was asked for.",
        causes: ["a name that is too long", "dual control with fewer than two operators", "two operators with one key"], remedy: "Correct what the message names.";
    NOT_INITIALISED = "ca.not_initialised", Error, Operator, "There is no CA in this data folder.",
        causes: ["another folder was used to set it up"], remedy: "Set one up with `gridlatch pki init`, or name its folder with --data.";
    KEY_SCHEME = "ca.key_scheme", Error, Operator, "A key reference names a kind of key store that this process has not opened.",
        causes: ["the module or TPM of the key is not configured here"], remedy: "Configure it; a key is never replaced by one of another kind.";
    STORE_FAILED = "ca.store_failed", Critical, Operator, "The CA's database did not take a change; nothing was issued or revoked.",
        causes: ["the file is damaged or not writable", "another process holds it", "the database server is gone"],
        remedy: "Correct the cause that is named and ask again.";
    DISK_FULL = "ca.disk_full", Critical, Operator, "The disk is full; nothing was issued or revoked.",
        causes: ["the file system of the data folder has no room"], remedy: "Make room and ask again; nothing has to be repaired.";
    WRONG_PASSPHRASE = "ca.wrong_passphrase", Error, Operator, "The passphrase does not open this backup.",
        causes: ["a slip in the passphrase", "the first bytes of the file are damaged"], remedy: "Try again; without the passphrase nobody can read a backup.";
    BACKUP_DAMAGED = "ca.backup_damaged", Error, Operator, "A backup is damaged or was altered; nothing was restored.",
        causes: ["the file was cut short or changed", "it is not a backup of this program"], remedy: "Use another copy.";
}
