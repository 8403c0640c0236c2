//! Builds the exact bytes of one HTTP/1.1 request.

/// Whole request with `Content-Length` when there is a body or the method usually has one.
pub fn request(method: &str, target: &str, host: &str, headers: &[(&str, &str)], body: &[u8]) -> Vec<u8> {
    let mut bytes = head(method, target, host, headers);
    if !body.is_empty() || matches!(method, "PUT" | "POST") {
        bytes.extend_from_slice(format!("content-length: {}\r\n", body.len()).as_bytes());
    }
    bytes.extend_from_slice(b"\r\n");
    bytes.extend_from_slice(body);
    bytes
}

/// Request line and headers, not yet ended; without a Host line when `host` is empty.
pub fn head(method: &str, target: &str, host: &str, headers: &[(&str, &str)]) -> Vec<u8> {
    let mut text = format!("{method} {target} HTTP/1.1\r\n");
    if !host.is_empty() {
        text.push_str(&format!("host: {host}\r\n"));
    }
    for (name, value) in headers {
        text.push_str(&format!("{name}: {value}\r\n"));
    }
    text.into_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn says_the_length_of_what_it_sends() {
        let bytes = request("PUT", "/x", "h", &[("cookie", "a=b")], b"12");
        assert_eq!(bytes, b"PUT /x HTTP/1.1\r\nhost: h\r\ncookie: a=b\r\ncontent-length: 2\r\n\r\n12");
        assert_eq!(request("GET", "/", "", &[], b""), b"GET / HTTP/1.1\r\n\r\n");
    }
}
