//! Bodies of LOCK: what is granted asks for an exclusive lock for writes, however it is written.
#![no_main]

use libfuzzer_sys::fuzz_target;
use rowhouse_gateway::fuzzing::is_exclusive_write;

fuzz_target!(|data: &[u8]| {
    if !is_exclusive_write(data) {
        return;
    }
    let text = std::str::from_utf8(data).expect("text is granted alone");
    let has = |name: &str| text.split('<').skip(1).any(|tag| tag.contains(name));
    assert!(has("exclusive") && has("write"));
    // One element more that asks for another kind is refused.
    assert!(!is_exclusive_write(format!("{text}<x:shared/>").as_bytes()));
    assert!(!is_exclusive_write(&[data, &[0xFF]].concat()));
});
