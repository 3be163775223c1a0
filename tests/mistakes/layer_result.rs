// says: tower_layer::Layer<Route>` is not satisfied
// says: the trait bound `Result<AuthLayer, statewise::Error>
// page: ``the trait bound `Result<AuthLayer, ..>: tower_layer::Layer<Route>` is not satisfied``
// do: `.layer(layer?)`

use axum::Router;
use statewise::web::AuthLayer;

fn router(layer: statewise::Result<AuthLayer>) -> Router {
    Router::new().layer(layer)
}

fn main() {
    let _ = router;
}
