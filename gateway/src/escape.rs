//! Names as XML and as parts of a URL.

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

/// All but the unreserved characters and the slash.
const ENCODED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'~').remove(b'/');

/// The path as it stands in a URL.
pub fn url_path(path: &str) -> String {
    utf8_percent_encode(path, ENCODED).to_string()
}

/// Appends text so that a parser gives it back. Characters that XML cannot carry at all are left out.
pub fn push_escaped(xml: &mut String, text: &str) {
    for character in text.chars().filter(|character| is_xml(*character)) {
        match character {
            '&' => xml.push_str("&amp;"),
            '<' => xml.push_str("&lt;"),
            '>' => xml.push_str("&gt;"),
            '"' => xml.push_str("&quot;"),
            // A parser would make it a line feed.
            '\r' => xml.push_str("&#13;"),
            other => xml.push(other),
        }
    }
}

/// XML 1.0, production 2.
fn is_xml(character: char) -> bool {
    matches!(character, '\t' | '\n' | '\r' | ' '..='\u{D7FF}' | '\u{E000}'..='\u{FFFD}' | '\u{10000}'..)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_xml_cannot_carry_is_left_out_and_the_rest_escaped() {
        let mut xml = String::new();
        push_escaped(&mut xml, "a&b<c>\"'\u{FFFE}é\u{FFFF}\u{1F600}\0\r");
        assert_eq!(xml, "a&amp;b&lt;c&gt;&quot;'é\u{1F600}&#13;");
    }

    #[test]
    fn urls_encode_every_reserved_character() {
        assert_eq!(url_path("/pub/a b;c=d?#%é~_.-"), "/pub/a%20b%3Bc%3Dd%3F%23%25%C3%A9~_.-");
        assert_eq!(url_path("\u{FFFE}"), "%EF%BF%BE");
    }
}
