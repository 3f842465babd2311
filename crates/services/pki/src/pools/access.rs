//! Who may use the pools: clients with a role and a share, tokens, and what each may touch.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use axum::Json;
use axum::body::Body;
use axum::extract::{FromRequestParts, Query, State};
use axum::http::request::Parts;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use gridlatch_store::PoolClient;
use gridlatch_vocab::catalogue::pools as codes;
use gridlatch_vocab::{Emaid, Personal, Secret, Timestamp};
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::answer::{Answer, Refused};
use super::{Pools, input};
use crate::provisioning::ProvisioningError;

/// How long a token is valid, seconds: OPCP's 24 hours.
const TOKEN_SECONDS: i64 = 86_400;
/// Wrong secrets per client and minute before it has to wait.
const MAX_FAILURES: u32 = 10;
/// Clients whose failures are counted; beyond that the oldest is forgotten.
const COUNTED: usize = 1024;

/// What a client is in the ecosystem.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// Keeps the root pool.
    Admin,
    /// A car maker: its vehicles, by the first three characters of the PCID.
    Oem,
    /// A mobility operator: its contracts, by the first five characters of the contract id.
    Mo,
    /// A charge point operator: asks on behalf of vehicles at its stations.
    Cpo,
    /// A provisioning service elsewhere: brings signed contract data.
    Cps,
}

impl Role {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Admin => "admin",
            Self::Oem => "OEM",
            Self::Mo => "MO",
            Self::Cpo => "CPO",
            Self::Cps => "CPS",
        }
    }
}

/// A client to be registered.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct NewClient {
    /// What it may do.
    pub roles: Vec<Role>,
    /// World manufacturer identifiers of an OEM, three characters each.
    #[serde(default)]
    pub wmis: Vec<String>,
    /// Provider ids of an MO: country and provider, five characters without separators.
    #[serde(default)]
    pub providers: Vec<String>,
}

impl Pools {
    /// Registers a client, or gives it other rights and a new secret; its tokens end. Returns the secret, which
    /// is kept nowhere.
    ///
    /// # Errors
    /// The store failed, or the system gave no random numbers.
    pub async fn register(&self, id: &str, client: &NewClient) -> Result<Secret<String>, ProvisioningError> {
        let secret = Secret::new(random()?);
        let record = PoolClient {
            id: id.to_owned(),
            document: serde_json::to_value(client).unwrap_or_default(),
        };
        let now = self.provisioner.now();
        self.provisioner
            .store()
            .pool_client_put(record, &secret, now)
            .await?;
        let roles: Vec<&str> = client.roles.iter().map(|role| role.as_str()).collect();
        self.provisioner.emit(
            codes::CLIENT_MADE,
            format!("{id} may act as {}", roles.join(", ")),
        );
        Ok(secret)
    }
}

fn random() -> Result<String, ProvisioningError> {
    let mut bytes = [0; 32];
    getrandom::fill(&mut bytes).map_err(|_| ProvisioningError::entropy())?;
    Ok(hex::encode(bytes))
}

/// Failures in the current minute, per client.
#[derive(Debug, Default)]
pub(super) struct Failures(Mutex<BTreeMap<String, (i64, u32)>>);

impl Failures {
    fn too_many(&self, client: &str, now: Timestamp) -> bool {
        let minute = now.unix_millis() / 60_000;
        let counted = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        counted
            .get(client)
            .is_some_and(|(at, count)| *at == minute && *count >= MAX_FAILURES)
    }

    fn count(&self, client: &str, now: Timestamp) {
        let minute = now.unix_millis() / 60_000;
        let mut counted = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if counted.len() >= COUNTED && !counted.contains_key(client) {
            counted.retain(|_, (at, _)| *at == minute);
            if counted.len() >= COUNTED {
                counted.pop_first();
            }
        }
        let entry = counted.entry(client.to_owned()).or_insert((minute, 0));
        if entry.0 == minute {
            entry.1 += 1;
        } else {
            *entry = (minute, 1);
        }
    }
}

/// A client with a valid token.
#[derive(Debug, Clone)]
pub(super) struct Caller {
    pub(super) id: String,
    rights: NewClient,
}

impl Caller {
    /// Whether it has one of the roles.
    pub(super) fn is(&self, roles: &[Role]) -> bool {
        self.rights.roles.iter().any(|role| roles.contains(role))
    }

    /// Refuses whoever has none of the roles.
    pub(super) fn must_be(&self, roles: &[Role]) -> Result<(), Refused> {
        if self.is(roles) {
            return Ok(());
        }
        let names: Vec<&str> = roles.iter().map(|role| role.as_str()).collect();
        Err(Refused::forbidden(format!(
            "{} may not do this: it takes the role {}",
            self.id,
            names.join(" or ")
        )))
    }

