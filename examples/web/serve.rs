//! Server of these examples.

use std::io::Write as _;

use axum::Router;
use axum::extract::DefaultBodyLimit;
use tokio::signal::unix::{SignalKind, signal};

/// Serves on the port given as the first argument, or on 3000, and prints the address. Port 0
/// selects a free one. Returns after SIGTERM or Ctrl-C, when the requests in flight are answered.
pub(crate) async fn serve(router: Router) -> std::io::Result<()> {
    let port = std::env::args().nth(1).map(|port| port.parse());
    let port: u16 = port
        .transpose()
        .map_err(std::io::Error::other)?
        .unwrap_or(3000);
    let listener = tokio::net::TcpListener::bind(("127.0.0.1", port)).await?;
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
