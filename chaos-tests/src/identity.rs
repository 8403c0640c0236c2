//! Users of a test: keys, and the tokens a client signs to sign up and sign in.

use std::fmt;
use std::time::{SystemTime, UNIX_EPOCH};

use pubky_common::auth::AuthToken;
use pubky_common::auth::grant::GrantClaims;
use pubky_common::auth::jws::{ClientId, GRANT_JWS_TYP, GrantId, POP_JWS_TYP, PopNonce, sign_jws};
use pubky_common::auth::pop::PopProofClaims;
use pubky_common::capabilities::{Capabilities, Capability};
use pubky_common::crypto::{Keypair, PublicKey};

use crate::error::Error;
use crate::http1::{Connection, Response};
use crate::request::request;

/// Long enough for any test run; sessions get capped by it.
const GRANT_LIFETIME_S: u64 = 24 * 3600;
/// Signup grants live at most 300 s (docs/rules/protocol.md#signup-grants); stay inside with room for slow machines.
const SIGNUP_LIFETIME_S: u64 = 240;
const CLIENT_ID: &str = "chaos.test";
const SIGNUP_CLIENT_ID: &str = "pubky.signup";

/// How a request proves who sends it: one header line.
#[derive(Clone, Debug)]
pub struct Session {
    pub header: &'static str,
    pub value: String,
}

/// A user's key pair.
pub struct User {
    pub keypair: Keypair,
    pub z32: String,
}

/// The public key alone.
impl fmt::Debug for User {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("User").field(&self.z32).finish()
    }
}

impl User {
    /// A user nobody has.
    pub fn random() -> Self {
        let keypair = Keypair::random();
        let z32 = keypair.public_key().z32();
        Self { keypair, z32 }
    }

    /// The user's public key.
    pub fn public_key(&self) -> PublicKey {
        self.keypair.public_key()
    }

    /// A fresh root token, as bytes on the wire.
    pub fn auth_token(&self) -> Vec<u8> {
        AuthToken::sign(&self.keypair, vec![Capability::root()]).serialize()
    }

    /// A fresh AuthToken with these capabilities.
    pub fn auth_token_for(&self, capabilities: &str) -> Vec<u8> {
        let capabilities = Capabilities::try_from(capabilities).expect("test capabilities are well formed");
        AuthToken::sign(&self.keypair, capabilities).serialize()
    }
}

/// Seconds since the Unix epoch.
pub fn unix_now_s() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).expect("clock after 1970").as_secs()
}

/// A grant and the client key it is bound to; fields are public so that tests can bend them.
pub struct Grant {
    pub claims: GrantClaims,
    pub client: Keypair,
}

impl Grant {
    /// For a session with root capabilities.
    pub fn session(user: &User) -> Self {
        Self::new(user, CLIENT_ID, GRANT_LIFETIME_S, vec![Capability::root()])
    }

    /// A grant that signs up.
    pub fn signup(user: &User) -> Self {
        Self::new(user, SIGNUP_CLIENT_ID, SIGNUP_LIFETIME_S, vec![Capability::root()])
    }

    /// A grant for a client key drawn here. `lifetime_s` counts from now, in seconds.
    pub fn new(user: &User, client_id: &str, lifetime_s: u64, caps: Vec<Capability>) -> Self {
        let client = Keypair::random();
        let now = unix_now_s();
        let claims = GrantClaims {
            iss: user.public_key(),
            client_id: ClientId::new(client_id).expect("test client ids are well formed"),
            caps,
            cnf: client.public_key(),
            jti: GrantId::generate(),
            iat: now,
            exp: now + lifetime_s,
        };
        Self { claims, client }
    }

    /// The grant, signed by the user.
    pub fn jws(&self, user: &User) -> String {
        sign_jws(&user.keypair, GRANT_JWS_TYP, &self.claims)
    }

