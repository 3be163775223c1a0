// says: `SystemTime` is not a clock
// says: pass `SystemClock`, which is the default
// page: `.. is not a clock`
// do: a `ManualClock` of `testkit`

use std::time::SystemTime;

use statewise::web::AuthLayer;

fn set(layer: AuthLayer) -> AuthLayer {
    layer.clock(SystemTime::now())
}

fn main() {
    let _ = set;
}
