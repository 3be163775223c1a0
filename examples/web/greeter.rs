//! Stands in for code generated from a .proto file: a method that takes and returns text.

use std::convert::Infallible;
use std::future::{Future, ready};
use std::pin::Pin;
use std::task::{Context, Poll};

use axum::http;
use bytes::{Buf as _, BufMut as _};
use tonic::Status;
use tonic::body::Body;
use tonic::codec::{Codec, DecodeBuf, Decoder, EncodeBuf, Encoder};
use tonic::codegen::Service;
use tonic::server::NamedService;

pub(crate) const MEMBERS: bool = false;
pub(crate) const ADMINS: bool = true;

/// One of two services with the method `Greet`.
#[derive(Clone)]
pub(crate) struct Greeter<const FOR: bool>;

impl NamedService for Greeter<MEMBERS> {
    const NAME: &'static str = "example.Members";
}

impl NamedService for Greeter<ADMINS> {
    const NAME: &'static str = "example.Admins";
}

impl<const FOR: bool> Service<http::Request<Body>> for Greeter<FOR> {
    type Response = http::Response<Body>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Infallible>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: http::Request<Body>) -> Self::Future {
        let handler = tower::service_fn(|request| ready(super::greeting(&request)));
        Box::pin(async move {
            if !request.uri().path().ends_with("/Greet") {
                return Ok(Status::unimplemented("no such method").into_http());
            }
            let mut server = tonic::server::Grpc::new(Text);
            Ok(server.unary(handler, request).await)
        })
    }
}

/// Codec of messages that are text.
pub(crate) struct Text;

impl Codec for Text {
    type Encode = String;
    type Decode = String;
    type Encoder = Self;
    type Decoder = Self;

    fn encoder(&mut self) -> Self {
        Self
    }

    fn decoder(&mut self) -> Self {
        Self
    }
}

impl Encoder for Text {
    type Item = String;
    type Error = Status;

    fn encode(&mut self, text: String, buffer: &mut EncodeBuf<'_>) -> Result<(), Status> {
        buffer.put_slice(text.as_bytes());
        Ok(())
    }
}

impl Decoder for Text {
    type Item = String;
    type Error = Status;

    fn decode(&mut self, buffer: &mut DecodeBuf<'_>) -> Result<Option<String>, Status> {
        let bytes = buffer.copy_to_bytes(buffer.remaining());
        let text = String::from_utf8(bytes.into());
        let text = text.map_err(|_| Status::invalid_argument("not UTF-8"))?;
        Ok(Some(text))
    }
}
