//! Moves a service of actix-identity to statewise while its users are logged in.
//!
//! ```text
//! cargo run --features actix --example actix_port
//! ```
//!
//! Two nodes of neighbouring steps run at the same time. A user logs in on each of them, and all users
//! visit both, again and again. Then the example ends.

use coming_from_actix::browser::Browser;
use coming_from_actix::deployment::{Deployment, Failure, Node, Step};

fn account(user: &mut Browser, node: &Node) -> Result<bool, Failure> {
    let url = format!("{}/account", node.origin());
    Ok(user.send(&url, None, &[])?.status == 200)
}

fn main() -> Result<(), Failure> {
    let deployment = Deployment::new()?;
    let mut users: Vec<Browser> = Vec::new();
    println!(
        "{:24} {:>5} {:>8} {:>8}",
        "nodes", "users", "requests", "refused"
    );
    for steps in Step::ALL.windows(2) {
        let nodes = [deployment.node(steps[0])?, deployment.node(steps[1])?];
        for node in &nodes {
            let mut user = Browser::default();
            let form = Some("user=alice&password=open+sesame");
            user.send(&format!("{}/login", node.origin()), form, &[])?;
            users.push(user);
        }
        let (mut requests, mut refused) = (0, 0);
        // Forward, back and forward again.
        for node in [&nodes[0], &nodes[1], &nodes[0], &nodes[1]] {
            for user in &mut users {
                requests += 1;
                refused += u32::from(!account(user, node)?);
            }
        }
        let nodes = format!("{:?}, {:?}", steps[0], steps[1]);
        println!("{nodes:24} {:5} {requests:8} {refused:8}", users.len());
    }
    Ok(())
}
