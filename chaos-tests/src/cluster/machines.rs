//! Machines that come, lose their disk, and go for good.
//!
//! A node whose disk is gone has a file where its folder was. Its parent process cannot start it from then on.

use std::fs::File;
use std::path::PathBuf;
use std::process::{Output, Stdio};
use std::time::Duration;

use tokio::process::Command;

use super::file::Kind;
use super::process::{Cluster, binary, wait_until};
use crate::error::Error;

/// For a process to end after its signal. A clean end hands leaderships over first.
const END_TIMEOUT: Duration = Duration::from_secs(60);
/// For a new node to join: it starts, and the coordinator registers it.
const JOIN_TIMEOUT: Duration = Duration::from_secs(120);
/// Above the longest pause that the parent process makes between starts of a node without a disk.
const START_TIMEOUT: Duration = Duration::from_secs(90);

impl Cluster {
    /// Names of the nodes whose machine is there, in the order they were made.
    pub fn living(&self) -> Result<Vec<String>, Error> {
        let file = self.file()?;
        let nodes = file.of_kind(Kind::Node).filter(|node| self.has_disk(&node.name));
        Ok(nodes.map(|node| node.name.clone()).collect())
    }

    /// Names of the nodes whose machine is gone.
    pub fn gone(&self) -> Result<Vec<String>, Error> {
        let file = self.file()?;
        let nodes = file.of_kind(Kind::Node).filter(|node| !self.has_disk(&node.name));
        Ok(nodes.map(|node| node.name.clone()).collect())
    }

    /// Starts one more node by the command that people use. Answers its name once it has joined.
    pub async fn add_node(&self) -> Result<String, Error> {
        let before = self.living()?;
        let mut command = Command::new(binary()?);
        command.args(["dev", "add-node", "--data-dir"]).arg(self.data_dir());
        command.arg(format!("--timeout-s={}", JOIN_TIMEOUT.as_secs()));
        let output = command.stdin(Stdio::null()).kill_on_drop(true).output().await?;
        if !output.status.success() {
            let told = String::from_utf8_lossy(&output.stderr).into_owned();
            return Err(Error::Cluster(format!("no node was added: {told}")));
        }
        let added = self.living()?.into_iter().find(|name| !before.contains(name));
        added.ok_or_else(|| Error::Cluster("the node that was added is not in cluster.json".into()))
    }

    /// Kills the node, and takes its disk with all that was on it. Returns when nothing of it runs.
    pub async fn lose(&self, name: &str) -> Result<(), Error> {
        // At once: its parent starts it again soon.
        let killed = self.kill(name);
        self.take_disk(name)?;
        killed?;
        self.wait_ended(name).await
    }

    /// Stops the node as an operator does, then takes its disk. Returns when nothing of it runs.
    pub async fn retire(&self, name: &str) -> Result<(), Error> {
        let stopped = self.terminate(name)?;
        wait_until(END_TIMEOUT, &format!("{name} to end"), async || {
            self.component(name).is_ok_and(|component| component.pid != Some(stopped))
        })
        .await?;
        self.take_disk(name)?;
        // Its parent may have been faster, and has started it once more.
        if self.component(name)?.pid.is_some() {
            self.kill(name)?;
        }
        self.wait_ended(name).await
    }

    /// Gives a node without a disk an empty one. Returns when it listens; it is another node then, of the same name.
    pub async fn give_disk(&self, name: &str) -> Result<(), Error> {
        std::fs::remove_file(self.disk_path(name))?;
        wait_until(START_TIMEOUT, &format!("{name} to run with an empty disk"), async || {
            self.component(name).is_ok_and(|component| component.pid.is_some())
                && self.answers(name).await.unwrap_or(false)
        })
        .await
    }

    /// What `rowhouse ctl status --check` finds wrong; `None`: nothing.
    pub async fn check(&self) -> Result<Option<String>, Error> {
        let output = self.ctl(&["status", "--check"]).await?;
        let told =
            || String::from_utf8_lossy(&[output.stdout.clone(), output.stderr.clone()].concat()).into_owned();
        Ok((!output.status.success()).then(told))
    }

    /// Runs `rowhouse ctl` with these arguments, and the address of a node whose machine is there.
    pub async fn ctl(&self, args: &[&str]) -> Result<Output, Error> {
        let file = self.file()?;
        let living = file.of_kind(Kind::Node).find(|node| self.has_disk(&node.name));
        let asked = living.ok_or_else(|| Error::Cluster("no node lives".into()))?;
        let mut command = Command::new(binary()?);
        command.arg("ctl").args(args).arg(format!("--node={}", asked.first_address()?));
        if let Some(certs) = &file.certs {
            command.arg(format!("--tls-ca={}", certs.join("ca.pem").display()));
            command.arg(format!("--tls-cert={}", certs.join("operator.pem").display()));
            command.arg(format!("--tls-key={}", certs.join("operator.key").display()));
        }
        Ok(command.stdin(Stdio::null()).kill_on_drop(true).output().await?)
    }

    async fn answers(&self, name: &str) -> Result<bool, Error> {
        let nodes = self.nodes()?;
        let node = nodes.iter().find(|node| node.name == name);
        Ok(match node {
            Some(node) => node.status(false).await.is_ok(),
            None => false,
        })
    }

    fn take_disk(&self, name: &str) -> Result<(), Error> {
        std::fs::rename(self.disk_path(name), self.taken_path(name))?;
        File::create(self.disk_path(name))?;
        Ok(())
    }

    /// Returns when no process of the node is left; what it had is erased then.
    async fn wait_ended(&self, name: &str) -> Result<(), Error> {
        wait_until(END_TIMEOUT, &format!("{name} to be gone"), async || {
            self.component(name).is_ok_and(|component| component.pid.is_none())
        })
        .await?;
        Ok(std::fs::remove_dir_all(self.taken_path(name))?)
    }

    fn disk_path(&self, name: &str) -> PathBuf {
        self.data_dir().join(name)
    }

    fn taken_path(&self, name: &str) -> PathBuf {
        self.data_dir().join(format!("{name}.taken"))
    }
}
