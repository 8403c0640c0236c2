//! The API server's Secrets, in memory: versions, conflicts and refusals as the real one has them.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use axum::extract::{Path, State};
use axum::http::{Method, StatusCode};
use axum::routing::{get, post};
use axum::{Json, Router};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::task::JoinSet;

const NAMESPACE: &str = "pubky";

/// Done to the stored Secrets right before a call of this method is judged, once.
pub type Interference = (Method, Box<dyn FnOnce(&mut Store) + Send>);

type OnRead = Box<dyn Fn(&mut Store) + Send>;

/// Secrets by name.
#[derive(Default)]
pub struct Store {
    pub secrets: BTreeMap<String, Value>,
    pub version: u64,
    /// Writes that were taken.
    pub writes: usize,
    /// Answered to every call of this method.
    pub refused: Option<(Method, StatusCode)>,
    /// Answered to so many calls, whatever they are.
    pub troubled: usize,
    pub interference: Option<Interference>,
    /// Done before every read.
    pub on_read: Option<OnRead>,
}

impl Store {
    /// Stores a Secret as if somebody else had written it.
    pub fn put(&mut self, name: &str, mut object: Value) {
        self.version += 1;
        object["metadata"]["name"] = json!(name);
        object["metadata"]["resourceVersion"] = json!(self.version.to_string());
        self.secrets.insert(name.to_owned(), object);
    }

    /// Stores one of these texts.
    pub fn put_texts(&mut self, name: &str, texts: &[(&str, &str)]) {
        let data: Value = texts.iter().map(|(key, text)| (*key, STANDARD.encode(text))).collect();
        self.put(name, json!({ "data": data }));
    }

    fn judge(&mut self, method: &Method) -> Result<(), Answer> {
        if self.interference.as_ref().is_some_and(|(wanted, _)| wanted == method)
            && let Some((_, act)) = self.interference.take()
        {
            act(self);
        }
        if self.troubled > 0 {
            self.troubled -= 1;
            return Err(status(StatusCode::SERVICE_UNAVAILABLE));
        }
        match &self.refused {
            Some((refused, code)) if refused == method => Err(status(*code)),
            _ => Ok(()),
        }
    }
}

type Answer = (StatusCode, Json<Value>);
type Shared = Arc<Mutex<Store>>;

/// Serves until it is dropped.
pub struct FakeApi {
    pub store: Shared,
    pub url: String,
    _serving: JoinSet<()>,
}

impl FakeApi {
    pub async fn start() -> Self {
        let store = Shared::default();
        let router = Router::new()
            .route("/api/v1/namespaces/{namespace}/secrets", post(create))
            .route("/api/v1/namespaces/{namespace}/secrets/{name}", get(read).put(replace))
            .with_state(Arc::clone(&store));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let mut serving = JoinSet::new();
        serving.spawn(async move { axum::serve(listener, router).await.unwrap() });
        Self { store, url, _serving: serving }
    }

    pub fn with<T>(&self, act: impl FnOnce(&mut Store) -> T) -> T {
        act(&mut self.store.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// The text under a key of a Secret.
    pub fn text(&self, name: &str, key: &str) -> Option<String> {
        self.with(|store| {
            let encoded = store.secrets.get(name)?["data"].get(key)?.as_str()?.to_owned();
            String::from_utf8(STANDARD.decode(encoded).unwrap()).ok()
        })
    }
}

async fn read(State(store): State<Shared>, Path((namespace, name)): Path<(String, String)>) -> Answer {
    let mut store = store.lock().unwrap();
    if let Some(act) = store.on_read.take() {
        act(&mut store);
        store.on_read = Some(act);
    }
    if let Err(answer) = store.judge(&Method::GET) {
        return answer;
    }
    match store.secrets.get(&name).filter(|_| namespace == NAMESPACE) {
        Some(secret) => (StatusCode::OK, Json(secret.clone())),
        None => status(StatusCode::NOT_FOUND),
    }
}

async fn create(
    State(store): State<Shared>,
    Path(namespace): Path<String>,
    Json(object): Json<Value>,
) -> Answer {
    let mut store = store.lock().unwrap();
    if let Err(answer) = store.judge(&Method::POST) {
        return answer;
    }
    let name = object["metadata"]["name"].as_str().unwrap_or_default().to_owned();
    if namespace != NAMESPACE {
        return status(StatusCode::NOT_FOUND);
    }
    if store.secrets.contains_key(&name) {
        return status(StatusCode::CONFLICT);
    }
    store.put(&name, object);
    store.writes += 1;
    (StatusCode::CREATED, Json(store.secrets[&name].clone()))
}

async fn replace(
    State(store): State<Shared>,
    Path((_, name)): Path<(String, String)>,
    Json(object): Json<Value>,
) -> Answer {
    let mut store = store.lock().unwrap();
    if let Err(answer) = store.judge(&Method::PUT) {
        return answer;
    }
    let Some(stored) = store.secrets.get(&name) else { return status(StatusCode::NOT_FOUND) };
    if stored["metadata"]["resourceVersion"] != object["metadata"]["resourceVersion"] {
        return status(StatusCode::CONFLICT);
    }
    store.put(&name, object);
    store.writes += 1;
    (StatusCode::OK, Json(store.secrets[&name].clone()))
}

fn status(code: StatusCode) -> Answer {
    (
        code,
        Json(json!({ "kind": "Status", "code": code.as_u16(), "message": format!("the fake says {code}") })),
    )
}
