// says: use of moved value: `layer`
// page: ``use of moved value: `layer` ``
// do: `let layer = layer.login_page("/login")?;`

use statewise::web::AuthLayer;

fn configured(layer: AuthLayer) -> AuthLayer {
    let _ = layer.login_page("/login");
    layer
}

fn main() {
    let _ = configured;
}
