//! `rowhouse kubernetes …`: what the Helm chart's Jobs run. They keep what a cluster needs in Secrets, through the
//! API server, with the rights of their service account. Deliberately absent: any other kind of object.

mod access;
mod api;
mod api_error;
mod authority;
mod certificates;
mod identities;
mod retry;
mod secret;
mod secrets;

#[cfg(test)]
mod tests;

use clap::Subcommand;

use crate::error::Error;

/// The commands below `rowhouse kubernetes`.
#[derive(Subcommand, Debug)]
pub enum KubernetesCommand {
    /// Make the homeserver's key and the admin password, each where its Secret is missing. Nothing is overwritten.
    Secrets(secrets::SecretsArgs),
    /// Make a CA and certificates, renew what expires soon, add names. Doing it again changes nothing.
    Certificates(certificates::CertificatesArgs),
}

/// Does it, and says on standard output what was done.
pub async fn run(command: KubernetesCommand) -> Result<(), Error> {
    let said = match command {
        KubernetesCommand::Secrets(args) => secrets::run(&args).await?,
        KubernetesCommand::Certificates(args) => certificates::run(&args).await?,
    };
    println!("{said}");
    Ok(())
}
