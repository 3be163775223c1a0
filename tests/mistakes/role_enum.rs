// says: the trait bound `Role: AsRef<str>` is not satisfied
// page: ``the trait bound `Role: AsRef<str>` is not satisfied``
// do: implement `AsRef<str>` for your enum

use statewise::Login;

enum Role {
    Admin,
}

fn main() {
    let _login = Login::new("alice").role(Role::Admin);
}
