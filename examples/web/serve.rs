//! Server of these examples.

use std::io::Write as _;

use axum::Router;
use axum::extract::DefaultBodyLimit;
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};

/// Listens on the port given as the first argument, or on 3000. Port 0 selects a free one.
pub(crate) async fn listen() -> std::io::Result<TcpListener> {
    let port = std::env::args().nth(1).map(|port| port.parse());
    let port: u16 = port
        .transpose()
        .map_err(std::io::Error::other)?
        .unwrap_or(3000);
    TcpListener::bind(("127.0.0.1", port)).await
}

/// Serves on the port of [`listen`].
#[allow(dead_code, reason = "some examples need their address first")]
pub(crate) async fn serve(router: Router) -> std::io::Result<()> {
    serve_on(listen().await?, router).await
}

/// Prints the address, and serves until SIGTERM or Ctrl-C. Returns when the requests in flight are
/// answered.
pub(crate) async fn serve_on(listener: TcpListener, router: Router) -> std::io::Result<()> {
    println!("listening on http://{}", listener.local_addr()?);
    std::io::stdout().flush()?;
    // Enough for every form and JSON body of the examples.
    let router = router.layer(DefaultBodyLimit::max(8 * 1024));
    let (mut terminated, mut interrupted) = (
        signal(SignalKind::terminate())?,
        signal(SignalKind::interrupt())?,
    );
    axum::serve(listener, router)
        .with_graceful_shutdown(async move {
            tokio::select! {
                _ = terminated.recv() => {}
                _ = interrupted.recv() => {}
            }
        })
        .await
}
