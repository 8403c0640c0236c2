//! Grants side by side: what is stored of one, who may list and revoke, and what another grant of its id may do
//! (docs/rules/protocol.md#grants-and-proofs).

use std::time::Duration;

use pubky_common::auth::jws::{ClientId, GRANT_JWS_TYP, GrantId, POP_JWS_TYP, PopNonce, sign_jws};
use pubky_common::capabilities::Capability;
use pubky_common::crypto::Keypair;
use rowhouse_chaos_tests::http1::Response;
use rowhouse_chaos_tests::identity::{Grant, Session, User, bearer, grant_body, session_cookie, unix_now_s};
use serde_json::{Value, json};

use super::world::{Findings, JSON, World};

const SESSION: &str = "/auth/grant/session";
const SESSIONS: &str = "/auth/grant/sessions";
const NO_SESSION: &str = "No authenticated session found";
const NOT_OWNED: &str = "Grant does not belong to authenticated user";
/// Long enough for an exchange on a busy machine, short enough to wait for.
const SHORT_LIFE_S: u64 = 10;
/// A proof may be this old (docs/rules/protocol.md#grants-and-proofs, check 10).
const WINDOW_S: u64 = 180;
/// Attempts to be answered within one second of the clock.
const WITHIN_A_SECOND: usize = 40;

pub async fn run(world: &World) -> Vec<String> {
    let mut findings = Findings::default();
    stored(world, &mut findings).await;
    listed_and_revoked(world, &mut findings).await;
    shared_ids(world, &mut findings).await;
    unknown_members(world, &mut findings).await;
    window(world, &mut findings).await;
    findings.0
}

async fn exchange(world: &World, body: &str) -> Response {
    world.send("POST", SESSION, &[JSON], body.as_bytes()).await
}

fn json_of(response: &Response) -> Value {
    serde_json::from_slice(&response.body).unwrap_or_default()
}

async fn minted(world: &World, findings: &mut Findings, what: &str, body: &str) -> Option<Session> {
    let answer = exchange(world, body).await;
    findings.status(what, &answer, 200);
    bearer(&answer).ok()
}

/// The first grant of an id is the one that is stored, with its time and its expiry.
async fn stored(world: &World, findings: &mut Findings) {
    let (user, homeserver) = (&world.alice, &world.homeserver);
    let mut grant = Grant::new(user, "rights.test", SHORT_LIFE_S, vec![Capability::root()]);
    let first = exchange(world, &grant.body(user, homeserver)).await;
    findings.status("stored: exchange", &first, 200);
    tokio::time::sleep(Duration::from_secs(2)).await;
    grant.claims.caps = vec![Capability::read_write("/pub/app/").expect("well formed")];
    grant.claims.client_id = ClientId::new("renamed.test").expect("well formed");
    let second = exchange(world, &grant.body(user, homeserver)).await;
    findings.status("stored: exchange of another text of this id", &second, 200);
    let (first, posted) = (json_of(&first)["session"].clone(), json_of(&second)["session"].clone());
    let Ok(session) = bearer(&second) else { return };
    let credentials = [("authorization", session.value.as_str())];
    let shown = json_of(&world.send("GET", SESSION, &credentials, b"").await);
    findings.equal("stored: capabilities", &shown["capabilities"], &json!(["/:rw"]));
    findings.equal("stored: client", &shown["client_id"], &json!("rights.test"));
    findings.equal(
        "stored: POST shows what was presented",
        &posted["capabilities"],
        &json!(["/pub/app/:rw"]),
    );
    findings.equal("stored: GET has the grant's time", &shown["created_at"], &first["created_at"]);
    findings
        .holds("stored: POST has the bearer's", posted["created_at"].as_u64() > first["created_at"].as_u64());

    while unix_now_s() <= first["grant_expires_at"].as_u64().unwrap_or_default() {
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    let dead = world.send("GET", SESSION, &credentials, b"").await;
    findings.refused("a bearer ends with its grant", &dead, 401, NO_SESSION);
    grant.claims.exp = unix_now_s() + 3600;
    let late = exchange(world, &grant.body(user, homeserver)).await;
    findings.refused("a longer text does not revive it", &late, 401, "Grant has expired");
    let out = world.send("DELETE", SESSION, &[JSON], grant.body(user, homeserver).as_bytes()).await;
    findings.refused("logout by proof does not look at the expiry", &out, 200, "");
}

async fn listed_and_revoked(world: &World, findings: &mut Findings) {
    let Some(owner) = Owner::settle(world, findings).await else { return };
    owner.lists(findings).await;
    owner.refusals(findings).await;
    owner.revokes(findings).await;
}

/// A user with two grants and two cookies.
struct Owner<'a> {
    world: &'a World,
    user: User,
    root: Grant,
    root_bearer: Session,
    scoped: Grant,
    scoped_bearer: Session,
    /// Cookie pairs: of a root session, and of one with the two halves of root.
    root_cookie: String,
    halves: String,
}

