//! Parts of files of every size: inline, in chunks, across their borders.

use rowhouse_chaos_tests::http1::Response;
use rowhouse_chaos_tests::request::request;

use super::world::{Findings, World};

/// Bodies up to this travel in the log; larger ones lie in chunks of their own.
const INLINE_MAX: usize = 65_536;
const MIB: usize = 1 << 20;
/// Ten chunks, of which the last has seven bytes.
const LARGE: usize = 9 * MIB + 7;
/// Sizes whose multiples may be borders of ours: checksums, frames, chunks.
const BORDERS: [usize; 5] = [16 * 1024, 64 * 1024, MIB, 4 * MIB, 8 * MIB];
/// Ranges of one header.
const MANY: usize = 1_000;
const MP4: &[u8] = b"\0\0\0\x18ftypmp42\0\0\0\0mp42isom";

pub async fn run(world: &World) -> Vec<String> {
    let mut findings = Findings::default();
    thresholds(world, &mut findings).await;
    borders(world, &mut findings).await;
    many(world, &mut findings).await;
    players(world, &mut findings).await;
    findings.0
}

/// Each byte depends on its position, and no power of two is a period.
fn pattern(length: usize) -> Vec<u8> {
    (0..length).map(|at| (at % 251) as u8 ^ (at / 251 % 253) as u8).collect()
}

async fn put(world: &World, findings: &mut Findings, path: &str, body: &[u8]) -> String {
    let session = world.session("alice.cookie");
    let target = world.fill(&format!("/storage/{{alice}}{path}"));
    let put = world.send("PUT", &target, &[(session.header, &session.value)], body).await;
    findings.status(&format!("{path} of {} bytes", body.len()), &put, 201);
    target
}

async fn holds(
    world: &World,
    findings: &mut Findings,
    target: &str,
    (range, span): (String, std::ops::Range<usize>),
    body: &[u8],
) {
    let part = world.send("GET", target, &[("range", &range)], b"").await;
    let what = format!("{range} of {}", body.len());
    findings.status(&what, &part, 206);
    findings.holds(&format!("{what}: its bytes"), part.body == body[span.clone()]);
    let told = Some(format!("bytes {}-{}/{}", span.start, span.end - 1, body.len()));
    findings.equal(&what, &part.header("content-range"), &told);
}

fn span_of(first: usize, last: usize, length: usize) -> (String, std::ops::Range<usize>) {
    (format!("bytes={first}-{last}"), first..(last + 1).min(length))
}

/// Where a body leaves the log.
async fn thresholds(world: &World, findings: &mut Findings) {
    for length in [INLINE_MAX - 1, INLINE_MAX, INLINE_MAX + 1] {
        let body = pattern(length);
        let target = put(world, findings, "/pub/ranges/threshold", &body).await;
        for span in [
            span_of(0, 0, length),
            span_of(length - 1, length - 1, length),
            span_of(length - 2, length + 5, length),
            (format!("bytes=-{length}"), 0..length),
        ] {
            holds(world, findings, &target, span, &body).await;
        }
    }
}

async fn borders(world: &World, findings: &mut Findings) {
    let body = pattern(LARGE);
    let target = put(world, findings, "/pub/ranges/large", &body).await;
    for size in BORDERS {
        // The first border, one in the middle, and the last.
        let last = (LARGE - 1) / size;
        for border in [1, last / 2 + 1, last].map(|count| count.min(last) * size) {
            for span in [
                span_of(border - 1, border + 1, LARGE),
                span_of(border, border, LARGE),
                span_of(border - 1, border - 1, LARGE),
            ] {
                holds(world, findings, &target, span, &body).await;
            }
        }
    }
    holds(world, findings, &target, ("bytes=-8".into(), LARGE - 8..LARGE), &body).await;
    holds(world, findings, &target, (format!("bytes={}-", LARGE - 1), LARGE - 1..LARGE), &body).await;
    holds(world, findings, &target, span_of(MIB - 3, 3 * MIB + 3, LARGE), &body).await;
}

/// Many ranges cost no more than one answer.
async fn many(world: &World, findings: &mut Findings) {
    let body = pattern(INLINE_MAX + 1);
    let target = put(world, findings, "/pub/ranges/many", &body).await;
    let overlapping = format!("bytes={}", vec!["0-"; MANY].join(","));
    let whole = world.send("GET", &target, &[("range", &overlapping)], b"").await;
    findings.status("many overlapping ranges", &whole, 200);
    findings.holds("many overlapping ranges: the file once", whole.body == body);
    let beyond = format!("bytes={}", vec!["99999-"; MANY].join(","));
    let none = world.send("GET", &target, &[("range", &beyond)], b"").await;
    findings.status("many ranges beyond the end", &none, 416);
}

/// Players ask for two bytes first, and give up without a 206 that tells the length.
async fn players(world: &World, findings: &mut Findings) {
    let body = [MP4, &pattern(3 * MIB)].concat();
    let stored = put(world, findings, "/pub/ranges/v.mp4", &body).await;
    put(world, findings, "/pub/website/_/v.mp4", &body).await;
    let (host, alice) = (world.address.to_string(), world.fill("{alice}"));
    for (target, host, key) in
        [(stored.as_str(), &host, ""), ("/pub/ranges/v.mp4", &host, alice.as_str()), ("/v.mp4", &alice, "")]
    {
        let mut headers = vec![("range", "bytes=0-1"), ("origin", "https://app.example")];
        if !key.is_empty() {
            headers.push(("pubky-host", key));
        }
        let bytes = request("GET", target, host, &headers, b"");
        match world.exchange(&bytes, false).await {
            Ok(probe) => probed(findings, target, &probe, body.len()),
            Err(error) => findings.holds(&format!("a probe of {target}: {error}"), false),
        }
    }
}

fn probed(findings: &mut Findings, target: &str, probe: &Response, length: usize) {
    findings.status(&format!("a probe of {target}"), probe, 206);
    findings.holds(&format!("a probe of {target}: its bytes"), probe.body == MP4[..2]);
    for (name, value) in [
        ("content-range", format!("bytes 0-1/{length}")),
        ("content-length", "2".into()),
        ("content-type", "video/mp4".into()),
        ("accept-ranges", "bytes".into()),
        ("access-control-allow-origin", "https://app.example".into()),
    ] {
        findings.equal(&format!("a probe of {target}: {name}"), &probe.header(name), &Some(value));
    }
    let policy = probe.header("content-security-policy");
    findings.equal(&format!("a probe of {target}: its policy"), &policy, &None);
}
