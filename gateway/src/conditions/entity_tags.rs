//! Lists of entity tags in `If-Match` and `If-None-Match` (RFC 9110 §8.8.3, §13.1). Pure.
//!
//! Tags are compared strongly in both. A file's own tag is never weak, so that a weak one names no file.

use bytes::Bytes;
use http::HeaderValue;
use rowhouse_proto::ErrorCode;
use rowhouse_proto::wire::entry::EntityTags;

use crate::etag::hash_of;

/// Most tags of one header.
const TAGS_MAX: usize = 64;

/// The tags of all lines of a header; `None` without a line. Refused as `InvalidCondition`: no tag, a malformed one, too
/// many, or `*` beside others.
pub fn parse<'a>(lines: impl IntoIterator<Item = &'a HeaderValue>) -> Result<Option<EntityTags>, ErrorCode> {
    let mut lines = lines.into_iter().peekable();
    if lines.peek().is_none() {
        return Ok(None);
    }
    let (mut count, mut any, mut hashes) = (0, false, Vec::new());
    for line in lines {
        let mut rest = line.as_bytes();
        while let Some(member) = next_member(&mut rest).map_err(|Malformed| ErrorCode::InvalidCondition)? {
            count += 1;
            match member {
                Member::Any => any = true,
                Member::Tag(hash) => hashes.extend(hash),
            }
        }
    }
    if count == 0 || count > TAGS_MAX || (any && count > 1) {
        return Err(ErrorCode::InvalidCondition);
    }
    Ok(Some(EntityTags { any, hashes }))
}

enum Member {
    Any,
    /// The hash of the files that have the tag, if there can be any.
    Tag(Option<Bytes>),
}

struct Malformed;

/// Takes the next member off a list, and the comma behind it; empty members are passed over (RFC 9110 §5.6.1).
fn next_member(rest: &mut &[u8]) -> Result<Option<Member>, Malformed> {
    while let [b',' | b' ' | b'\t', after @ ..] = rest {
        *rest = after;
    }
    let (member, after) = match rest {
        [] => return Ok(None),
        [b'*', after @ ..] => (Member::Any, after),
        [b'W', b'/', b'"', after @ ..] => (Member::Tag(None), quoted(after)?.1),
        [b'"', after @ ..] => {
            let (opaque, after) = quoted(after)?;
            (Member::Tag(std::str::from_utf8(opaque).ok().and_then(hash_of)), after)
        }
        _ => return Err(Malformed),
    };
    let behind = after.trim_ascii_start();
    if !(behind.is_empty() || behind.starts_with(b",")) {
        return Err(Malformed);
    }
    *rest = behind;
    Ok(Some(member))
}

/// The characters up to the closing quote, and what is behind it. Some that the RFC does not allow are sent all the same,
/// and no file has such a tag.
fn quoted(text: &[u8]) -> Result<(&[u8], &[u8]), Malformed> {
    let end = text.iter().position(|byte| *byte == b'"').ok_or(Malformed)?;
    Ok((&text[..end], &text[end + 1..]))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::etag::etag;

    fn read(lines: &[&[u8]]) -> Result<Option<(bool, Vec<u8>)>, ErrorCode> {
        let lines: Vec<HeaderValue> =
            lines.iter().map(|line| HeaderValue::from_bytes(line).expect("a value")).collect();
        Ok(parse(&lines)?.map(|tags| (tags.any, tags.hashes.iter().map(|hash| hash[0]).collect())))
    }

    #[test]
    fn lists_are_read_as_the_rfc_has_them() {
        let (one, two) = (etag(&[1; 32]), etag(&[2; 32]));
        assert_eq!(read(&[]), Ok(None));
        for (lines, any, hashes) in [
            (vec![one.clone()], false, vec![1]),
            (vec![format!("{one},{two}")], false, vec![1, 2]),
            (vec![format!(" , {one}\t ,, {two} ,")], false, vec![1, 2]),
            (vec![one.clone(), two.clone()], false, vec![1, 2]),
            (vec![format!("W/{one}, {two}")], false, vec![2]),
            (vec!["\"\"".into()], false, vec![]),
            (vec!["\"a b\"".into()], false, vec![]),
            (vec!["\"a,b\", \"c\"".into()], false, vec![]),
            (vec!["*".into()], true, vec![]),
            (vec![" * ".into()], true, vec![]),
        ] {
            let bytes: Vec<&[u8]> = lines.iter().map(String::as_bytes).collect();
            assert_eq!(read(&bytes), Ok(Some((any, hashes))), "{lines:?}");
        }
        assert_eq!(read(&[b"\"\xE9\""]), Ok(Some((false, vec![]))), "other bytes than ASCII are legal");
    }

    #[test]
    fn what_cannot_be_read_is_refused() {
        let many = vec!["\"x\""; TAGS_MAX + 1].join(",");
        for bad in [
            "",
            ",",
            "x",
            "\"x",
            "x\"",
            "\"x\"\"y\"",
            "\"x\" \"y\"",
            "w/\"x\"",
            "W/x",
            "*, *",
            "*,\"x\"",
            &many,
        ] {
            assert_eq!(read(&[bad.as_bytes()]), Err(ErrorCode::InvalidCondition), "{bad:?}");
        }
        assert!(read(&[vec!["\"x\""; TAGS_MAX].join(",").as_bytes()]).is_ok());
    }
}
