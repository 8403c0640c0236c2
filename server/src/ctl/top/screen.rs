//! A terminal that is drawn anew again and again, and left as it was found.

use std::io::{self, IsTerminal, Write};

/// The other screen, from its upper left corner, without a cursor.
const ENTER: &str = "\x1b[?1049h\x1b[?25l";
const LEAVE: &str = "\x1b[?25h\x1b[?1049l";
const HOME: &str = "\x1b[H";
const CLEAR_LINE: &str = "\x1b[K";
const CLEAR_BELOW: &str = "\x1b[J";

/// Shows texts in place of each other until it is dropped.
pub struct Screen(io::Stdout);

impl Screen {
    /// `None` where standard output is no terminal. Fails if it cannot be written.
    pub fn enter() -> io::Result<Option<Self>> {
        let mut out = io::stdout();
        if !out.is_terminal() {
            return Ok(None);
        }
        out.write_all(ENTER.as_bytes())?;
        Ok(Some(Self(out)))
    }

    /// Draws in one write, so that nothing flickers. Fails if the terminal is gone.
    pub fn draw(&mut self, text: &str) -> io::Result<()> {
        self.0.write_all(frame(text).as_bytes())?;
        self.0.flush()
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        // A terminal that is gone needs nothing back.
        let _gone = self.0.write_all(LEAVE.as_bytes()).and_then(|()| self.0.flush());
    }
}

/// Overwrites what was there, line by line.
fn frame(text: &str) -> String {
    let lines: String = text.lines().map(|line| format!("{line}{CLEAR_LINE}\r\n")).collect();
    format!("{HOME}{lines}{CLEAR_BELOW}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_line_ends_what_was_longer_before() {
        assert_eq!(frame("a\nb\n"), "\x1b[Ha\x1b[K\r\nb\x1b[K\r\n\x1b[J");
    }
}
