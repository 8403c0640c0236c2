//! The three calls to the API server: read a Secret, create one, replace one that nobody changed meanwhile.

use std::sync::Arc;
use std::time::Duration;

use axum::http::StatusCode;
use reqwest::{Method, RequestBuilder};
use rustls::crypto::ring;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::{ClientConfig, RootCertStore};
use serde_json::Value;

use super::api_error::ApiError;
use super::secret::Secret;
use crate::error::Error;

/// The API server answers within milliseconds unless it is in trouble.
const CALL_TIMEOUT: Duration = Duration::from_secs(10);
/// Kubernetes keeps at most 1 MiB of data in a Secret, which is a third longer in base64.
const ANSWER_BYTES_MAX: usize = 4 << 20;

/// A client of the Secrets of one namespace.
pub struct Api {
    client: reqwest::Client,
    base: String,
    namespace: String,
    token: Option<String>,
}

impl Api {
    /// Without TLS and without a token.
    pub fn plain(base: String, namespace: String) -> Result<Self, Error> {
        Self::new(reqwest::Client::builder(), base, namespace, None)
    }

    /// Trusts these CAs (PEM) alone, and shows the token.
    pub fn secured(base: String, namespace: String, token: &str, authorities: &[u8]) -> Result<Self, Error> {
        let mut roots = RootCertStore::empty();
        for authority in CertificateDer::pem_slice_iter(authorities) {
            let authority = authority.map_err(|error| Error::Usage(format!("ca.crt is not PEM: {error}")))?;
            roots.add(authority).map_err(|error| Error::Usage(format!("ca.crt: {error}")))?;
        }
        let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .map_err(|error| Error::Failed(error.to_string()))?
            .with_root_certificates(roots)
            .with_no_client_auth();
        let builder = reqwest::Client::builder().tls_backend_preconfigured(config);
        Self::new(builder, base, namespace, Some(token.to_owned()))
    }

    fn new(
        builder: reqwest::ClientBuilder,
        base: String,
        namespace: String,
        token: Option<String>,
    ) -> Result<Self, Error> {
        let builder = builder.timeout(CALL_TIMEOUT).no_proxy().redirect(reqwest::redirect::Policy::none());
        let client = builder.build().map_err(|error| Error::Failed(format!("no HTTP client: {error}")))?;
        Ok(Self { client, base, namespace, token })
    }

    /// The Secret as it is now; `None` if there is none of this name.
    pub async fn get(&self, name: &str) -> Result<Option<Secret>, ApiError> {
        let (status, body) = self.call(Method::GET, &format!("/{name}"), None).await?;
        match status {
            StatusCode::OK => Ok(Some(Secret::from_object(body))),
            StatusCode::NOT_FOUND => Ok(None),
            _ => Err(self.refused("read", name, status, &body)),
        }
    }

    /// Creates the Secret if it is a new one, or replaces the one it was read from. A [`ApiError::Conflict`] says that
    /// nothing was done because somebody else was faster.
    pub async fn save(&self, secret: &Secret) -> Result<Secret, ApiError> {
        let name = secret.name();
        let (what, method, path) = match secret.is_new() {
            true => ("create", Method::POST, String::new()),
            false => ("replace", Method::PUT, format!("/{name}")),
        };
        let (status, body) = self.call(method, &path, Some(secret.object())).await?;
        match status {
            StatusCode::OK | StatusCode::CREATED => Ok(Secret::from_object(body)),
            StatusCode::CONFLICT => Err(ApiError::Conflict(format!("Secret {name}"))),
            StatusCode::NOT_FOUND if !secret.is_new() => Err(ApiError::Conflict(format!("Secret {name}"))),
            _ => Err(self.refused(what, name, status, &body)),
        }
    }

    async fn call(
        &self,
        method: Method,
        path: &str,
        body: Option<&Value>,
    ) -> Result<(StatusCode, Value), ApiError> {
        let url = format!("{}/api/v1/namespaces/{}/secrets{path}", self.base, self.namespace);
        let mut request: RequestBuilder = self.client.request(method, url);
        if let Some(token) = &self.token {
            request = request.bearer_auth(token);
        }
        if let Some(body) = body {
            request = request.json(body);
        }
        let mut answer = request.send().await.map_err(unreachable)?;
        let status = answer.status();
        let mut bytes = Vec::new();
        while let Some(chunk) = answer.chunk().await.map_err(unreachable)? {
            bytes.extend_from_slice(&chunk);
            if bytes.len() > ANSWER_BYTES_MAX {
                return Err(ApiError::Refused("the API server's answer is far too long".into()));
            }
        }
        if status == StatusCode::TOO_MANY_REQUESTS || status.is_server_error() {
            return Err(ApiError::Unreachable(format!("{status}: {}", message(&bytes))));
        }
        let value = serde_json::from_slice(&bytes).unwrap_or(Value::Null);
        match status.is_success() && !value.is_object() {
            true => Err(ApiError::Unreachable(format!("{status} without an object"))),
            false => Ok((status, value)),
        }
    }

    fn refused(&self, what: &str, name: &str, status: StatusCode, body: &Value) -> ApiError {
        let told = body.get("message").and_then(Value::as_str).unwrap_or_default();
        let (namespace, base) = (&self.namespace, &self.base);
        ApiError::Refused(match status {
            StatusCode::UNAUTHORIZED => format!("{base} does not know the service account's token: {told}"),
            StatusCode::FORBIDDEN => format!(
                "the service account may not {what} Secret {namespace}/{name}; its Role must allow it: {told}"
            ),
            StatusCode::NOT_FOUND => format!("there is no namespace {namespace}: {told}"),
            _ => format!("cannot {what} Secret {namespace}/{name}: {status} {told}"),
        })
    }
}

fn unreachable(error: reqwest::Error) -> ApiError {
    // The reason stands in the sources: "error sending request" alone helps nobody.
    let mut text = error.to_string();
    let mut source = std::error::Error::source(&error);
    while let Some(deeper) = source {
        text = format!("{text}: {deeper}");
        source = deeper.source();
    }
    ApiError::Unreachable(text)
}

fn message(bytes: &[u8]) -> String {
    let value: Value = serde_json::from_slice(bytes).unwrap_or(Value::Null);
    value.get("message").and_then(Value::as_str).unwrap_or_default().to_owned()
}
