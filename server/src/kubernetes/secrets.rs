//! `rowhouse kubernetes secrets`: the homeserver's key and the admin password, made once and never overwritten.
//!
//! The key is the homeserver: who loses it loses the homeserver's name for good. So nothing here replaces a Secret.

use pkarr::Keypair;

use super::access::{ApiArgs, object_name};
use super::api::Api;
use super::api_error::ApiError;
use super::retry::until_done;
use super::secret::Secret;
use crate::error::Error;
use crate::secret;

const HOMESERVER_KEY: &str = "homeserver.secret";
const PASSWORD_KEY: &str = "admin.password";

/// Flags of `rowhouse kubernetes secrets`.
#[derive(clap::Args, Clone, Debug)]
pub struct SecretsArgs {
    #[command(flatten)]
    pub api: ApiArgs,
    /// Secret with the homeserver's key under `homeserver.secret`: 64 hexadecimal digits. Omitted: it is not ours.
    #[arg(long, value_name = "NAME", value_parser = object_name)]
    pub homeserver_secret: Option<String>,
    /// Secret with the password of the admin listener under `admin.password`. Omitted: it is not ours.
    #[arg(long, value_name = "NAME", value_parser = object_name)]
    pub admin_secret: Option<String>,
}

/// Makes what is missing, and returns lines for people; the last one has the homeserver's public key.
///
/// Fails, without a change, if a Secret is there that does not hold what it should.
pub async fn run(args: &SecretsArgs) -> Result<String, Error> {
    if args.homeserver_secret.is_none() && args.admin_secret.is_none() {
        return Err(Error::Usage("name --homeserver-secret, --admin-secret, or both".into()));
    }
    if args.homeserver_secret == args.admin_secret {
        return Err(Error::Usage(
            "the key and the password need a Secret each: who gets one must not get both".into(),
        ));
    }
    let api = args.api.api()?;
    until_done(async || make(&api, args).await).await
}

/// What one of the Secrets holds.
struct Kept<'a> {
    name: &'a str,
    key: &'static str,
    fits: fn(&str) -> bool,
}

async fn make(api: &Api, args: &SecretsArgs) -> Result<String, ApiError> {
    let password =
        args.admin_secret.as_deref().map(|name| Kept { name, key: PASSWORD_KEY, fits: is_password });
    let homeserver =
        args.homeserver_secret.as_deref().map(|name| Kept { name, key: HOMESERVER_KEY, fits: is_key });
    // Both are read before the first is made: what is malformed leaves nothing half done.
    let mut found = Vec::new();
    for kept in password.into_iter().chain(homeserver) {
        let text = kept.read(api).await?;
        found.push((kept, text));
    }
    let mut said = Vec::new();
    for (kept, text) in found {
        let (text, line) = match text {
            Some(text) => (text, format!("Secret {} is there already", kept.name)),
            None => (kept.make(api).await?, format!("Secret {} made", kept.name)),
        };
        said.push(line);
        if kept.key == HOMESERVER_KEY {
            said.extend(public_key(&text).map(|z32| format!("homeserver {z32}")));
        }
    }
    Ok(said.join("\n"))
}

impl Kept<'_> {
    /// The text, `None` without the Secret. Refused if the Secret is there without a text that fits.
    async fn read(&self, api: &Api) -> Result<Option<String>, ApiError> {
        let Some(secret) = api.get(self.name).await? else { return Ok(None) };
        let text = secret.text(self.key)?.filter(|text| (self.fits)(text));
        text.map(Some).ok_or_else(|| {
            let Self { name, key, .. } = self;
            ApiError::Refused(format!(
                "Secret {name} is there, and its {key} is missing or malformed. Nothing is overwritten: mend it, or \
                 name another Secret"
            ))
        })
    }

    async fn make(&self, api: &Api) -> Result<String, ApiError> {
        let text = secret::random().map(hex::encode).map_err(|error| ApiError::Refused(error.to_string()))?;
        let mut made = Secret::new(self.name);
        made.set(self.key, &text);
        api.save(&made).await?;
        Ok(text)
    }
}

/// The public key of a key's text, as `rowhouse node` reads it.
fn public_key(text: &str) -> Option<String> {
    let mut secret = [0; 32];
    hex::decode_to_slice(text.trim(), &mut secret).ok()?;
    Some(Keypair::from_secret_key(&secret).public_key().to_z32())
}

fn is_key(text: &str) -> bool {
    public_key(text).is_some()
}

/// One line that is not empty, as `rowhouse gateway` reads it.
fn is_password(text: &str) -> bool {
    let line = text.trim_end_matches(['\r', '\n']);
    !line.is_empty() && !line.contains('\n')
}
