//! The table of users, in place of a database. Both services of a port share it.

use std::collections::HashSet;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// A row of the table.
#[derive(Clone)]
pub struct User {
    pub id: i64,
    pub name: String,
    /// A real service keeps a hash that is slow to compute.
    pub password: String,
    pub permissions: HashSet<String>,
    pub company: String,
}

impl User {
    /// The permissions in the order of the alphabet.
    pub fn sorted_permissions(&self) -> Vec<&str> {
        let mut sorted: Vec<_> = self.permissions.iter().map(String::as_str).collect();
        sorted.sort_unstable();
        sorted
    }
}

impl fmt::Debug for User {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "User({})", self.id)
    }
}

/// The table. Clones are the same table.
#[derive(Clone, Debug, Default)]
pub struct Users(Arc<Mutex<Vec<User>>>);

impl Users {
    /// Adds a user.
    #[must_use]
    pub fn with(self, name: &str, password: &str, permissions: &[&str]) -> Self {
        let mut rows = self.rows();
        let id = 1000 + rows.len() as i64;
        rows.push(User {
            id,
            name: name.to_owned(),
            password: password.to_owned(),
            permissions: permissions.iter().map(|&name| name.to_owned()).collect(),
            company: "ACME".to_owned(),
        });
        drop(rows);
        self
    }

    /// Returns the user if the password is right.
    pub fn check(&self, name: &str, password: &str) -> Option<User> {
        let user = self.by_name(name)?;
        (user.password == password).then_some(user)
    }

    pub fn by_id(&self, id: i64) -> Option<User> {
        self.rows().iter().find(|user| user.id == id).cloned()
    }

    pub fn by_name(&self, name: &str) -> Option<User> {
        self.rows().iter().find(|user| user.name == name).cloned()
    }

    /// Changes a row, and returns it.
    pub fn change(&self, id: i64, change: impl FnOnce(&mut User)) -> Option<User> {
        let mut rows = self.rows();
        let user = rows.iter_mut().find(|user| user.id == id)?;
        change(user);
        Some(user.clone())
    }

    fn rows(&self) -> MutexGuard<'_, Vec<User>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
