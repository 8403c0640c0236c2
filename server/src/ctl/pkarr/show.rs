//! Prints what `rowhouse ctl pkarr` was asked for.

use super::super::acting::operator;
use super::super::observer::Observer;
use super::args::PkarrArgs;
use super::report::Report;
use super::{left, user};
use crate::error::Error;

/// Prints what was asked for. Fails if no node answers.
pub async fn pkarr(args: PkarrArgs) -> Result<(), Error> {
    if args.left {
        let operator = operator(&args.access, "ctl pkarr --left").await?;
        return left::print(&operator, &args).await;
    }
    if let Some(user) = &args.user {
        let operator = operator(&args.access, "ctl pkarr --user").await?;
        return user::print(&operator, user, args.output).await;
    }
    let view = Observer::new(&args.access)?.look().await?;
    let report = Report::of(&view);
    args.output.print(|| report.text(), &report)
}
