//! One row of a table: a request and what must come back. Texts in braces are replaced by the
//! world's own names (`{alice}` is a key, `{alice.cookie}` a header value).

#[derive(Clone, Copy, Debug)]
pub struct Case {
    pub name: &'static str,
    /// Method and target.
    pub request: &'static str,
    pub host: &'static str,
    pub headers: &'static [(&'static str, &'static str)],
    pub body: &'static [u8],
    pub status: u16,
    /// The whole body; None: anything.
    pub text: Option<&'static str>,
    /// Header name and what its value must be: `=exact`, `~contains`, `-without`, `?` (present), `!` (absent).
    pub answer: &'static [(&'static str, &'static str)],
}

pub const fn case(name: &'static str, request: &'static str, status: u16) -> Case {
    Case { name, request, host: "{host}", headers: &[], body: b"", status, text: None, answer: &[] }
}

impl Case {
    pub const fn host(self, host: &'static str) -> Self {
        Self { host, ..self }
    }

    pub const fn with(self, headers: &'static [(&'static str, &'static str)]) -> Self {
        Self { headers, ..self }
    }

    pub const fn body(self, body: &'static [u8]) -> Self {
        Self { body, ..self }
    }

    pub const fn text(self, text: &'static str) -> Self {
        Self { text: Some(text), ..self }
    }

    pub const fn answer(self, answer: &'static [(&'static str, &'static str)]) -> Self {
        Self { answer, ..self }
    }
}

/// Header values of credentials.
pub const ALICE: &[(&str, &str)] = &[("cookie", "{alice.cookie}")];
/// Bare texts of errors.
pub const PLAIN: &[(&str, &str)] = &[("content-type", "=text/plain; charset=utf-8")];
