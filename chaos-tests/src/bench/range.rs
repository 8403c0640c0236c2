//! One byte of a large file, at a random place, as players and readers of archives ask for a few.

use super::target::{Member, Target};
use crate::error::Error;
use crate::request::request;

impl Target {
    /// The file that bytes are read of. One is enough: nothing about reading it depends on its owner.
    pub async fn fill_large(&self, size: usize) -> Result<(), Error> {
        let Some(member) = self.members.first() else { return Ok(()) };
        let body: Vec<u8> = (0..size).map(|at| (at % 251) as u8).collect();
        self.send_all(vec![self.put(member, &large_path(size), &body)]).await
    }
}

/// Asks for the byte at `position` of the file of this size.
pub(super) fn byte_request(host: &str, member: &Member, size: usize, position: usize) -> Vec<u8> {
    let url = format!("/storage/{}{}", member.z32, large_path(size));
    request("GET", &url, host, &[("range", &format!("bytes={position}-{position}"))], b"")
}

fn large_path(size: usize) -> String {
    format!("/pub/bench/large/{size}")
}
