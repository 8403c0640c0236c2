//! One user's round through a homeserver: signs up, writes, reads, lists, follows the events, deletes. For `helm test`,
//! and for anybody who wants to see once that a homeserver works. Leaves the user, without files.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use crate::bench::parse_url;
use crate::error::Error;
use crate::feed::{EventStream, StreamItem};
use crate::http1::{Connection, Response};
use crate::identity::{Session, User, session_cookie};
use crate::request::request;

const PATH: &str = "/pub/smoke.test/hello.txt";
const FOLDER: &str = "/pub/smoke.test/";
/// Of one step. A shard without a leader answers within the gateway's own limit of 30 s.
const STEP_TIMEOUT: Duration = Duration::from_secs(60);

/// Which homeserver, and how to get into it.
#[derive(clap::Args, Clone, Debug)]
pub struct SmokeOptions {
    /// Plain HTTP of a gateway.
    #[arg(long, value_name = "http://HOST:PORT")]
    pub url: String,
    /// Admin listener, which is asked for a signup token. Without it, signing up must be open to anybody.
    #[arg(long, value_name = "http://HOST:PORT", requires = "admin_password_file")]
    pub admin_url: Option<String>,
    /// File with the admin password.
    #[arg(long, value_name = "PATH", requires = "admin_url")]
    pub admin_password_file: Option<PathBuf>,
}

/// Takes all steps, and prints each as it is done. Fails with the first step that does.
pub async fn run(options: &SmokeOptions) -> Result<(), Error> {
    let token = match (&options.admin_url, &options.admin_password_file) {
        (Some(url), Some(file)) => {
            let password = std::fs::read_to_string(file)?;
            Some(step("get a signup token", signup_token(url, password.trim_end())).await?)
        }
        _ => None,
    };
    let mut client = step("connect", Client::connect(&options.url)).await?;
    step("sign up", client.sign_up(token.as_deref())).await?;
    step("follow the events", client.follow()).await?;
    step("write", client.write()).await?;
    step("read", client.read()).await?;
    step("list", client.list()).await?;
    step("delete", client.delete()).await?;
    step("hear of both changes", client.hear()).await
}

async fn step<T>(what: &str, doing: impl Future<Output = Result<T, Error>>) -> Result<T, Error> {
    let began = Instant::now();
    let done = tokio::time::timeout(STEP_TIMEOUT, doing).await;
    let done = done.unwrap_or_else(|_| Err(Error::Timeout(STEP_TIMEOUT, what.to_owned())));
    let ended = if done.is_ok() { "ok" } else { "FAILED" };
    println!("{what}: {ended} ({:.0} ms)", began.elapsed().as_secs_f64() * 1000.0);
    done
}

async fn signup_token(url: &str, password: &str) -> Result<String, Error> {
    let (address, host) = parse_url(url)?;
    let mut connection = Connection::open(address, false).await?;
    let asked = request("GET", "/generate_signup_token", &host, &[("x-admin-password", password)], b"");
    Ok(expect("a signup token", 200, connection.exchange(&asked, false).await?)?.text())
}

/// A user and its connection.
struct Client {
    connection: Connection,
    host: String,
    url: String,
    user: User,
    session: Option<Session>,
    events: Option<EventStream>,
}

impl Client {
    async fn connect(url: &str) -> Result<Self, Error> {
        let (address, host) = parse_url(url)?;
        let connection = Connection::open(address, false).await?;
        let (url, user) = (url.to_owned(), User::random());
        Ok(Self { connection, host, url, user, session: None, events: None })
    }

    async fn sign_up(&mut self, token: Option<&str>) -> Result<(), Error> {
        let query = token.map(|token| format!("?signup_token={token}")).unwrap_or_default();
        let asked = request("POST", &format!("/signup{query}"), &self.host, &[], &self.user.auth_token());
        let answer = expect("signup", 200, self.connection.exchange(&asked, false).await?)?;
        self.session = Some(session_cookie(&answer, &self.user)?);
        Ok(())
    }

    /// Opens the live stream before there is anything to tell.
    async fn follow(&mut self) -> Result<(), Error> {
        let (address, host) = parse_url(&self.url)?;
        let target = format!("/events-stream?live=true&user={}", self.user.z32);
        let asked = request("GET", &target, &host, &[], b"");
        self.events = Some(EventStream::open(address, &asked).await?);
        Ok(())
    }

    async fn write(&mut self) -> Result<(), Error> {
        self.ask("PUT", PATH, self.body().as_bytes(), 201).await.map(drop)
    }

    async fn read(&mut self) -> Result<(), Error> {
        let text = self.ask("GET", PATH, b"", 200).await?.text();
        if text == self.body() { Ok(()) } else { Err(Error::Answer(format!("read {text:?}"))) }
    }

    async fn list(&mut self) -> Result<(), Error> {
        let text = self.ask("GET", FOLDER, b"", 200).await?.text();
        let wanted = format!("pubky://{}{PATH}", self.user.z32);
        if text.trim() == wanted { Ok(()) } else { Err(Error::Answer(format!("listed {text:?}"))) }
    }

    async fn delete(&mut self) -> Result<(), Error> {
        self.ask("DELETE", PATH, b"", 204).await?;
        self.ask("GET", PATH, b"", 404).await.map(drop)
    }

    async fn hear(&mut self) -> Result<(), Error> {
        let events = self.events.as_mut().ok_or(Error::Http("no stream"))?;
        for deleted in [false, true] {
            let event = loop {
                match events.next().await? {
                    StreamItem::Event(event) => break event,
                    StreamItem::KeepAlive => {}
                    StreamItem::End => return Err(Error::Answer("the live stream ended".into())),
                }
            };
            if (event.deleted, event.path.as_str()) != (deleted, PATH) {
                return Err(Error::Answer(format!("heard {event:?}")));
            }
        }
        Ok(())
    }

    fn body(&self) -> String {
        format!("{} was here", self.user.z32)
    }

    async fn ask(&mut self, method: &str, path: &str, body: &[u8], status: u16) -> Result<Response, Error> {
        let target = format!("/storage/{}{path}", self.user.z32);
        let session = self.session.as_ref().map(|session| (session.header, session.value.as_str()));
        let asked = request(method, &target, &self.host, session.as_slice(), body);
        expect(method, status, self.connection.exchange(&asked, false).await?)
    }
}

fn expect(what: &str, status: u16, answer: Response) -> Result<Response, Error> {
    match answer.status == status {
        true => Ok(answer),
        false => Err(Error::Answer(format!("{what}: {} {}", answer.status, answer.text()))),
    }
}
