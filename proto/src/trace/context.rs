//! W3C trace context as 25 bytes: trace id 16, parent span id 8, flags 1.
//!
//! It travels beside a command and never inside it, so that replicas apply the same bytes
//! whatever is being traced.

use crate::hex::hex;

/// A W3C trace context (<https://www.w3.org/TR/trace-context/>), version 00.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct TraceContext {
    /// Names the whole trace; never all zero.
    pub trace_id: [u8; 16],
    /// Names the parent span; never all zero.
    pub span_id: [u8; 8],
    /// Bit 0 says that the trace is sampled; the other bits are handed on.
    pub flags: u8,
}

impl TraceContext {
    /// Length of the binary form.
    pub const BYTES: usize = 25;
    const SAMPLED: u8 = 1;

    /// The binary form, as requests carry it.
    pub fn to_bytes(self) -> [u8; Self::BYTES] {
        let mut bytes = [0; Self::BYTES];
        bytes[..16].copy_from_slice(&self.trace_id);
        bytes[16..24].copy_from_slice(&self.span_id);
        bytes[24] = self.flags;
        bytes
    }

    /// Reads the binary form. `None` for an empty or malformed field: a request without a trace is a normal one.
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let bytes: &[u8; Self::BYTES] = bytes.try_into().ok()?;
        let mut context = Self { trace_id: [0; 16], span_id: [0; 8], flags: bytes[24] };
        context.trace_id.copy_from_slice(&bytes[..16]);
        context.span_id.copy_from_slice(&bytes[16..24]);
        (context.trace_id != [0; 16] && context.span_id != [0; 8]).then_some(context)
    }

    /// Whether somebody records the trace.
    pub fn is_sampled(&self) -> bool {
        self.flags & Self::SAMPLED != 0
    }

    /// The value of the `traceparent` header.
    pub fn to_traceparent(self) -> String {
        format!("00-{}-{}-{:02x}", hex(&self.trace_id), hex(&self.span_id), self.flags)
    }

    /// Parses the `traceparent` header; `None` for a malformed one.
    pub fn from_traceparent(header: &str) -> Option<Self> {
        let mut parts = header.split('-');
        let (version, trace, span, flags) = (parts.next()?, parts.next()?, parts.next()?, parts.next()?);
        if version.len() != 2 || version == "ff" || (version == "00" && parts.next().is_some()) {
            return None;
        }
        let mut bytes = [0; Self::BYTES];
        decode_hex(trace, &mut bytes[..16])?;
        decode_hex(span, &mut bytes[16..24])?;
        decode_hex(flags, &mut bytes[24..])?;
        Self::from_bytes(&bytes)
    }
}

fn decode_hex(text: &str, into: &mut [u8]) -> Option<()> {
    let text = text.as_bytes();
    if text.len() != into.len() * 2 {
        return None;
    }
    for (byte, pair) in into.iter_mut().zip(text.chunks_exact(2)) {
        *byte = hex_digit(pair[0])? << 4 | hex_digit(pair[1])?;
    }
    Some(())
}

fn hex_digit(digit: u8) -> Option<u8> {
    match digit {
        b'0'..=b'9' => Some(digit - b'0'),
        b'a'..=b'f' => Some(digit - b'a' + 10),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn traceparent_round_trips_through_bytes() {
        let parsed =
            TraceContext::from_traceparent("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01");
        let context = parsed.expect("the specification's own example");
        assert_eq!(context.flags, 1);
        assert_eq!(TraceContext::from_bytes(&context.to_bytes()), Some(context));
    }

    #[test]
    fn malformed_contexts_are_no_context() {
        for header in [
            "",
            "00",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-extra",
            "00-00000000000000000000000000000000-00f067aa0ba902b7-01",
            "00-4BF92F3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
            "ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
        ] {
            assert_eq!(TraceContext::from_traceparent(header), None, "{header}");
        }
        assert_eq!(TraceContext::from_bytes(&[1; 24]), None);
    }
}
