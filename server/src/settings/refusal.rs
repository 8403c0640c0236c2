//! The one message about everything that is wrong with a configuration.

use crate::error::Error;

/// More complaints than this are not one misunderstanding, and nobody reads them.
const SHOWN_MAX: usize = 20;

/// Exit code 64, and the complaints, each a sentence.
pub fn invalid(complaints: &[String]) -> Error {
    const BEGIN: &str = "invalid configuration, nothing was started:";
    const END: &str = "`rowhouse config-reference` explains every key.";
    Error::Usage(match complaints {
        [one] => format!("{BEGIN} {one} {END}"),
        many => {
            let more = many.len().saturating_sub(SHOWN_MAX);
            let more = if more > 0 { format!("and {more} more.\n") } else { String::new() };
            let shown = many.iter().take(SHOWN_MAX).map(|one| format!("  {one}\n")).collect::<String>();
            format!("{BEGIN}\n{shown}{more}{END}")
        }
    })
}
