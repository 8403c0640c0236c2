//! Websites that take more than one request to see: their tags, spellings of their host, large files.

use rowhouse_chaos_tests::http1::Response;
use rowhouse_chaos_tests::request::request;

use super::world::{Findings, World, base64_of};

/// More than a chunk.
const LARGE: usize = (1 << 20) + 9;

pub async fn run(world: &World) -> Vec<String> {
    let mut findings = Findings::default();
    tags(world, &mut findings).await;
    spellings(world, &mut findings).await;
    large(world, &mut findings).await;
    features(world, &mut findings).await;
    findings.0
}

async fn put(world: &World, findings: &mut Findings, path: &str, body: &[u8]) {
    let session = world.session("alice.cookie");
    let target = world.fill(&format!("/storage/{{alice}}/pub/website{path}"));
    let put = world.send("PUT", &target, &[(session.header, &session.value)], body).await;
    findings.status(&format!("write {path}"), &put, 201);
}

async fn ask(
    world: &World,
    findings: &mut Findings,
    what: &str,
    (method, target, host): (&str, &str, &str),
    headers: &[(&str, &str)],
) -> Response {
    let bytes = request(method, target, &world.fill(host), headers, b"");
    world.exchange(&bytes, method == "HEAD").await.unwrap_or_else(|error| {
        findings.holds(&format!("{what}: {error}"), false);
        Response::default()
    })
}

/// A page has the tag of its file, and an answer without a body keeps its stamps.
async fn tags(world: &World, findings: &mut Findings) {
    for body in [&b"one"[..], b"two"] {
        put(world, findings, "/tags/page.html", body).await;
        let host = "tags.{alice}";
        let page = ask(world, findings, "a page", ("GET", "/page.html", host), &[]).await;
        findings.equal("a page", &page.body.as_slice(), &body);
        let tag = format!("\"{}\"", base64_of(blake3::hash(body).as_bytes()));
        findings.equal("its tag", &page.header("etag"), &Some(tag.clone()));
        let modified = page.header("last-modified").unwrap_or_default();
        for method in ["GET", "HEAD"] {
            for condition in [("if-none-match", tag.as_str()), ("if-modified-since", &modified)] {
                let what = format!("{method} {condition:?}");
                let same = ask(world, findings, &what, (method, "/page.html", host), &[condition]).await;
                findings.status(&what, &same, 304);
                findings.equal(&what, &same.header("cache-control").as_deref(), &Some("no-cache"));
            }
        }
    }
}

async fn spellings(world: &World, findings: &mut Findings) {
    put(world, findings, "/spelled/index.html", b"spelled").await;
    let alice = world.fill("{alice}");
    for host in [
        format!("spelled.{alice}"),
        format!("SPELLED.{}", alice.to_uppercase()),
        format!("Spelled.{alice}.:80"),
    ] {
        let page = ask(world, findings, &host, ("GET", "/", &host), &[]).await;
        findings.equal(&host, &page.text().as_str(), &"spelled");
    }
}

async fn large(world: &World, findings: &mut Findings) {
    let body: Vec<u8> = (0..LARGE).map(|at| (at % 251) as u8).collect();
    put(world, findings, "/large/404.html", &body).await;
    let host = "large.{alice}";
    let page = ask(world, findings, "a large page", ("GET", "/404.html", host), &[]).await;
    findings.status("a large page", &page, 200);
    findings.holds("a large page: its bytes", page.body == body);
    let lost = ask(world, findings, "a large page for what is missing", ("GET", "/x/", host), &[]).await;
    findings.status("a large page for what is missing", &lost, 404);
    findings.holds("a large page for what is missing: its bytes", lost.body == body);
    let range = [("range", "bytes=1048575-1048576")];
    let part = ask(world, findings, "a part of it", ("GET", "/404.html", host), &range).await;
    findings.status("a part of it", &part, 206);
    findings.holds("a part of it: its bytes", part.body == body[(1 << 20) - 1..(1 << 20) + 1]);
}

async fn features(world: &World, findings: &mut Findings) {
    let info = world.send("GET", "/info", &[], b"").await;
    findings.holds("websites are told of", info.text().contains("\"websites\""));
}