impl<'a> Owner<'a> {
    async fn settle(world: &'a World, findings: &mut Findings) -> Option<Self> {
        let user = User::random();
        let signup = world.send("POST", "/signup", &[], &user.auth_token()).await;
        let halves = world.send("POST", "/session", &[], &user.auth_token_for("/:r,/:w")).await;
        let cookie = |response: &Response| session_cookie(response, &user).map(|session| session.value);
        let (root_cookie, halves) = (cookie(&signup), cookie(&halves));
        let caps =
            ["/pub/app/:rw", "/priv/app/:r"].map(|text| Capability::try_from(text).expect("well formed"));
        let root = Grant::session(&user);
        let scoped = Grant::new(&user, "scoped.test", 3600, Vec::from(caps));
        let body = root.body(&user, &world.homeserver);
        let root_bearer = minted(world, findings, "rights: root", &body).await?;
        let body = scoped.body(&user, &world.homeserver);
        let scoped_bearer = minted(world, findings, "rights: scoped", &body).await?;
        let (root_cookie, halves) = (root_cookie.ok()?, halves.ok()?);
        Some(Self { world, user, root, root_bearer, scoped, scoped_bearer, root_cookie, halves })
    }

    async fn send(&self, method: &str, target: &str, credential: (&str, &str)) -> Response {
        self.world.send(method, target, &[("pubky-host", &self.user.z32), credential], b"").await
    }

    fn by_root(&self) -> (&str, &str) {
        ("authorization", &self.root_bearer.value)
    }

    async fn lists(&self, findings: &mut Findings) {
        let claims = &self.scoped.claims;
        for (who, credential) in
            [("a cookie", ("cookie", self.root_cookie.as_str())), ("a bearer", self.by_root())]
        {
            let list = self.send("GET", SESSIONS, credential).await;
            findings.status(&format!("{who} lists"), &list, 200);
            let mut items = json_of(&list).as_array().cloned().unwrap_or_default();
            findings.equal(&format!("{who} lists: grants"), &items.len(), &2);
            items.retain(|item| item["grant_id"] == claims.jti.as_str());
            let expected = json!({
                "grant_id": claims.jti.as_str(), "client_id": "scoped.test",
                "capabilities": "/pub/app/:rw,/priv/app/:r",
                "issued_at": claims.iat, "expires_at": claims.exp,
            });
            findings.equal(&format!("{who} lists: the item"), &items.first(), &Some(&expected));
        }
    }

