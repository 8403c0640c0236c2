//! Users whose keys begin or end in FF: every scan over a user's rows depends on where that user's keys end.

use rowhouse_chaos_tests::feed::EventStream;
use rowhouse_chaos_tests::http1::{Connection, Response};
use rowhouse_chaos_tests::identity::{User, session_cookie};
use rowhouse_chaos_tests::request::request;
use rowhouse_proto::domain::slot::Slot;

use super::raw::listener;
use super::world::{Findings, World};

/// One key in so many has these bytes and is in this shard.
const TRIES: usize = 16 * 256 * 40;
const SHARDS: u32 = 16;
const PASSWORD: (&str, &str) = ("x-admin-password", "admin");
/// What the quota counts for a file beside its bytes.
const FILE_BYTES: u64 = 256;
/// Names at the ends of what a path may hold.
const NAMES: [&str; 6] = ["a", "d/y", "d0", "d.", "%F0%9F%98%80", "%F4%8F%BF%BF"];

struct Person {
    user: User,
    cookie: String,
    /// Paths as they are listed, in order, and the bytes of each file.
    files: Vec<(String, String)>,
}

/// All of them are in Alice's shard, so that their rows are neighbours.
pub async fn run(world: &World) -> Vec<String> {
    let mut findings = Findings::default();
    let shard = Slot::of_user(&world.alice.public_key()).shard(SHARDS);
    let mut people = Vec::new();
    let ends = |at: usize| move |key: &[u8; 32]| key[at] == 0xFF;
    for _ in 0..2 {
        for wanted in [ends(31), ends(0)] {
            people.push(sign_up(world, shard, wanted).await);
        }
        people.push(sign_up(world, shard, |_: &[u8; 32]| true).await);
    }
    for (number, person) in people.iter_mut().enumerate() {
        write(world, &mut findings, person, number).await;
    }
    for person in &people {
        check(world, &mut findings, person).await;
    }
    for number in 0..people.len() {
        delete(world, &mut findings, &mut people[number]).await;
        for person in &people {
            check(world, &mut findings, person).await;
        }
    }
    findings.0
}

async fn sign_up(world: &World, shard: u32, wanted: impl Fn(&[u8; 32]) -> bool) -> Person {
    let fits = |user: &User| {
        let key = user.public_key();
        wanted(key.as_bytes()) && Slot::of_user(&key).shard(SHARDS) == shard
    };
    let user = (0..TRIES).map(|_| User::random()).find(fits).expect("such a key");
    let signup = world.send("POST", "/signup", &[], &user.auth_token()).await;
    let cookie = session_cookie(&signup, &user).expect("signs up").value;
    Person { user, cookie, files: Vec::new() }
}

async fn send(world: &World, person: &Person, method: &str, path: &str, body: &[u8]) -> Response {
    let target = format!("/storage/{}{path}", person.user.z32);
    world.send(method, &target, &[("cookie", &person.cookie)], body).await
}

fn decoded(name: &str) -> String {
    name.replace("%F0%9F%98%80", "\u{1F600}").replace("%F4%8F%BF%BF", "\u{10FFFF}")
}

async fn write(world: &World, findings: &mut Findings, person: &mut Person, number: usize) {
    for name in NAMES {
        let path = format!("/pub/far/{name}");
        let body = format!("{number} {name}");
        findings.status(&path, &send(world, person, "PUT", &path, body.as_bytes()).await, 201);
        person.files.push((decoded(&path), body));
    }
    person.files.sort();
}

/// Listing, reverse listing, events and usage are of this user alone.
async fn check(world: &World, findings: &mut Findings, person: &Person) {
    let key = &person.user.z32;
    let mut urls: Vec<String> = person.files.iter().map(|(path, _)| format!("pubky://{key}{path}")).collect();
    for query in ["", "?reverse=true"] {
        let list = send(world, person, "GET", &format!("/pub/far/{query}"), b"").await;
        findings.status("a listing", &list, if urls.is_empty() { 404 } else { 200 });
        if !urls.is_empty() {
            findings.equal("listed", &list.text(), &urls.join("\n"));
        }
        urls.reverse();
    }
    let query = format!("/events-stream?user={key}&reverse=true&limit=1000");
    let bytes = request("GET", &query, &world.address.to_string(), &[], b"");
    let mut stream = EventStream::open(world.address, &bytes).await.expect("a stream");
    let events = stream.rest().await.expect("a whole stream");
    let puts = events.iter().filter(|event| !event.deleted).count();
    findings.equal("events", &(puts, events.len()), &(NAMES.len(), 2 * NAMES.len() - person.files.len()));
    findings.holds("of this user", events.iter().all(|event| event.user == *key));
    let used: u64 = person.files.iter().map(|(_, body)| body.len() as u64 + FILE_BYTES).sum();
    findings.equal(&format!("used by {key}"), &used_bytes(world, key).await, &Some(used));
}

async fn used_bytes(world: &World, key: &str) -> Option<u64> {
    let admin = listener(world, "admin");
    let bytes = request("GET", &format!("/users/{key}"), &admin.to_string(), &[PASSWORD], b"");
    let mut connection = Connection::open(admin, false).await.expect("it listens");
    let told = connection.exchange(&bytes, false).await.expect("an answer");
    let told: serde_json::Value = serde_json::from_slice(&told.body).ok()?;
    told["used_bytes"].as_u64()
}

async fn delete(world: &World, findings: &mut Findings, person: &mut Person) {
    for name in NAMES {
        let gone = send(world, person, "DELETE", &format!("/pub/far/{name}"), b"").await;
        findings.status(&format!("DELETE {name}"), &gone, 204);
    }
    person.files.clear();
}
