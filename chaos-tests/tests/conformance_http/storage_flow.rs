//! Behaviour that takes more than one request to see: limits, tags that follow content, chunked bodies.

use rowhouse_chaos_tests::request::head;

use super::world::{Findings, World, base64_of};

/// Bodies up to this travel in the log; larger ones lie in chunks of their own.
const INLINE_MAX: usize = 65_536;
/// Longest segment, and longest path (docs/rules/protocol.md#paths).
const SEGMENT_MAX: usize = 255;
const PATH_MAX: usize = 972;

pub async fn run(world: &World) -> Vec<String> {
    let mut findings = Findings::default();
    sizes(world, &mut findings).await;
    long_paths(world, &mut findings).await;
    tags(world, &mut findings).await;
    chunked(world, &mut findings).await;
    findings.0
}

async fn sizes(world: &World, findings: &mut Findings) {
    let session = world.session("alice.cookie");
    let credentials = [(session.header, session.value.as_str())];
    let target = world.fill("/storage/{alice}/pub/sizes/file");
    let body: Vec<u8> = (0..INLINE_MAX).map(|at| (at % 251) as u8).collect();
    findings.status("64 KiB", &world.send("PUT", &target, &credentials, &body).await, 201);
    let back = world.send("GET", &target, &[], b"").await;
    findings.holds("64 KiB come back", back.body == body);
    let larger = vec![1; INLINE_MAX + 1];
    findings.status("64 KiB and one", &world.send("PUT", &target, &credentials, &larger).await, 201);
    let back = world.send("GET", &target, &[], b"").await;
    findings.holds("64 KiB and one come back", back.body == larger);
    let part = world.send("GET", &target, &[("range", "bytes=65535-")], b"").await;
    findings.status("the last two bytes", &part, 206);
    findings.holds("the last two bytes come back", part.body == larger[INLINE_MAX - 1..]);
    let anonymous = world.send("PUT", &target, &[], &larger).await;
    findings.status("no session, whatever the size", &anonymous, 401);
}

async fn long_paths(world: &World, findings: &mut Findings) {
    let session = world.session("alice.cookie");
    let credentials = [(session.header, session.value.as_str())];
    for (length, status) in [(SEGMENT_MAX, 201), (SEGMENT_MAX + 1, 400)] {
        let target = world.fill(&format!("/storage/{{alice}}/pub/long/{}", "s".repeat(length)));
        let put = world.send("PUT", &target, &credentials, b"1").await;
        findings.status(&format!("a segment of {length} bytes"), &put, status);
    }
    for (length, status) in [(PATH_MAX, 201), (PATH_MAX + 1, 400)] {
        let mut path = String::from("/pub/longer");
        while path.len() < length {
            let missing = (length - path.len() - 1).min(200);
            path.push('/');
            path.push_str(&"p".repeat(missing));
        }
        let target = format!("{}{path}", world.fill("/storage/{alice}"));
        let put = world.send("PUT", &target, &credentials, b"1").await;
        findings.status(&format!("a path of {} bytes", path.len()), &put, status);
    }
}

async fn tags(world: &World, findings: &mut Findings) {
    let session = world.session("alice.cookie");
    let credentials = [(session.header, session.value.as_str())];
    let target = world.fill("/storage/{alice}/pub/tags/file.txt");
    for body in [&b"one"[..], b"two", b"two"] {
        findings.status("write", &world.send("PUT", &target, &credentials, body).await, 201);
        let tag = format!("\"{}\"", base64_of(blake3::hash(body).as_bytes()));
        let get = world.send("GET", &target, &[], b"").await;
        findings.equal("the tag is the content's hash", &get.header("etag"), &Some(tag.clone()));
        let modified = get.header("last-modified").unwrap_or_default();
        let unchanged = world.send("GET", &target, &[("if-none-match", &tag)], b"").await;
        findings.status("unchanged", &unchanged, 304);
        let unchanged = world.send("GET", &target, &[("if-modified-since", &modified)], b"").await;
        findings.status("unchanged since its own date", &unchanged, 304);
    }
}

/// A body without a length is as good as one with it.
async fn chunked(world: &World, findings: &mut Findings) {
    let session = world.session("alice.cookie");
    let headers = [(session.header, session.value.as_str()), ("transfer-encoding", "chunked")];
    let target = world.fill("/storage/{alice}/pub/chunked/file.txt");
    let mut bytes = head("PUT", &target, &world.address.to_string(), &headers);
    bytes.extend_from_slice(b"\r\n3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n");
    match world.exchange(&bytes, false).await {
        Ok(put) => findings.status("a chunked body", &put, 201),
        Err(error) => findings.holds(&format!("a chunked body: {error}"), false),
    }
    let get = world.send("GET", &target, &[], b"").await;
    findings.equal("its content", &get.text().as_str(), &"abcde");
}
