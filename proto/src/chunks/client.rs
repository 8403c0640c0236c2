//! Calls of the chunk service of one node.

use futures::{Stream, stream};
use http::header::{CONTENT_TYPE, TE};
use http::{HeaderValue, Method, Request, Response, Uri, Version};
use tonic::Status;
use tonic::body::Body;
use tonic::metadata::GRPC_CONTENT_TYPE;
use tower::{Service, ServiceExt};

use super::encode::request;
use super::{FETCH, Laden, Messages, Parcel, STAGE};
use crate::calls::Calls;
use crate::wire::chunk::{FetchReply, FetchRequest, StageReply, StageRequest};

/// A client of the chunk service, over a connection to one node.
#[derive(Clone)]
pub struct Client<S = Calls>(S);

impl<S> Client<S>
where
    S: Service<Request<Body>, Response = Response<Body>>,
    S::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    /// A client over this connection.
    pub fn new(node: S) -> Self {
        Self(node)
    }

    /// Sends chunks of an upload as they come. The node answers each once it is on disk.
    ///
    /// The outer error means that the call did not begin.
    pub async fn stage(
        &mut self,
        chunks: impl Stream<Item = Parcel<StageRequest>> + Send + 'static,
    ) -> Result<Messages<StageReply>, Status> {
        self.call(STAGE, chunks).await
    }

    /// Asks for chunks of an object, which come in order.
    pub async fn fetch(&mut self, asked: FetchRequest) -> Result<Messages<FetchReply>, Status> {
        self.call(FETCH, stream::iter([Parcel::from(asked)])).await
    }

    async fn call<M: Laden + 'static, R: Laden>(
        &mut self,
        path: &'static str,
        parcels: impl Stream<Item = Parcel<M>> + Send + 'static,
    ) -> Result<Messages<R>, Status> {
        let mut request = Request::new(request(parcels));
        *request.method_mut() = Method::POST;
        *request.uri_mut() = Uri::from_static(path);
        *request.version_mut() = Version::HTTP_2;
        request.headers_mut().insert(TE, HeaderValue::from_static("trailers"));
        request.headers_mut().insert(CONTENT_TYPE, GRPC_CONTENT_TYPE);
        let failed = |error: S::Error| Status::from_error(error.into());
        let response = self.0.ready().await.map_err(failed)?.call(request).await.map_err(failed)?;
        Messages::of_response(response)
    }
}
