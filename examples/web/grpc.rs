//! Tokens for gRPC with tonic: the layer answers in the form of gRPC, and handlers find the caller
//! in the extensions of the request. A guard around each service decides which callers it admits.
//!
//! ```text
//! cargo run --example grpc            # calls itself and prints the results
//! cargo run --example grpc -- serve   # keeps serving and prints an address and a token
//! ```
//!
//! Try it with curl 7.50 or newer and the printed address and token. The five bytes are the head of
//! an empty message:
//!
//! ```text
//! curl -si --http2-prior-knowledge -X POST -H 'Content-Type: application/grpc' $ADDRESS/example.Members/Greet   # 200, grpc-status: 16
//! curl -si --http2-prior-knowledge -X POST -H 'Content-Type: application/grpc' -H "Authorization: Bearer $TOKEN" $ADDRESS/example.Admins/Greet   # 200, grpc-status: 7
//! printf '\0\0\0\0\0' | curl -si --http2-prior-knowledge --data-binary @- --output - -H 'Content-Type: application/grpc' -H "Authorization: Bearer $TOKEN" $ADDRESS/example.Members/Greet   # 200, grpc-status: 0
//! ```

mod greeter;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use statewise::revocation::{MemoryLog, RevocationView};
use statewise::token::{Key, TokenAuthenticator};
use statewise::web::{Auth, AuthLayer, Require, Transport};
use statewise::{Authenticator, DynAuthenticator, Login};
use tokio::net::TcpListener;
use tonic::service::LayerExt as _;
use tonic::transport::server::{Server, TcpIncoming};
use tonic::transport::{Channel, Endpoint};
use tonic::{Request, Response, Status};

use greeter::{ADMINS, Greeter, MEMBERS, Text};

pub(crate) type Failure = Box<dyn std::error::Error + Send + Sync>;

#[tokio::main]
async fn main() -> Result<(), Failure> {
    const HOUR: Duration = Duration::from_secs(3600);
    let view = RevocationView::builder(MemoryLog::new()?)
        .max_lifetime(HOUR)
        .build()?;
    let auth = TokenAuthenticator::builder(Key::generate_hs256()?)
        .issuer("auth.example")
        .audience("grpc.example")
        .lifetime(HOUR)
        .revocations(&view)
        .build()?;
    view.follow().await?;
    tokio::spawn(view.upkeep().run(tokio::time::sleep));
    let auth = Arc::new(auth);

    let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
    let address = listener.local_addr()?;
    let server = tokio::spawn(serve(listener, auth.clone()));

    let alice = auth.issue(Login::new("alice").role("admin")).await?;
    let bob = auth.issue(Login::new("bob")).await?;
    let (alice, bob) = (alice.credential().reveal(), bob.credential().reveal());
    if std::env::args().nth(1).as_deref() == Some("serve") {
        println!("ADDRESS=http://{address}\nTOKEN={bob}");
        return server.await?;
    }
    let client = connect(address).await?;
    let say = async |caller: &str, service: &str, token: Option<&str>| match greet(
        &client, service, token,
    )
    .await
    {
        Ok(greeting) => println!("{caller}: {greeting}"),
        Err(status) => println!("{caller}: {:?} ({})", status.code(), status.code() as i32),
    };
    say("no credential", "Members", None).await;
    say("alice", "Members", Some(alice)).await;
    say("alice, an admin", "Admins", Some(alice)).await;
    say("bob, not an admin", "Admins", Some(bob)).await;
    let _ = auth.revoke(bob).await?;
    say("bob, logged out", "Members", Some(bob)).await;
    Ok(())
}

/// Serves two services, each behind a guard, with any authenticator.
pub(crate) async fn serve(
    listener: TcpListener,
    auth: Arc<dyn DynAuthenticator<()>>,
) -> Result<(), Failure> {
    let members = Require::authenticated().named_layer(Greeter::<MEMBERS>);
    let admins = Require::authenticated()
        .role("admin")
        .named_layer(Greeter::<ADMINS>);
    Server::builder()
        .layer(AuthLayer::new(auth, Transport::bearer())?)
        .add_service(members)
        .add_service(admins)
        .serve_with_incoming(TcpIncoming::from(listener))
        .await?;
    Ok(())
}

/// Handler of `Greet`.
fn greeting(request: &Request<String>) -> Result<Response<String>, Status> {
    let Some(caller) = request.extensions().get::<Auth>() else {
        return Err(Status::internal(
            "no caller: put a `Require` guard around this service",
        ));
    };
    let (user, greeting) = (caller.subject(), request.get_ref());
    Ok(Response::new(format!("{greeting}, {user}")))
}

pub(crate) async fn connect(address: SocketAddr) -> Result<Channel, Failure> {
    let endpoint = Endpoint::from_shared(format!("http://{address}"))?;
    Ok(endpoint.connect().await?)
}

pub(crate) async fn greet(
    channel: &Channel,
    service: &str,
    token: Option<&str>,
) -> Result<String, Status> {
    let mut request = Request::new("hello".to_owned());
    if let Some(token) = token {
        let bearer = format!("Bearer {token}").parse();
        let bearer = bearer.map_err(|_| Status::invalid_argument("no token"))?;
        request.metadata_mut().insert("authorization", bearer);
    }
    let path = format!("/example.{service}/Greet").parse();
    let path = path.map_err(|_| Status::invalid_argument("no service"))?;
    let mut client = tonic::client::Grpc::new(channel.clone());
    let ready = client.ready().await;
    ready.map_err(|error| Status::unavailable(error.to_string()))?;
    Ok(client.unary(request, path, Text).await?.into_inner())
}