    /// Refuses a car maker that reaches for another's vehicle.
    pub(super) fn must_make(&self, pcid: &Personal<String>) -> Result<(), Refused> {
        let maker: String = pcid.reveal().chars().take(3).collect();
        if self
            .rights
            .wmis
            .iter()
            .any(|own| own.eq_ignore_ascii_case(&maker))
        {
            Ok(())
        } else {
            Err(Refused::new(
                StatusCode::FORBIDDEN,
                codes::FOREIGN,
                format!(
                    "{} is not registered for vehicles of the maker {}",
                    self.id,
                    shown(&maker)
                ),
            ))
        }
    }

    /// Refuses a mobility operator that reaches for another's contract.
    pub(super) fn must_provide(&self, emaid: &Personal<Emaid>) -> Result<(), Refused> {
        let provider: String = emaid.reveal().as_str().chars().take(5).collect();
        let plain = |text: &str| text.replace('-', "");
        if self
            .rights
            .providers
            .iter()
            .any(|own| plain(own).eq_ignore_ascii_case(&provider))
        {
            Ok(())
        } else {
            Err(Refused::new(
                StatusCode::FORBIDDEN,
                codes::FOREIGN,
                format!(
                    "{} is not registered for contracts of the provider {}",
                    self.id,
                    shown(&provider)
                ),
            ))
        }
    }

    pub(super) fn wmis(&self) -> &[String] {
        &self.rights.wmis
    }

    pub(super) fn providers(&self) -> &[String] {
        &self.rights.providers
    }

    pub(super) fn roles(&self) -> impl Iterator<Item = &'static str> {
        self.rights.roles.iter().map(|role| role.as_str())
    }
}

/// Codes of makers and providers name companies; anything else stays out of messages.
fn shown(code: &str) -> &str {
    if code.bytes().all(|byte| byte.is_ascii_alphanumeric()) {
        code
    } else {
        "?"
    }
}

impl FromRequestParts<Pools> for Caller {
    type Rejection = Refused;

    async fn from_request_parts(parts: &mut Parts, pools: &Pools) -> Result<Self, Refused> {
        let refuse = |message: &str| {
            Refused::new(StatusCode::UNAUTHORIZED, codes::UNAUTHENTICATED, message).told(pools)
        };
        let token =
            bearer(&parts.headers).ok_or_else(|| refuse("no bearer token: fetch one from /oauth/token"))?;
        let now = pools.provisioner.now();
        let token = pools
            .provisioner
            .store()
            .pool_token(&Secret::new(token), now)
            .await?
            .ok_or_else(|| refuse("the token is unknown or has expired: fetch one from /oauth/token"))?;
        caller(token.client).ok_or_else(|| refuse("the client's registration cannot be read"))
    }
}

fn caller(client: PoolClient) -> Option<Caller> {
    Some(Caller {
        id: client.id,
        rights: serde_json::from_value(client.document).ok()?,
    })
}

/// The token of `Authorization: Bearer`. CitrineOS passes on what it was given, so that the word may stand
/// twice.
fn bearer(headers: &HeaderMap) -> Option<String> {
    let text = headers.get(header::AUTHORIZATION)?.to_str().ok()?;
    let mut words = text.split_ascii_whitespace();
    let scheme = words.next()?;
    let token = words.next_back()?;
    (scheme.eq_ignore_ascii_case("bearer") && token.len() <= 128).then(|| token.to_owned())
}

#[derive(Deserialize)]
struct TokenRequest {
    client_id: String,
    client_secret: String,
    #[serde(default)]
    grant_type: String,
}

/// `POST /oauth/token`: client credentials, as JSON or as a form.
pub(super) async fn token(State(pools): State<Pools>, headers: HeaderMap, body: Body) -> Response {
    let form = headers
        .get(header::CONTENT_TYPE)
        .and_then(|value| value.to_str().ok())
        .is_some_and(|value| value.starts_with("application/x-www-form-urlencoded"));
    let asked: Result<TokenRequest, Refused> = if form {
        match input::bytes(body).await {
            Ok(bytes) => {
                parse_form(&bytes).ok_or_else(|| Refused::bad("the form lacks client_id or client_secret"))
            }
            Err(refused) => Err(refused),
        }
    } else {
        input::json(body).await
    };
    let asked = match asked {
        Ok(asked) => asked,
        Err(refused) => return oauth_error(refused.status, "invalid_request", &refused.message),
    };
    if asked.grant_type != "client_credentials" {
        return oauth_error(
            StatusCode::BAD_REQUEST,
            "unsupported_grant_type",
            "grant_type must be client_credentials",
        );
    }
    match issue(&pools, &asked.client_id, asked.client_secret).await {
        Ok((token, scope)) => (
            [(header::CACHE_CONTROL, "no-store")],
            Json(json!({
                "access_token": token.expose(),
                "scope": scope,
                "expires_in": TOKEN_SECONDS,
                "token_type": "Bearer",
            })),
        )
            .into_response(),
        Err(refused) => oauth_error(refused.status, "invalid_client", &refused.message),
    }
}

