// says: `Counter` is not an observer
// says: implement `Observer` for a type with `Debug`
// page: `.. is not an observer`
// do: `#[derive(Debug)]`

use std::sync::Arc;

use statewise::web::AuthLayer;

#[derive(Debug)]
struct Counter;

fn observed(layer: AuthLayer) -> AuthLayer {
    layer.observer(Arc::new(Counter))
}

fn main() {
    let _ = observed;
}
