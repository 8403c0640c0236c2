//! `rowhouse kubernetes certificates`: the cluster's own CA, and certificates in the Secrets that pods mount.
//!
//! Runs may overlap. A Secret is only replaced as it was read, and the CA's Secret is read once more after the others:
//! a run that decided by an older CA writes nothing, or makes the run with the newer one read again.

use std::collections::BTreeSet;
use std::time::{Duration, SystemTime};

use rowhouse_peer::Role;

use super::access::{ApiArgs, object_name};
use super::api::Api;
use super::api_error::ApiError;
use super::authority::Cas;
use super::identities::{Change, Validity, Wanted, change, has_certificates};
use super::retry::until_done;
use super::secret::Secret;
use crate::error::Error;

const DAY: Duration = Duration::from_secs(24 * 3600);
/// A CA is replaced when it has less than twice this left, which must be well within its own validity.
const DAYS_MAX: i64 = 1_000;
/// The name of the CA's own file.
const RESERVED: &str = "ca";

/// Flags of `rowhouse kubernetes certificates`.
#[derive(clap::Args, Clone, Debug)]
pub struct CertificatesArgs {
    #[command(flatten)]
    pub api: ApiArgs,
    /// Name of the cluster: certificates of another one are refused.
    #[arg(long, value_name = "NAME")]
    pub cluster: String,
    /// Secret of the CA: `ca.pem` and `ca.key`. No pod of the cluster mounts it.
    #[arg(long, value_name = "NAME", value_parser = object_name)]
    pub ca_secret: String,
    /// Secret with `ca.pem`, and NAME.pem and NAME.key of each node. Omitted: it is not ours.
    #[arg(long, value_name = "NAME", value_parser = object_name)]
    pub node_secret: Option<String>,
    /// The same of gateways.
    #[arg(long, value_name = "NAME", value_parser = object_name)]
    pub gateway_secret: Option<String>,
    /// The same of operators.
    #[arg(long, value_name = "NAME", value_parser = object_name)]
    pub ctl_secret: Option<String>,
    /// Names of nodes, separated by commas.
    #[arg(long = "node", value_name = "NAME", value_delimiter = ',')]
    pub nodes: Vec<String>,
    /// Names of gateways, separated by commas.
    #[arg(long = "gateway", value_name = "NAME", value_delimiter = ',')]
    pub gateways: Vec<String>,
    /// Names of operators, separated by commas.
    #[arg(long = "ctl", value_name = "NAME", value_delimiter = ',')]
    pub ctls: Vec<String>,
    /// How long certificates are valid. The CA is for ten years, and is replaced when less than twice this is left of
    /// it, in three steps of successive runs, if all three other Secrets are ours.
    #[arg(long, default_value_t = 365, value_parser = clap::value_parser!(u32).range(1..=DAYS_MAX))]
    pub days: u32,
    /// A certificate with less left is renewed.
    #[arg(long, default_value_t = 30, value_parser = clap::value_parser!(u32).range(1..))]
    pub renew_before_days: u32,
}

impl CertificatesArgs {
    fn wanted(&self) -> Vec<Wanted<'_>> {
        let all = [
            (&self.node_secret, Role::Node, &self.nodes),
            (&self.gateway_secret, Role::Gateway, &self.gateways),
            (&self.ctl_secret, Role::Ctl, &self.ctls),
        ];
        let ours =
            all.into_iter().filter_map(|(secret, role, names)| Some((secret.as_deref()?, role, names)));
        ours.map(|(secret, role, names)| Wanted { secret, role, names }).collect()
    }

    fn validity(&self) -> Validity {
        Validity { days: self.days, renew_before: DAY * self.renew_before_days }
    }

    fn check(&self) -> Result<(), Error> {
        let refuse = |text: String| Err(Error::Usage(text));
        if self.renew_before_days >= self.days {
            return refuse(
                "--renew-before-days must be less than --days: every run would renew everything".into(),
            );
        }
        let mut secrets = BTreeSet::from([self.ca_secret.as_str()]);
        for Wanted { secret, role, names } in self.wanted() {
            if !secrets.insert(secret) {
                return refuse(format!(
                    "Secret {secret} is named twice: who mounts one must not see another's keys"
                ));
            }
            if names.is_empty() {
                return refuse(format!("Secret {secret}: name at least one --{role}"));
            }
            let mut seen = BTreeSet::from([RESERVED]);
            if let Some(twice) = names.iter().find(|name| !seen.insert(name)) {
                return refuse(format!("--{role}: two certificates would be called {twice}"));
            }
        }
        Ok(())
    }
}

