//! `rowhouse ctl cluster settings`: who may sign up, and what a user may use who has no quota of its own.

use clap::Subcommand;
use rowhouse_proto::domain::quota::QuotaJson;
use rowhouse_proto::wire::meta::Settings;
use serde::Serialize;

use super::acting::{operator, refused};
use super::args::{Access, Output};
use super::cluster_init::SignupMode;
use super::quota_flags::{LimitFlags, in_words};
use crate::error::Error;

/// The commands below `rowhouse ctl cluster settings`.
#[derive(Subcommand, Debug)]
pub enum SettingsCommand {
    /// Show the settings.
    Get(GetArgs),
    /// Change settings while the cluster runs. Those that are not named stay.
    Set(SetArgs),
}

/// Flags of `rowhouse ctl cluster settings get`.
#[derive(clap::Args, Clone, Debug)]
pub struct GetArgs {
    /// Form of what is printed.
    #[arg(long, value_enum, default_value_t)]
    pub output: Output,
    #[command(flatten)]
    pub access: Access,
}

/// Flags of `rowhouse ctl cluster settings set`. The limits are the default of every user; there `default` is no limit.
#[derive(clap::Args, Clone, Debug)]
pub struct SetArgs {
    /// Who may sign up: anybody (`open`), or holders of a signup token (`token_required`).
    #[arg(long, value_enum)]
    pub signup_mode: Option<SignupMode>,
    #[command(flatten)]
    pub limits: LimitFlags,
    /// Form of what is printed.
    #[arg(long, value_enum, default_value_t)]
    pub output: Output,
    #[command(flatten)]
    pub access: Access,
}

#[derive(Debug, Serialize)]
struct Shown {
    signup_mode: String,
    defaults: QuotaJson,
    /// Nodes that may go by the settings before the change. They hear of it as soon as they are reached.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    unconfirmed: Vec<String>,
}

impl From<Settings> for Shown {
    fn from(settings: Settings) -> Self {
        let defaults = QuotaJson::from(&settings.defaults.unwrap_or_default());
        Self { signup_mode: settings.signup_mode, defaults, unconfirmed: Vec::new() }
    }
}

/// Prints the settings, after the change if there is one, and the nodes that did not confirm it.
pub async fn run(command: SettingsCommand) -> Result<(), Error> {
    let (settings, unconfirmed, output) = match command {
        SettingsCommand::Get(args) => {
            let operator = operator(&args.access, "ctl cluster settings get").await?;
            (operator.settings().await, Vec::new(), args.output)
        }
        SettingsCommand::Set(args) => {
            let defaults = args.limits.patch()?;
            let mode = args.signup_mode.map(|mode| mode.as_str().to_owned());
            if mode.is_none() && defaults.is_none() {
                return Err(Error::Usage("name a setting to change".into()));
            }
            let operator = operator(&args.access, "ctl cluster settings set").await?;
            let unconfirmed = operator.change_settings(mode, defaults).await.map_err(refused)?;
            (operator.renewed().settings().await, unconfirmed, args.output)
        }
    };
    let shown = Shown { unconfirmed, ..Shown::from(settings.map_err(refused)?) };
    output.print(|| text(&shown), &shown)
}

fn text(shown: &Shown) -> String {
    let defaults = match in_words(&shown.defaults) {
        words if words == "default" => "no limit".to_owned(),
        words => words,
    };
    let mut text = format!("signup mode    {}\ndefault quota  {defaults}\n", shown.signup_mode);
    if !shown.unconfirmed.is_empty() {
        text.push_str(&format!("not confirmed  {}\n", shown.unconfirmed.join(", ")));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use rowhouse_proto::wire::account::UserQuota;

    #[test]
    fn settings_are_told_with_their_defaults() {
        let settings = |defaults| Shown::from(Settings { signup_mode: "open".into(), defaults });
        assert_eq!(text(&settings(None)), "signup mode    open\ndefault quota  no limit\n");
        let limited = settings(Some(UserQuota { rate_read: Some("1mb/s".into()), ..UserQuota::default() }));
        assert_eq!(text(&limited), "signup mode    open\ndefault quota  rate_read=1mb/s\n");
        let one = Shown { unconfirmed: vec!["127.0.0.1:6301".into()], ..settings(None) };
        assert!(text(&one).ends_with("\nnot confirmed  127.0.0.1:6301\n"), "{}", text(&one));
        let json = serde_json::json!({ "signup_mode": "open", "defaults": { "rate_read": "1mb/s" } });
        assert_eq!(serde_json::to_value(&limited).unwrap(), json);
    }
}