    /// The root capability comes first, then the form of the id, then whether there is such a grant of this user.
    async fn refusals(&self, findings: &mut Findings) {
        let id = self.scoped.claims.jti.as_str();
        for (method, target) in
            [("GET", SESSIONS.to_owned()), ("DELETE", one(id)), ("DELETE", one("not!an!id"))]
        {
            let what = format!("{method} {target}");
            let scoped = ("authorization", self.scoped_bearer.value.as_str());
            for credential in [scoped, ("cookie", self.halves.as_str())] {
                let answer = self.send(method, &target, credential).await;
                findings.refused(&what, &answer, 403, "Root capability required");
            }
            let anonymous = self.send(method, &target, ("accept", "*/*")).await;
            findings.refused(&what, &anonymous, 401, NO_SESSION);
        }
        for bad in ["not!an!id", "a".repeat(23).as_str()] {
            let answer = self.send("DELETE", &one(bad), self.by_root()).await;
            findings.refused(&format!("revoke {bad}"), &answer, 400, "Invalid grant ID format");
        }
        let unknown = self.send("DELETE", &one(GrantId::generate().as_str()), self.by_root()).await;
        findings.refused("revoke an unknown grant", &unknown, 404, "Not Found");
        let bobs = Grant::session(&self.world.bob);
        let body = bobs.body(&self.world.bob, &self.world.homeserver);
        let Some(bob) = minted(self.world, findings, "rights: bob", &body).await else { return };
        let foreign = self.send("DELETE", &one(bobs.claims.jti.as_str()), self.by_root()).await;
        findings.refused("revoke another user's grant", &foreign, 404, "Not Found");
        let alive = self.world.send("GET", SESSION, &[("authorization", &bob.value)], b"").await;
        findings.status("which lives on", &alive, 200);
    }

    async fn revokes(&self, findings: &mut Findings) {
        let id = self.scoped.claims.jti.as_str();
        let done = self.send("DELETE", &one(id), ("cookie", &self.root_cookie)).await;
        findings.refused("revoke", &done, 200, "");
        let target = format!("/storage/{}/pub/app/x", self.user.z32);
        let put = self.send("PUT", &target, ("authorization", &self.scoped_bearer.value)).await;
        findings.refused("a bearer of a revoked grant", &put, 401, NO_SESSION);
        let again = exchange(self.world, &self.scoped.body(&self.user, &self.world.homeserver)).await;
        findings.refused("a revoked grant's exchange", &again, 401, "Grant has been revoked");
        let left = json_of(&self.send("GET", SESSIONS, self.by_root()).await);
        let root = self.root.claims.jti.as_str();
        findings.equal("the revoked one is not listed", &left[0]["grant_id"], &json!(root));
        findings.equal("and nothing else", &left.as_array().map(Vec::len), &Some(1));
        let done = self.send("DELETE", &one(root), self.by_root()).await;
        findings.refused("a grant revokes itself", &done, 200, "");
        let gone = self.send("GET", SESSIONS, self.by_root()).await;
        findings.refused("and is gone", &gone, 401, NO_SESSION);
    }
}

/// The route of one grant.
fn one(id: &str) -> String {
    format!("{SESSION}/{id}")
}

/// Ids and nonces are a user's own; within one user an id belongs to one client key.
async fn shared_ids(world: &World, findings: &mut Findings) {
    let homeserver = &world.homeserver;
    let (mut hers, mut his) = (Grant::session(&world.alice), Grant::session(&world.bob));
    his.claims.jti = hers.claims.jti.clone();
    let nonce = PopNonce::generate();
    let body = |grant: &Grant, user: &User| {
        let mut claims = grant.pop_claims(homeserver);
        claims.nonce = nonce.clone();
        grant_body(&grant.jws(user), &sign_jws(&grant.client, POP_JWS_TYP, &claims))
    };
    let alice = minted(world, findings, "one id: alice", &body(&hers, &world.alice)).await;
    let bob = minted(world, findings, "one id and nonce: bob", &body(&his, &world.bob)).await;
    let (Some(alice), Some(bob)) = (alice, bob) else { return };
    for (who, session, own, foreign) in
        [("alice", &alice, &world.alice, &world.bob), ("bob", &bob, &world.bob, &world.alice)]
    {
        let put = async |user: &User| {
            let target = format!("/storage/{}/pub/app/shared", user.z32);
            world.send("PUT", &target, &[("authorization", session.value.as_str())], b"1").await
        };
        findings.status(&format!("one id: {who} at home"), &put(own).await, 201);
        let abroad = put(foreign).await;
        findings.refused(
            &format!("one id: {who} abroad"),
            &abroad,
            403,
            "Session user does not match target tenant",
        );
    }

    // A second program of alice with the id of the first.
    hers.client = Keypair::random();
    hers.claims.cnf = hers.client.public_key();
    let other = exchange(world, &hers.body(&world.alice, homeserver)).await;
    findings.refused("another client key with a known id", &other, 403, NOT_OWNED);
    let out = world.send("DELETE", SESSION, &[JSON], hers.body(&world.alice, homeserver).as_bytes()).await;
    findings.refused("its logout by proof", &out, 403, NOT_OWNED);
    let shown = world.send("GET", SESSION, &[("authorization", alice.value.as_str())], b"").await;
    findings.status("the first one's bearer lives on", &shown, 200);
}