/// Makes and renews what must be, and returns lines that say what was done.
///
/// Fails if a Secret holds something else than it should, or if certificates are left without their CA.
pub async fn run(args: &CertificatesArgs) -> Result<String, Error> {
    args.check()?;
    let api = args.api.api()?;
    until_done(async || keep(&api, args, SystemTime::now()).await).await
}

/// One attempt, with `now` for the time.
pub async fn keep(api: &Api, args: &CertificatesArgs, now: SystemTime) -> Result<String, ApiError> {
    let wanted = args.wanted();
    let (mut cas, mut said) = authority(api, args, &wanted, now).await?;
    let mut changes = changes(api, args, &wanted, &cas, now).await?;
    if cas.is_stepping() && changes.iter().any(|change| change.was_behind) {
        cas.wait_anew(now);
        cas = saved(api, &cas, args).await?;
    } else if let Some(step) = step(args, &mut cas, now)? {
        cas = saved(api, &cas, args).await?;
        said.push(format!("Secret {} changed: {step}", args.ca_secret));
        changes = self::changes(api, args, &wanted, &cas, now).await?;
    }
    confirm(api, &cas).await?;
    for Change { secret, said: line, .. } in changes {
        api.save(&secret).await?;
        said.push(line);
    }
    if said.is_empty() {
        said.push("all certificates are as they should be".to_owned());
    }
    Ok(said.join("\n"))
}

/// A CA whose certificates are in Secrets of others cannot be replaced here: those would be refused at the last step.
fn step(args: &CertificatesArgs, cas: &mut Cas, now: SystemTime) -> Result<Option<&'static str>, ApiError> {
    if [&args.node_secret, &args.gateway_secret, &args.ctl_secret].contains(&&None) {
        return Ok(None);
    }
    cas.step(DAY * args.days * 2, now)
}

/// The CA of the Secret, or a new one where nothing was made with an older one.
async fn authority(
    api: &Api,
    args: &CertificatesArgs,
    wanted: &[Wanted<'_>],
    now: SystemTime,
) -> Result<(Cas, Vec<String>), ApiError> {
    if let Some(secret) = api.get(&args.ca_secret).await? {
        return Ok((Cas::read(secret, &args.cluster)?, Vec::new()));
    }
    for Wanted { secret, .. } in wanted {
        if api.get(secret).await?.is_some_and(|found| has_certificates(&found)) {
            return Err(ApiError::Refused(format!(
                "Secret {} is gone, and {secret} has certificates of its CA. Bring it back; or delete the Secrets with \
                 certificates too, and stop all nodes and gateways before they start again with new ones",
                args.ca_secret
            )));
        }
    }
    let cas = Cas::create(&args.ca_secret, &args.cluster, now)?;
    Ok((saved(api, &cas, args).await?, vec![format!("Secret {} made", args.ca_secret)]))
}

async fn saved(api: &Api, cas: &Cas, args: &CertificatesArgs) -> Result<Cas, ApiError> {
    Cas::read(api.save(cas.secret()).await?, &args.cluster)
}

async fn changes(
    api: &Api,
    args: &CertificatesArgs,
    wanted: &[Wanted<'_>],
    cas: &Cas,
    now: SystemTime,
) -> Result<Vec<Change>, ApiError> {
    let mut changes = Vec::new();
    for one in wanted {
        let found: Option<Secret> = api.get(one.secret).await?;
        changes.extend(change(one, found, cas, args.validity(), now)?);
    }
    Ok(changes)
}

/// Fails if the CA's Secret has changed since it was read.
async fn confirm(api: &Api, cas: &Cas) -> Result<(), ApiError> {
    let ours = cas.secret();
    match api.get(ours.name()).await? {
        Some(now) if now.resource_version() == ours.resource_version() => Ok(()),
        _ => Err(ApiError::Conflict(format!("Secret {}", ours.name()))),
    }
}
