//! Codes of the area "pools": the root, provisioning and contract certificate pools and their clients.

codes! {
    SERVING = "pools.serving", Notice, Nobody, "The certificate pools answer requests.", causes: [], remedy: "Nothing.";
    MOVED = "pools.moved", Notice, Nobody, "Pools of an earlier version were moved into the database of the certification authority.", causes: [], remedy: "Nothing.";
    NOT_SERVED = "pools.not_served", Error, Operator, "The certificate pools do not start; enrolment, OCSP and lists do.",
        causes: ["the policy gives the roles mo or cps nothing", "the key of a CA is away", "the CA has no tree with a CPS"],
        remedy: "The message names what is missing; correct it and start again.";
    ROOT_ADDED = "pools.root_added", Notice, Nobody, "A root certificate was put into the root pool.", causes: [], remedy: "Nothing; whoever uses the pool trusts it from now on.";
    ROOT_REMOVED = "pools.root_removed", Notice, Nobody, "A root certificate was taken out of the root pool.", causes: [], remedy: "Nothing; certificates below it are refused from now on.";
    VEHICLE_PUBLISHED = "pools.vehicle_published", Info, Nobody, "A manufacturer published a provisioning certificate.", causes: [], remedy: "Nothing.";
    VEHICLE_WITHDRAWN = "pools.vehicle_withdrawn", Notice, Nobody, "A manufacturer withdrew a provisioning certificate; its contracts went with it.", causes: [], remedy: "Nothing.";
    CONTRACT_STORED = "pools.contract_stored", Info, Nobody, "Signed contract data was put into the contract pool.", causes: [], remedy: "Nothing.";
    CONTRACT_WITHDRAWN = "pools.contract_withdrawn", Notice, Nobody, "A contract was taken out of the contract pool.", causes: [], remedy: "Nothing; revoke its certificate if the contract has ended.";
    CLIENT_MADE = "pools.client_made", Notice, Nobody, "A client of the pools was created or got a new secret.", causes: [], remedy: "Nothing; its old tokens no longer work.";
    NOT_A_ROOT = "pools.not_a_root", Warning, Operator, "A certificate was refused as a root of the pool.",
        causes: ["it is a sub-CA or a leaf", "it has expired", "its signature is not its own"],
        remedy: "Put the self-signed root above it into the pool; the message names the issuer.";
    LINK_ADDED = "pools.link_added", Notice, Nobody, "A link certificate between two roots was put into the root pool.", causes: [], remedy: "Nothing; it is no anchor.";
    NOT_A_LINK = "pools.not_a_link", Warning, Operator, "A certificate was refused as a link between two roots of the pool.",
        causes: ["one of the two roots is not in the pool", "it has expired", "it was signed by another key than the root's"],
        remedy: "Put both roots into the pool first, then the link certificate that joins them (gridlatch pki link).";
    FULL = "pools.full", Warning, Operator, "A pool or a client's share of it is full.",
        causes: ["old entries were never taken out", "a client repeats itself under ever new names"],
        remedy: "Take out what is no longer needed; the bounds are in docs/limits.md.";
    EMAID_TAKEN = "pools.emaid_taken", Warning, Operator, "A contract id is already used for another vehicle.",
        causes: ["the contract moved to another vehicle without being taken out first", "a mistyped contract id"],
        remedy: "Delete the contract for the old vehicle, then store it for the new one.";
    FOREIGN = "pools.foreign", Warning, Operator, "A client touched what belongs to another.",
        causes: ["a contract id of another provider", "a vehicle of another manufacturer", "a stolen credential"],
        remedy: "Compare the id with the providers and manufacturer codes the client is registered for.";
    UNAUTHENTICATED = "pools.unauthenticated", Warning, Operator, "A request to the pools had no valid token, or a wrong secret.",
        causes: ["the token has expired", "the secret was changed", "somebody is guessing"],
        remedy: "Fetch a new token from /oauth/token; if it recurs, give the client a new secret.";
    FORBIDDEN = "pools.forbidden", Warning, Operator, "A client of the pools may not do what it asked for.",
        causes: ["its role does not include this", "it was registered for another role"],
        remedy: "Register the client with the role the message names, if it should have it.";
    BAD_REQUEST = "pools.bad_request", Warning, Operator, "A request to the pools cannot be understood.",
        causes: ["a missing or mistyped field", "something that is not Base64", "hostile input"],
        remedy: "The message names the field; compare with docs/pools.md.";
    NOT_FOUND = "pools.not_found", Info, Nobody, "What was asked for is not in the pool.", causes: [], remedy: "Nothing.";
    WEBHOOK_REFUSED = "pools.webhook_refused", Warning, Operator, "An address was refused as a webhook.",
        causes: ["it is not https", "its host is not among the places notifications may go to"],
        remedy: "Add the host to the allowed places, if it is a partner's.";
    DELIVERY_FAILED = "pools.delivery_failed", Warning, Operator, "A notification could not be delivered and is tried again.",
        causes: ["the partner's endpoint is down or slow", "its certificate is not trusted"],
        remedy: "Ask the partner; after the last attempt the notification is dropped.";
    DELIVERY_DROPPED = "pools.delivery_dropped", Error, Operator, "A notification was given up.",
        causes: ["the partner's endpoint has been down for too long", "too many notifications wait"],
        remedy: "Tell the partner to read the pool anew; it has missed a change.";
}
