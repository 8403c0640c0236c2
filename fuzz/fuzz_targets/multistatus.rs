//! PROPFIND bodies and names of files: every answer is a document, about that one file.
#![no_main]

use libfuzzer_sys::fuzz_target;
use pubky_common::storage_path::StoragePath;
use rowhouse_gateway::fuzzing::{multistatus_of, xml_elements};

/// The reader that judges the answer is bounded as well; an answer has a few elements beside those asked for.
const ASKED_MAX: usize = 400;
const DAV: &str = "DAV:";

fuzz_target!(|data: &[u8]| {
    // A name may not hold a line's end.
    let Some(end) = data.iter().position(|byte| *byte == b'\n') else { return };
    let (name, body) = (&data[..end], &data[end + 1..]);
    let Ok(name) = std::str::from_utf8(name) else { return };
    if name.contains('/') || !StoragePath::new(&format!("/pub/{name}")).is_ok_and(|path| path.is_file()) {
        return;
    }
    let Some(asked) = xml_elements(body).filter(|asked| asked.len() < ASKED_MAX) else { return };
    let Some(answer) = multistatus_of(body, name) else { return };
    let elements = xml_elements(answer.as_bytes()).unwrap_or_else(|| panic!("no document: {answer}"));
    assert_eq!((elements[0].1.as_str(), elements[0].2.as_str()), (DAV, "multistatus"));
    let at = |depth: usize, local: &str| {
        elements.iter().filter(|(at, space, name)| *at == depth && space == DAV && name == local).count()
    };
    assert_eq!((at(2, "response"), at(3, "href")), (1, 1));
    let told = elements.iter().filter(|(depth, _, _)| *depth == 5).count();
    let inner = |depth: usize| asked.iter().filter(move |(at, _, _)| *at == depth);
    let is_prop = |(_, space, local): &&(usize, String, String)| space == DAV && local == "prop";
    if inner(2).all(|element| is_prop(&element)) {
        // Of several lists the last one counts.
        let wanted = inner(3).count();
        assert!(
            told <= wanted && (inner(2).count() > 1 || told == wanted),
            "{wanted} asked, {told} told: {answer}"
        );
    }
});