/// Newer programs send members that this server does not know.
async fn unknown_members(world: &World, findings: &mut Findings) {
    let (user, homeserver) = (&world.alice, &world.homeserver);
    let grant = Grant::session(user);
    let Some(first) = minted(world, findings, "members: first", &grant.body(user, homeserver)).await else {
        return;
    };
    let with = |mut claims: Value| {
        claims["later"] = json!({ "any": [1, null] });
        claims
    };
    let claims = with(serde_json::to_value(&grant.claims).expect("claims"));
    let jws = sign_jws(&user.keypair, GRANT_JWS_TYP, &claims);
    let claims = with(serde_json::to_value(grant.pop_claims(homeserver)).expect("claims"));
    let pop = sign_jws(&grant.client, POP_JWS_TYP, &claims);
    let body = json!({ "grant": jws, "pop": pop, "session_id": "slot-1", "later": {} }).to_string();
    let second = exchange(world, &body).await;
    findings.status("members: unknown ones are ignored", &second, 200);
    findings.holds("members: no session_id", json_of(&second)["session"].get("session_id").is_none());
    let old = world.send("GET", SESSION, &[("authorization", first.value.as_str())], b"").await;
    findings.status("members: the older bearer ended", &old, 401);
    let info = world.send("GET", "/info", &[], b"").await;
    findings.holds("members: no slots are promised", !info.text().contains("grant-session-slots"));
}

/// A proof is good for 180 s both ways, the last second included, and not a second longer.
async fn window(world: &World, findings: &mut Findings) {
    let (user, homeserver) = (&world.alice, &world.homeserver);
    let grant = Grant::session(user);
    for (age_s, status) in [(WINDOW_S, 200), (WINDOW_S + 1, 401)] {
        for attempt in 1..=WITHIN_A_SECOND {
            let began = unix_now_s();
            let mut claims = grant.pop_claims(homeserver);
            claims.iat = began - age_s;
            let body = grant_body(&grant.jws(user), &sign_jws(&grant.client, POP_JWS_TYP, &claims));
            let answer = exchange(world, &body).await;
            if unix_now_s() == began || attempt == WITHIN_A_SECOND {
                findings.status(&format!("a proof {age_s} s old"), &answer, status);
                break;
            }
        }
    }
    // Its age falls while it travels: one ahead by more than the window is refused only at once.
    let mut claims = grant.pop_claims(homeserver);
    claims.iat = unix_now_s() + WINDOW_S;
    let body = grant_body(&grant.jws(user), &sign_jws(&grant.client, POP_JWS_TYP, &claims));
    findings.status("a proof 180 s ahead", &exchange(world, &body).await, 200);
    claims = grant.pop_claims(homeserver);
    claims.iat = unix_now_s() + 2 * WINDOW_S;
    let body = grant_body(&grant.jws(user), &sign_jws(&grant.client, POP_JWS_TYP, &claims));
    let ahead = exchange(world, &body).await;
    findings.refused("a proof far ahead", &ahead, 401, "Invalid PoP proof: PoP timestamp out of range");
}
