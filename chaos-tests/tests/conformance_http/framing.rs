//! Bodies in unusual frames: below a GET, and in chunks with all that chunks may have.

use rowhouse_chaos_tests::feed::{EventStream, StreamItem};
use rowhouse_chaos_tests::request::{head, request};
use tokio::io::AsyncWriteExt;

use super::raw::{Door, Stream, open, read_until, write_then_read};
use super::world::{Findings, World, base64_of};

const MIB: usize = 1024 * 1024;
/// Of a body that no GET needs.
const USELESS_BYTES: usize = 300_000;
const CONTINUE: &[u8] = b"HTTP/1.1 100 Continue\r\n\r\n";

pub async fn run(world: &World) -> Vec<String> {
    let mut findings = Findings::default();
    for door in [Door::Plain, Door::Tls] {
        get_with_a_body(world, &mut findings, door).await;
    }
    for door in [Door::Plain, Door::Tls, Door::Admin] {
        chunks_over_an_empty_file(world, &mut findings, door).await;
    }
    findings.0
}

fn pattern(length: usize) -> Vec<u8> {
    (0..length).map(|at| (at % 251) as u8).collect()
}

/// The body is requests, which nobody may take for such.
async fn get_with_a_body(world: &World, findings: &mut Findings, door: Door) {
    let (cookie, target) = (world.fill("{alice.cookie}"), world.fill("/storage/{alice}/pub/framing/m"));
    let file = pattern(MIB);
    let put = world.send("PUT", &target, &[("cookie", &cookie)], &file).await;
    findings.status("a file", &put, 201);
    let host = world.address.to_string();
    let smuggled = request("GET", "/events/?limit=1", &host, &[], b"");
    let body: Vec<u8> = smuggled.iter().copied().cycle().take(USELESS_BYTES).collect();
    let mut bytes = head("GET", &target, &host, &[("content-length", &USELESS_BYTES.to_string())]);
    bytes.extend_from_slice(b"\r\n");
    bytes.extend_from_slice(&body);
    bytes.extend_from_slice(&request("GET", &target, &host, &[("connection", "close")], b""));
    let mut stream = open(world, door).await;
    let answer = match write_then_read(&mut *stream, &bytes, 0).await {
        Ok(answer) => answer,
        Err(error) => return findings.holds(&format!("{door:?}: a GET with a body: {error}"), false),
    };
    let answers = files(&answer, &file);
    findings.holds(&format!("{door:?}: answers to a GET with a body: {answers:?}"), {
        // The second one is answered as well, or the connection has ended after the first.
        matches!(answers, Some(1 | 2))
    });
}

/// How many answers there are; None: some of it is no answer with this file.
fn files(mut answer: &[u8], file: &[u8]) -> Option<usize> {
    let mut count = 0;
    while !answer.is_empty() {
        let end = answer.windows(4).position(|window| window == b"\r\n\r\n")?;
        let (head, rest) = (&answer[..end], answer[end + 4..].split_at_checked(file.len())?);
        if !head.starts_with(b"HTTP/1.1 200 ") || rest.0 != file {
            return None;
        }
        (count, answer) = (count + 1, rest.1);
    }
    Some(count)
}

async fn chunks_over_an_empty_file(world: &World, findings: &mut Findings, door: Door) {
    let name = format!("{door:?}").to_lowercase();
    let path = format!("/pub/framing/c-{name}");
    let cookie = world.fill("{alice.cookie}");
    let (key, basic) = (world.fill("{alice}"), format!("Basic {}", base64_of(b"admin:admin")));
    let stored = format!("/storage/{key}{path}");
    let empty = world.send("PUT", &stored, &[("cookie", &cookie)], b"").await;
    findings.status("an empty file", &empty, 201);
    let (target, credential, status) = match door {
        Door::Admin => (format!("/dav/{key}{path}"), ("authorization", basic.as_str()), 204),
        Door::Plain | Door::Tls => (stored.clone(), ("cookie", cookie.as_str()), 201),
    };
    let headers = [
        credential,
        ("transfer-encoding", "chunked"),
        ("expect", "100-continue"),
        ("trailer", "x-checksum"),
        ("connection", "close"),
    ];
    let mut asks = head("PUT", &target, &world.address.to_string(), &headers);
    asks.extend_from_slice(b"\r\n");
    let body = pattern(1 + 0x1000 + 65_537);
    let mut stream = open(world, door).await;
    let answer = match upload(&mut *stream, &asks, &body).await {
        Ok(answer) => String::from_utf8_lossy(&answer).into_owned(),
        Err(error) => return findings.holds(&format!("{door:?}: chunks: {error}"), false),
    };
    let stands = answer.starts_with(&format!("HTTP/1.1 {status} "));
    findings.holds(&format!("{door:?}: chunks over an empty file: {answer:.200}"), stands);
    let get = world.send("GET", &stored, &[], b"").await;
    findings.equal("its length", &get.header("content-length"), &Some(body.len().to_string()));
    findings.holds(&format!("{door:?}: the bytes of all chunks"), get.body == body);
    let hashes: Vec<String> =
        [&b""[..], &body].iter().map(|body| base64_of(blake3::hash(body).as_bytes())).collect();
    findings.equal(&format!("{door:?}: an event each"), &events(world, &path).await, &hashes);
}

/// Sends the body once it is asked for: a byte, a page, and the rest, with extensions and a trailer.
async fn upload(stream: &mut dyn Stream, asks: &[u8], body: &[u8]) -> Result<Vec<u8>, String> {
    stream.write_all(asks).await.map_err(|error| error.to_string())?;
    stream.flush().await.map_err(|error| error.to_string())?;
    let asked = read_until(stream, b"\r\n\r\n").await?;
    if asked != CONTINUE {
        return Err(format!("{:?} in place of 100", String::from_utf8_lossy(&asked)));
    }
    let mut bytes = Vec::new();
    let (first, rest) = body.split_at(1);
    let (second, third) = rest.split_at(0x1000);
    for (extension, piece) in [(";x=1", first), ("", second), (" ;x=\"a;b\"", third)] {
        bytes.extend_from_slice(format!("{:X}{extension}\r\n", piece.len()).as_bytes());
        bytes.extend_from_slice(piece);
        bytes.extend_from_slice(b"\r\n");
    }
    bytes.extend_from_slice(b"0\r\nx-checksum: none\r\n\r\n");
    write_then_read(stream, &bytes, 0).await
}

/// The hashes that the events of one path tell, oldest first.
async fn events(world: &World, path: &str) -> Vec<String> {
    let query = world.fill(&format!("/events-stream?user={{alice}}&path={path}"));
    let bytes = request("GET", &query, &world.address.to_string(), &[], b"");
    let mut stream = EventStream::open(world.address, &bytes).await.expect("a stream");
    let mut hashes = Vec::new();
    while let StreamItem::Event(event) = stream.next().await.expect("an event or the end") {
        hashes.push(event.hash.unwrap_or_default());
    }
    hashes
}
