//! One page of `GET /events/`.

use std::fmt;

use crate::http1::Response;
use crate::request::request;

/// Most events of one page.
pub const LIMIT_MAX: usize = 1000;
const CURSOR: &str = "cursor: ";
const PUT: &str = "PUT pubky://";
const DEL: &str = "DEL pubky://";
/// Letters of a public key.
const KEY_LETTERS: usize = 52;
/// Nothing private is told to everybody.
const PUBLIC: &str = "/pub/";

/// What happened to one file.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct FeedLine {
    pub deleted: bool,
    /// The owner's key in z-base-32.
    pub user: String,
    /// From `/pub/` on, decoded.
    pub path: String,
}

/// As the feed has it.
impl fmt::Display for FeedLine {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}{}{}", if self.deleted { DEL } else { PUT }, self.user, self.path)
    }
}

/// A page: events, and the id of the last one.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FeedPage {
    pub lines: Vec<FeedLine>,
    /// None: the page has no events.
    pub cursor: Option<u64>,
}

impl FeedPage {
    /// Reads the body of a page that was asked for with `after` and `limit`. Errs with what is wrong with it.
    pub fn parse(body: &str, after: u64, limit: usize) -> Result<Self, String> {
        if body.is_empty() {
            return Ok(Self::default());
        }
        let (events, last) = body.rsplit_once('\n').ok_or("a page of one line")?;
        let cursor = last.strip_prefix(CURSOR).ok_or_else(|| format!("no cursor at the end: {last:.60}"))?;
        let cursor: u64 = cursor.parse().map_err(|_| format!("no number as the cursor: {cursor:.60}"))?;
        if cursor <= after {
            return Err(format!("cursor {cursor} after {after}"));
        }
        let lines = events.split('\n').map(line).collect::<Result<Vec<_>, _>>()?;
        if lines.len() > limit.min(LIMIT_MAX) {
            return Err(format!("{} events for a limit of {limit}", lines.len()));
        }
        Ok(Self { lines, cursor: Some(cursor) })
    }
}

fn line(text: &str) -> Result<FeedLine, String> {
    let put = text.strip_prefix(PUT);
    let rest = put.or_else(|| text.strip_prefix(DEL));
    let rest = rest.ok_or_else(|| format!("no event: {text:.120}"))?;
    let (user, path) = rest.split_at_checked(KEY_LETTERS).ok_or_else(|| format!("no key: {text:.120}"))?;
    if !path.starts_with(PUBLIC) {
        return Err(format!("not public: {text:.120}"));
    }
    Ok(FeedLine { deleted: put.is_none(), user: user.to_owned(), path: path.to_owned() })
}

/// The request of one page.
pub fn page_request(host: &str, after: u64, limit: usize) -> Vec<u8> {
    request("GET", &format!("/events/?cursor={after}&limit={limit}"), host, &[], b"")
}

/// What a reader that does not look at the status would make of a refusal; None: nothing at all.
pub fn refusal(response: &Response) -> Option<String> {
    let text = response.text();
    let status = response.status;
    if matches!(status, 429 | 503) && response.header("retry-after").is_none() {
        return Some(format!("{status} without Retry-After"));
    }
    let plain = response.header("content-type").is_some_and(|kind| kind.starts_with("text/plain"));
    let is_read = |line: &str| ["cursor:", "PUT ", "DEL "].iter().any(|start| line.starts_with(start));
    if text.is_empty() || text.lines().count() != 1 || text.lines().any(is_read) || !plain {
        return Some(format!("{status} with the body {text:.200?}"));
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: &str = "o1gg96ewuojmopcjbz8895478wdtxtzzuxnfjjz8o8e77csa1ngo";

    fn parsed(body: &str) -> Result<FeedPage, String> {
        FeedPage::parse(&body.replace("KEY", KEY), 5, 2)
    }

    #[test]
    fn a_page_comes_back_as_it_was_written() {
        let page = parsed("PUT pubky://KEY/pub/a b\nDEL pubky://KEY/pub/c\ncursor: 17").expect("a page");
        assert_eq!(page.cursor, Some(17));
        assert_eq!(page.lines[0].to_string(), format!("PUT pubky://{KEY}/pub/a b"));
        assert_eq!(page.lines[1].to_string(), format!("DEL pubky://{KEY}/pub/c"));
        assert_eq!(parsed(""), Ok(FeedPage::default()));
    }

    #[test]
    fn whatever_an_indexer_would_stumble_over_is_told() {
        for wrong in [
            "cursor: 17",
            "PUT pubky://KEY/pub/a",
            "PUT pubky://KEY/pub/a\ncursor: 17\n",
            "PUT pubky://KEY/pub/a\ncursor: x",
            "PUT pubky://KEY/pub/a\ncursor: 5",
            "PUT pubky://KEY/priv/a\ncursor: 17",
            "GET pubky://KEY/pub/a\ncursor: 17",
            "PUT pubky://KEY\ncursor: 17",
            "PUT pubky://KEY/pub/a\n\ncursor: 17",
            "PUT pubky://KEY/pub/a\nPUT pubky://KEY/pub/a\nPUT pubky://KEY/pub/a\ncursor: 17",
        ] {
            assert!(parsed(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_refusal_is_one_line_that_is_no_event() {
        let answer = |status: u16, head: &str, body: &str| Response {
            status,
            head: format!("HTTP/1.1 {status} x\r\n{head}").into_bytes(),
            body: body.as_bytes().to_vec(),
            closes: false,
        };
        let plain = "content-type: text/plain; charset=utf-8\r\nretry-after: 1";
        assert_eq!(refusal(&answer(503, plain, "not now")), None);
        for body in ["", "not\nnow", "cursor: 1", "PUT it", "DEL it"] {
            assert!(refusal(&answer(503, plain, body)).is_some(), "{body}");
        }
        assert!(refusal(&answer(503, "content-type: text/plain", "not now")).is_some());
        assert!(refusal(&answer(400, "content-type: text/html", "no")).is_some());
    }
}
