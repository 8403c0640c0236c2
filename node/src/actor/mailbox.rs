//! Bounded mailbox with two lanes: control overtakes data, and a full lane is refused at once instead
//! of waited for, so that no caller hangs on a busy actor.

use tokio::sync::mpsc;

/// Control messages are few (stop, reconfigure); a full lane means the actor is stuck.
const CONTROL_CAPACITY: usize = 16;

/// The lane is full or the actor is gone: the message comes back.
#[derive(Debug, PartialEq, Eq)]
pub struct Full<T>(pub T);

/// Where messages are put; cheap to clone, wrapped in the actor's handle.
#[derive(Debug)]
pub struct Post<T> {
    control: mpsc::Sender<T>,
    data: mpsc::Sender<T>,
}

impl<T> Clone for Post<T> {
    fn clone(&self) -> Self {
        Self { control: self.control.clone(), data: self.data.clone() }
    }
}

impl<T> Post<T> {
    pub fn control(&self, message: T) -> Result<(), Full<T>> {
        self.control.try_send(message).map_err(|error| Full(error.into_inner()))
    }

    pub fn data(&self, message: T) -> Result<(), Full<T>> {
        self.data.try_send(message).map_err(|error| Full(error.into_inner()))
    }
}

/// The actor's end.
#[derive(Debug)]
pub struct Mailbox<T> {
    control: mpsc::Receiver<T>,
    data: mpsc::Receiver<T>,
}

impl<T> Mailbox<T> {
    /// The next message, control first; `None` when every `Post` is gone.
    pub async fn next(&mut self) -> Option<T> {
        tokio::select! {
            biased;
            Some(message) = self.control.recv() => Some(message),
            Some(message) = self.data.recv() => Some(message),
            else => None,
        }
    }
}

/// A mailbox holding at most `capacity` data messages.
pub fn mailbox<T>(capacity: usize) -> (Post<T>, Mailbox<T>) {
    let (control, control_inbox) = mpsc::channel(CONTROL_CAPACITY);
    let (data, data_inbox) = mpsc::channel(capacity);
    (Post { control, data }, Mailbox { control: control_inbox, data: data_inbox })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn control_overtakes_data() {
        let (post, mut mailbox) = mailbox(4);
        post.data("data").expect("room");
        post.control("control").expect("room");
        assert_eq!(mailbox.next().await, Some("control"));
        assert_eq!(mailbox.next().await, Some("data"));
        drop(post);
        assert_eq!(mailbox.next().await, None);
    }

    #[tokio::test]
    async fn a_full_lane_gives_the_message_back() {
        let (post, _mailbox) = mailbox(1);
        assert_eq!(post.data(1), Ok(()));
        assert_eq!(post.data(2), Err(Full(2)));
        assert_eq!(post.control(3), Ok(()));
    }
}
