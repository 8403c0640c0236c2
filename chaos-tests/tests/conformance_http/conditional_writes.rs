//! `If-Match` and `If-None-Match` on PUT and DELETE (docs/rules/protocol.md#conditional-writes). The reference ignores
//! both.

use futures::future::join_all;
use rowhouse_chaos_tests::http1::Response;

use super::events::put;
use super::world::{Findings, World, base64_of};

/// Writers of one round, and rounds.
const WRITERS: usize = 64;
const ROUNDS: usize = 6;
/// Larger than what travels in the log: such a body is streamed to the disks before it is judged again.
const LARGE: usize = 256 * 1024;

pub async fn run(world: &World) -> Vec<String> {
    let mut findings = Findings::default();
    rules(world, &mut findings).await;
    without_effect(world, &mut findings).await;
    malformed(world, &mut findings).await;
    creators(world, &mut findings).await;
    updaters(world, &mut findings).await;
    findings.0
}

fn tag(body: &[u8]) -> String {
    format!("\"{}\"", base64_of(blake3::hash(body).as_bytes()))
}

async fn write(world: &World, method: &str, path: &str, condition: (&str, &str), body: &[u8]) -> Response {
    let cookie = world.fill("{alice.cookie}");
    let target = world.fill(&format!("/storage/{{alice}}{path}"));
    world.send(method, &target, &[("cookie", cookie.as_str()), condition], body).await
}

/// Method, condition, body and status.
type Step<'a> = (&'a str, (&'a str, &'a str), &'a [u8], u16);

async fn rules(world: &World, findings: &mut Findings) {
    let (one, two) = (tag(b"one"), tag(b"two"));
    let weak = format!("W/{one}");
    let list = format!("\"x\", ,{one}");
    let path = "/pub/if/file";
    let steps: [Step<'_>; 18] = [
        ("PUT", ("if-match", "*"), b"one", 412),
        ("PUT", ("if-match", &one), b"one", 412),
        ("DELETE", ("if-match", &one), b"", 404),
        ("DELETE", ("if-match", "*"), b"", 404),
        ("PUT", ("if-none-match", "*"), b"one", 201),
        ("PUT", ("if-none-match", "*"), b"two", 412),
        ("PUT", ("if-none-match", &list), b"two", 412),
        ("PUT", ("if-match", &weak), b"two", 412),
        ("PUT", ("if-match", &two), b"two", 412),
        ("PUT", ("if-match", "\"not a hash\""), b"two", 412),
        ("PUT", ("if-match", &list), b"one", 201),
        ("PUT", ("if-none-match", &weak), b"two", 201),
        ("PUT", ("if-none-match", &one), b"two", 201),
        ("PUT", ("if-match", "*"), b"two", 201),
        ("DELETE", ("if-match", &one), b"", 412),
        ("DELETE", ("if-none-match", "*"), b"", 412),
        ("DELETE", ("if-match", &two), b"", 204),
        ("DELETE", ("if-none-match", "*"), b"", 404),
    ];
    for (number, (method, condition, body, status)) in steps.into_iter().enumerate() {
        let answer = write(world, method, path, condition, body).await;
        findings.status(&format!("{number}: {method} {condition:?}"), &answer, status);
        if status == 412 {
            findings.equal("its text", &answer.text().as_str(), &"Precondition Failed");
        }
        let told = (status == 201).then(|| tag(body));
        findings.equal(&format!("{number}: the tag of what was put"), &answer.header("etag"), &told);
    }
    let large = vec![7; LARGE];
    let answer = write(world, "PUT", path, ("if-none-match", "*"), &large).await;
    findings.equal("the tag of a large body", &answer.header("etag"), &Some(tag(&large)));
    let answer = write(world, "PUT", path, ("if-match", &one), &large).await;
    findings.refused("a large body, refused", &answer, 412, "Precondition Failed");
    let info = world.send("GET", "/info", &[], b"").await.text();
    findings.holds(&format!("the feature is told: {info}"), info.contains("\"conditional-writes\""));
}