fn oauth_error(status: StatusCode, error: &str, description: &str) -> Response {
    (
        status,
        Json(json!({"error": error, "error_description": description})),
    )
        .into_response()
}

fn parse_form(bytes: &[u8]) -> Option<TokenRequest> {
    let text = core::str::from_utf8(bytes).ok()?;
    let mut values = BTreeMap::new();
    for pair in text.split('&').take(16) {
        let (name, value) = pair.split_once('=')?;
        values.insert(name, percent_decoded(value)?);
    }
    Some(TokenRequest {
        client_id: values.remove("client_id")?,
        client_secret: values.remove("client_secret")?,
        grant_type: values.remove("grant_type").unwrap_or_default(),
    })
}

/// See [`crate::fuzz`].
pub(super) fn fuzz_body(data: &[u8]) {
    let _ = serde_json::from_slice::<TokenRequest>(data);
    if let Some(asked) = parse_form(data) {
        assert!(asked.client_id.len() + asked.client_secret.len() <= data.len());
    }
}

fn percent_decoded(text: &str) -> Option<String> {
    let mut out = Vec::with_capacity(text.len());
    let mut bytes = text.bytes();
    while let Some(byte) = bytes.next() {
        out.push(match byte {
            b'+' => b' ',
            b'%' => {
                let pair = [bytes.next()?, bytes.next()?];
                u8::from_str_radix(core::str::from_utf8(&pair).ok()?, 16).ok()?
            }
            other => other,
        });
    }
    String::from_utf8(out).ok()
}

#[derive(Deserialize)]
pub(super) struct TokenQuery {
    client_id: Option<String>,
    client_secret: Option<String>,
}

/// `GET /oauth/token`: the page from which MaEVe and CitrineOS fetch a test token, `{"title", "data"}` with
/// the token behind `Bearer` and before a line end. Credentials come as HTTP Basic or, for clients that cannot
/// send that, in the query.
pub(super) async fn token_page(
    State(pools): State<Pools>,
    Query(query): Query<TokenQuery>,
    headers: HeaderMap,
) -> Answer {
    let given = basic(&headers).or(match (query.client_id, query.client_secret) {
        (Some(id), Some(secret)) => Some((id, secret)),
        _ => None,
    });
    let Some((id, secret)) = given else {
        let refused = Refused::new(
            StatusCode::UNAUTHORIZED,
            codes::UNAUTHENTICATED,
            "client_id and client_secret are missing",
        );
        return Err(refused.told(&pools));
    };
    let (token, _) = issue(&pools, &id, secret).await?;
    Ok((
        [(header::CACHE_CONTROL, "no-store")],
        Json(json!({
            "title": "Access token",
            "data": format!("Authorization: Bearer {}\n", token.expose()),
        })),
    )
        .into_response())
}

fn basic(headers: &HeaderMap) -> Option<(String, String)> {
    let text = headers.get(header::AUTHORIZATION)?.to_str().ok()?;
    let encoded = text.strip_prefix("Basic ")?;
    let plain = String::from_utf8(STANDARD.decode(encoded.trim()).ok()?).ok()?;
    let (id, secret) = plain.split_once(':')?;
    Some((id.to_owned(), secret.to_owned()))
}

async fn issue(pools: &Pools, id: &str, secret: String) -> Result<(Secret<String>, String), Refused> {
    let now = pools.provisioner.now();
    if id.len() > 64 || secret.len() > 256 {
        return Err(Refused::bad("client_id or client_secret is too long"));
    }
    if pools.failures.too_many(id, now) {
        return Err(Refused::new(
            StatusCode::TOO_MANY_REQUESTS,
            codes::UNAUTHENTICATED,
            "too many wrong secrets in this minute",
        ));
    }
    let store = pools.provisioner.store();
    let Some(client) = store.pool_client(id, &Secret::new(secret)).await? else {
        pools.failures.count(id, now);
        let refused = Refused::new(
            StatusCode::UNAUTHORIZED,
            codes::UNAUTHENTICATED,
            "no client with this id and secret",
        );
        return Err(refused.told(pools));
    };
    let caller = caller(client).ok_or_else(|| {
        Refused::new(
            StatusCode::UNAUTHORIZED,
            codes::UNAUTHENTICATED,
            "no rights are registered",
        )
    })?;
    let scope = caller.roles().collect::<Vec<_>>().join(" ");
    let token = Secret::new(random()?);
    let until = Timestamp(now.0 + time::Duration::seconds(TOKEN_SECONDS));
    store.pool_token_put(&token, &caller.id, now, until).await?;
    Ok((token, scope))
}
