//! Where these examples listen.

use std::io::Write as _;

use axum::Router;
use axum::extract::DefaultBodyLimit;

/// Serves on the port that is the first argument, or on 3000. Says where: 0 takes any port.
pub(crate) async fn serve(router: Router) -> std::io::Result<()> {
    let port = std::env::args().nth(1).map(|port| port.parse());
    let port: u16 = port
        .transpose()
        .map_err(std::io::Error::other)?
        .unwrap_or(3000);
    let listener = tokio::net::TcpListener::bind(("127.0.0.1", port)).await?;
    println!("listening on http://{}", listener.local_addr()?);
    std::io::stdout().flush()?;
    // Nobody's name and password are longer.
    let router = router.layer(DefaultBodyLimit::max(8 * 1024));
    axum::serve(listener, router).await
}
