//! The media type of a stored file: told by its first bytes, else by its extension. The client's own claim is
//! ignored (docs/rules/protocol.md#headers-and-conditions).

/// Signatures lie within the first kilobytes; small and large bodies are judged by the same ones.
pub const DETECT_BYTES_MAX: usize = 8 * 1024;
const UNKNOWN: &str = "application/octet-stream";

/// The media type of a body whose first bytes are `body`; `application/octet-stream` if nothing tells. At most
/// `DETECT_BYTES_MAX` bytes are looked at.
pub fn detect(body: &[u8], path: &str) -> &'static str {
    infer::get(&body[..body.len().min(DETECT_BYTES_MAX)])
        .map(|kind| kind.mime_type())
        .or_else(|| mime_guess::from_path(path).first_raw())
        .unwrap_or(UNKNOWN)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_win_over_names() {
        const PNG: &[u8] = &[0x89, b'P', b'N', b'G', 0x0D, 0x0A, 0x1A, 0x0A];
        assert_eq!(detect(PNG, "/pub/a.txt"), "image/png");
        assert_eq!(detect(b"hello", "/pub/foo.txt"), "text/plain");
        assert_eq!(detect(b"{}", "/pub/a.json"), "application/json");
        assert_eq!(detect(b"", "/pub/a.html"), "text/html");
        assert_eq!(detect(b"hello", "/pub/no-extension"), UNKNOWN);
        assert_eq!(detect(b"", "/pub/.hidden"), UNKNOWN);
    }
}