    /// Claims of a proof for this homeserver, with a fresh nonce.
    pub fn pop_claims(&self, homeserver: &PublicKey) -> PopProofClaims {
        PopProofClaims {
            aud: homeserver.clone(),
            gid: self.claims.jti.clone(),
            nonce: PopNonce::generate(),
            iat: unix_now_s(),
        }
    }

    /// The proof, signed by the client key.
    pub fn pop(&self, homeserver: &PublicKey) -> String {
        sign_jws(&self.client, POP_JWS_TYP, &self.pop_claims(homeserver))
    }

    /// JSON body of the grant routes, with a fresh proof.
    pub fn body(&self, user: &User, homeserver: &PublicKey) -> String {
        grant_body(&self.jws(user), &self.pop(homeserver))
    }
}

/// JSON body of the grant routes.
pub fn grant_body(grant: &str, pop: &str) -> String {
    serde_json::json!({ "grant": grant, "pop": pop }).to_string()
}

/// Signs up with an AuthToken; the cookie authenticates from then on.
pub async fn signup_by_cookie(
    connection: &mut Connection,
    host: &str,
    user: &User,
) -> Result<Session, Error> {
    let response =
        connection.exchange(&request("POST", "/signup", host, &[], &user.auth_token()), false).await?;
    if response.status != 200 {
        return Err(unexpected("signup", &response));
    }
    session_cookie(&response, user)
}

/// The cookie pair of a signup's or signin's answer.
pub fn session_cookie(response: &Response, user: &User) -> Result<Session, Error> {
    let cookies = response.headers("set-cookie");
    let pair =
        cookies.iter().filter_map(|line| line.split(';').next()).find(|pair| pair.starts_with(&user.z32));
    let pair = pair.ok_or_else(|| unexpected("no session cookie", response))?;
    Ok(Session { header: "cookie", value: pair.to_owned() })
}

/// Signs up so many users by cookie, one after the other.
pub async fn signup_many(
    connection: &mut Connection,
    host: &str,
    count: usize,
) -> Result<Vec<(User, Session)>, Error> {
    let mut users = Vec::with_capacity(count);
    for _ in 0..count {
        let user = User::random();
        let session = signup_by_cookie(connection, host, &user).await?;
        users.push((user, session));
    }
    Ok(users)
}

/// Signs up and in with grants; a bearer authenticates from then on.
pub async fn signup_by_grant(
    connection: &mut Connection,
    host: &str,
    user: &User,
    homeserver: &PublicKey,
) -> Result<Session, Error> {
    let json = [("content-type", "application/json")];
    let body = Grant::signup(user).body(user, homeserver);
    let response = connection
        .exchange(&request("POST", "/auth/grant/signup", host, &json, body.as_bytes()), false)
        .await?;
    if response.status != 204 {
        return Err(unexpected("grant signup", &response));
    }
    signin_by_grant(connection, host, user, homeserver).await
}

/// Exchanges a new grant for a bearer; fails if it is refused.
pub async fn signin_by_grant(
    connection: &mut Connection,
    host: &str,
    user: &User,
    homeserver: &PublicKey,
) -> Result<Session, Error> {
    let json = [("content-type", "application/json")];
    let body = Grant::session(user).body(user, homeserver);
    let response = connection
        .exchange(&request("POST", "/auth/grant/session", host, &json, body.as_bytes()), false)
        .await?;
    if response.status != 200 {
        return Err(unexpected("grant exchange", &response));
    }
    bearer(&response)
}

/// The session of an exchange's answer.
pub fn bearer(response: &Response) -> Result<Session, Error> {
    let value: Option<serde_json::Value> = serde_json::from_slice(&response.body).ok();
    let token = value.as_ref().and_then(|value| value.get("token")?.as_str());
    let token = token.ok_or_else(|| unexpected("no bearer", response))?;
    Ok(Session { header: "authorization", value: format!("Bearer {token}") })
}

fn unexpected(what: &str, response: &Response) -> Error {
    Error::Answer(format!("{what}: {} {}", response.status, response.text()))
}
