//! One component's process: started, watched, stopped, killed.
//!
//! Its output goes to a file in its data folder. It is in a process group of its own: Ctrl-C reaches the parent alone,
//! and the parent decides the order. It dies with the parent.

use std::convert::Infallible;
use std::fs::{File, OpenOptions};
use std::io;
use std::path::Path;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tokio::process::{Child as Process, Command};

use super::plan::Component;
use crate::error::Error;

/// An output file larger than this is set aside; one old one is kept.
const OUTPUT_BYTES_MAX: u64 = 32 * 1024 * 1024;
/// How often its size is looked at.
const OUTPUT_LOOK_EVERY: Duration = Duration::from_secs(10);
/// After SIGKILL only the kernel's own work is left.
const KILLED_MAX: Duration = Duration::from_secs(10);

/// A started process. Dropping it kills the process.
pub struct Child {
    /// Its process id, which is also that of its process group.
    pub pid: u32,
    process: Process,
}

impl Child {
    /// Starts the component's command; its output goes to its log file. Fails if either cannot be opened.
    pub fn spawn(component: &Component) -> Result<Self, Error> {
        std::fs::create_dir_all(&component.data_dir).map_err(Error::io(&component.data_dir))?;
        let output = open_output(component).map_err(Error::io(&component.log_file()))?;
        let errors = output.try_clone().map_err(Error::io(&component.log_file()))?;
        let program = std::env::current_exe().map_err(Error::failed("find this program's file"))?;
        let process = Command::new(program)
            .args(&component.command)
            .arg(format!("--die-with-parent={}", std::process::id()))
            .stdin(Stdio::null())
            .stdout(output)
            .stderr(errors)
            .process_group(0)
            .kill_on_drop(true)
            .spawn()
            .map_err(Error::failed("start a component"))?;
        let pid = process.id().ok_or_else(|| Error::Failed(format!("{} ended at once", component.name)))?;
        Ok(Self { pid, process })
    }

    /// Sets the output aside, whenever there is too much of it, while the process writes it.
    pub async fn keep_output_short(component: &Component) -> Infallible {
        loop {
            tokio::time::sleep(OUTPUT_LOOK_EVERY).await;
            if let Err(error) = set_aside(&component.log_file(), OUTPUT_BYTES_MAX) {
                tracing::warn!(%error, component = component.name, "its output was not set aside");
            }
        }
    }

    /// Resolves when the process has ended.
    pub async fn ended(&mut self) -> io::Result<ExitStatus> {
        self.process.wait().await
    }

    /// SIGTERM, then SIGKILL when the grace is over.
    pub async fn stop(mut self, grace: Duration) -> io::Result<()> {
        // An error means that it has ended already.
        let _ended = kill(Pid::from_raw(self.pid.cast_signed()), Signal::SIGTERM);
        if tokio::time::timeout(grace, self.process.wait()).await.is_err() {
            self.process.start_kill()?;
            tokio::time::timeout(KILLED_MAX, self.process.wait()).await.map_err(io::Error::other)??;
        }
        Ok(())
    }
}

fn open_output(component: &Component) -> io::Result<File> {
    let path = component.log_file();
    set_aside(&path, OUTPUT_BYTES_MAX)?;
    OpenOptions::new().create(true).append(true).open(path)
}

/// By copying: a process has the file open, and appends to whatever is left of it. Lines it writes at this very
/// moment may be lost.
fn set_aside(path: &Path, bytes_max: u64) -> io::Result<()> {
    if std::fs::metadata(path).is_ok_and(|file| file.len() > bytes_max) {
        std::fs::copy(path, path.with_extension("log.old"))?;
        OpenOptions::new().write(true).truncate(true).open(path)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    #[test]
    fn output_is_set_aside_while_it_is_written() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("output.log");
        set_aside(&path, 4).unwrap();
        let mut writer = OpenOptions::new().create(true).append(true).open(&path).unwrap();
        let read = |name: &str| std::fs::read_to_string(dir.path().join(name)).unwrap_or_default();
        for (line, kept, old) in [("1234", "1234", ""), ("5", "", "12345"), ("6", "6", "12345")] {
            writer.write_all(line.as_bytes()).unwrap();
            set_aside(&path, 4).unwrap();
            assert_eq!((read("output.log").as_str(), read("output.log.old").as_str()), (kept, old), "{line}");
        }
    }
}
