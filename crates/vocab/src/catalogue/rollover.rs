//! Codes of the area "rollover": certificates, roots and trust stores that change while everything runs.

codes! {
    ROOT_MISSING = "rollover.root_missing", Notice, Pki, "A peer's root is not installed here, and it was asked for.",
        causes: ["vehicle and station belong to different V2G roots"], remedy: "Nothing yet: the answer is a leaf under that root, or a trust list with it.";
    ROOT_FOUND = "rollover.root_found", Info, Nobody, "The root pool knows a root that was asked for, and who operates it.", causes: [], remedy: "Nothing.";
    TRUST_LIST_INSTALLED = "rollover.trust_list_installed", Notice, Nobody, "A signed list of roots was verified and installed.", causes: [], remedy: "Nothing.";
    TRUST_LIST_REFUSED = "rollover.trust_list_refused", Error, Pki, "A list of roots was not installed.",
        causes: ["it is not signed by the back end its holder was built for", "it is older than the list in use", "one of its certificates is no root"],
        remedy: "Compare the back end's signing key with the one in the holder, and sign a list with a higher number.";
    CREDENTIALS_SWAPPED = "rollover.credentials_swapped", Notice, Nobody, "A listener that runs shows new certificates; sessions that run keep theirs.", causes: [], remedy: "Nothing.";
    LISTENER_KEPT = "rollover.listener_kept", Error, Operator, "A listener's certificate is due and was not replaced; the old one is shown until it ends.",
        causes: ["the PKI's folder cannot be read or written", "the new certificate does not fit its key"],
        remedy: "Correct what the message names; it is tried again each hour.";
    STAGE_DONE = "rollover.stage_done", Notice, Nobody, "A stage of a root's rollover is complete.", causes: [], remedy: "Start the next stage on its date.";
    STAGE_BLOCKED = "rollover.stage_blocked", Error, Operator, "The next stage of a root's rollover must not start yet.",
        causes: ["a holder has not got what the stage before was to give it", "its date has not come"],
        remedy: "Bring the named holders up to date, or take them out of the plan on purpose.";
    REISSUE_PROGRESS = "rollover.reissue_progress", Info, Nobody, "A fleet's certificates are being issued again.", causes: [], remedy: "Nothing.";
    REISSUE_RESUMED = "rollover.reissue_resumed", Notice, Nobody, "A bulk issue that was interrupted goes on where it stopped.", causes: [], remedy: "Nothing.";
    REISSUE_FAILED = "rollover.reissue_failed", Error, Pki, "One certificate of a fleet was not issued again; the others go on.",
        causes: ["its name breaks its profile", "its key is not of this generation", "the CA refused"],
        remedy: "Read the reason, correct the entry, and run the bulk issue again: it takes up only what is missing.";
    JOURNAL_DAMAGED = "rollover.journal_damaged", Critical, Operator, "The journal of a bulk issue cannot be read.",
        causes: ["it belongs to another fleet list", "a line in its middle was edited", "the disk is failing"],
        remedy: "Restore it from a backup; deleting it issues every certificate of the fleet once more.";
    BREAK_AHEAD = "rollover.break_ahead", Warning, Pki, "Something stops working on a known date if nothing is done.",
        causes: ["a certificate, a sub-CA or a root reaches its end", "a holder's trust store lacks the root of what it will meet"],
        remedy: "Do what the line says before its date.";
    BROKEN_NOW = "rollover.broken_now", Error, Pki, "Something does not work already.",
        causes: ["a certificate has expired", "two holders that meet have no root in common"],
        remedy: "Do what the line says.";
    CAMPAIGN_STARTED = "rollover.campaign_started", Notice, Nobody, "A change of roots or certificates at many stations began, or goes on.", causes: [], remedy: "Nothing; its progress is at /api/v1/campaigns.";
    CAMPAIGN_DONE = "rollover.campaign_done", Notice, Nobody, "Every station of a campaign has a result.", causes: [], remedy: "Look at those that were refused or failed, if any.";
    CAMPAIGN_STOPPED = "rollover.campaign_stopped", Error, Station, "A campaign stopped: as many stations failed as were allowed, or the operator said so.",
        causes: ["stations refuse what they are told to install", "stations say that they installed it and do not list it", "the operator stopped it"],
        remedy: "Read the results of its stations, correct the cause, and resume it; stations that are done are not told again.";
    STATION_CHANGED = "rollover.station_changed", Info, Nobody, "A station did what a campaign told it, and what it lists shows it.", causes: [], remedy: "Nothing.";
    ALREADY_SO = "rollover.already_so", Info, Nobody, "A station already holds what a campaign was to bring about.", causes: [], remedy: "Nothing.";
    NOT_AS_SAID = "rollover.not_as_said", Error, Station, "A station said that it did what it was told, and what it lists does not show it.",
        causes: ["its trust store is full or read-only", "it applies the change only after a restart", "it answers before it checks"],
        remedy: "Ask it again with `gridlatch pki inventory --platform`; if it still does not list it, its maker has to correct it.";
    NOT_VOUCHED = "rollover.not_vouched", Error, Pki, "A new root was not distributed, because nothing proves that the old one vouches for it.",
        causes: ["no link certificate was given, or it does not belong to the two roots", "the link certificate has ended", "the station does not hold the old root"],
        remedy: "Make it with `gridlatch pki link --way new-with-old`; where there is no old root, distribute without a link on purpose (--without-link).";
    NO_SUCCESSOR = "rollover.no_successor", Error, Operator, "A root was not removed from a station that does not hold the one that replaces it.",
        causes: ["the new root was not distributed to it"],
        remedy: "Distribute the new root to it first.";
    CAMPAIGN_REFUSED = "rollover.campaign_refused", Warning, Operator, "A campaign was not started or changed as asked.",
        causes: ["its name is taken", "what it should install is no root", "it is not in the state for that"],
        remedy: "Correct what the message names.";
    INVENTORY_COLLECTED = "rollover.inventory_collected", Info, Nobody, "The charging stations were asked what certificates they hold.", causes: [], remedy: "Nothing.";
    INVENTORY_UNREADABLE = "rollover.inventory_unreadable", Error, Operator, "An inventory of trust stores cannot be read.",
        causes: ["not JSON of the documented form", "a certificate in it is not PEM", "it is larger than allowed"],
        remedy: "Compare it with the example in docs/rollover.md.";
}