/// 412 changes nothing, and every other refusal comes first.
async fn without_effect(world: &World, findings: &mut Findings) {
    put(world, findings, "alice", "/pub/if/kept", b"kept").await;
    let events =
        async || world.send("GET", &world.fill("/events-stream?user={alice}"), &[], b"").await.text();
    let before = events().await;
    let refused = write(world, "PUT", "/pub/if/kept", ("if-match", "\"x\""), b"other").await;
    findings.status("a PUT", &refused, 412);
    let refused = write(world, "DELETE", "/pub/if/kept", ("if-match", "\"x\""), b"").await;
    findings.status("a DELETE", &refused, 412);
    findings.equal("the events", &events().await, &before);
    let kept = world.send("GET", &world.fill("/storage/{alice}/pub/if/kept"), &[], b"").await;
    findings.equal("the file", &kept.text().as_str(), &"kept");
    let below = write(world, "PUT", "/pub/if/kept/below", ("if-match", "\"x\""), b"x").await;
    findings.status("a collision", &below, 409);
    let outside = write(world, "PUT", "/other/x", ("if-match", "\"x\""), b"x").await;
    findings.status("outside of the roots", &outside, 403);
    let target = world.fill("/storage/{alice}/pub/if/kept");
    let anonymous = world.send("PUT", &target, &[("if-match", "\"x\"")], b"x").await;
    findings.status("without a session", &anonymous, 401);
    let private = write(world, "PUT", "/priv/if/none", ("if-match", "*"), b"x").await;
    findings.status("a private path", &private, 412);
    findings.equal("nobody keeps it", &private.headers("cache-control"), &vec!["no-store".to_owned()]);
}

async fn malformed(world: &World, findings: &mut Findings) {
    for condition in
        [("if-match", "x"), ("if-none-match", ""), ("if-match", "\"x"), ("if-none-match", "*, \"x\"")]
    {
        for method in ["PUT", "DELETE"] {
            let answer = write(world, method, "/pub/if/malformed", condition, b"x").await;
            let text = "Malformed If-Match or If-None-Match header";
            findings.refused(&format!("{method} {condition:?}"), &answer, 400, text);
        }
    }
}

/// Of many who create one path, one succeeds, whatever the gateway and the size of the body.
async fn creators(world: &World, findings: &mut Findings) {
    for round in 0..ROUNDS {
        let path = format!("/pub/if/once-{round}");
        race(world, findings, &path, ("if-none-match", "*")).await;
    }
}

/// Of many who replace the same file, one succeeds.
async fn updaters(world: &World, findings: &mut Findings) {
    for round in 0..ROUNDS {
        let (path, body) = (format!("/pub/if/next-{round}"), format!("first {round}"));
        put(world, findings, "alice", &path, body.as_bytes()).await;
        race(world, findings, &path, ("if-match", &tag(body.as_bytes()))).await;
    }
}

async fn race(world: &World, findings: &mut Findings, path: &str, condition: (&str, &str)) {
    let body = |writer: usize| {
        let mut body = format!("{path} by {writer}").into_bytes();
        if writer.is_multiple_of(2) {
            body.resize(LARGE, b' ');
        }
        body
    };
    let bodies: Vec<Vec<u8>> = (0..WRITERS).map(body).collect();
    let answers = join_all(bodies.iter().map(|body| write(world, "PUT", path, condition, body))).await;
    let winners: Vec<usize> =
        answers.iter().enumerate().filter(|(_, answer)| answer.status == 201).map(|(at, _)| at).collect();
    findings.holds(&format!("{path}: one of all wins: {winners:?}"), winners.len() == 1);
    let others = answers.iter().filter(|answer| answer.status == 412).count();
    findings.equal(&format!("{path}: the others hear of it"), &others, &(WRITERS - 1));
    let found = world.send("GET", &world.fill(&format!("/storage/{{alice}}{path}")), &[], b"").await;
    let stands = winners.first().is_some_and(|winner| found.body == bodies[*winner]);
    findings.holds(&format!("{path}: it has the winner's body"), stands);
}
