//! The statements of a plain sqlx pool, the same for each database except for the types.

pub const CLIENT: &str = "raw SELECT, same pool";
/// Connections of a pool, for four times as many tasks.
pub const CONNECTIONS: u32 = 16;

#[derive(Clone, Copy)]
pub struct Texts {
    pub find: &'static str,
    pub insert: &'static str,
    pub remove: &'static str,
}

/// A raw client with the given name and pool.
macro_rules! raw {
    ($name:ident, $pool:ty) => {
        #[derive(Clone)]
        struct $name($pool, crate::sqlx_raw::Texts);

        impl crate::acts::Raw for $name {
            type Key = [u8; 16];

            fn key_of(&self, handle: [u8; 16]) -> [u8; 16] {
                handle
            }

            fn fresh_key(&self, number: u64) -> [u8; 16] {
                crate::acts::scattered(number)
            }

            async fn find(&self, key: &[u8; 16]) {
                let find = sqlx::query(self.1.find).bind(&key[..]);
                assert_eq!(find.fetch_all(&self.0).await.unwrap().len(), 1);
            }

            async fn insert(&self, key: &[u8; 16]) {
                let insert = sqlx::query(self.1.insert).bind(&key[..]);
                let insert = insert.bind(&crate::acts::ROW[..]).execute(&self.0).await;
                assert_eq!(insert.unwrap().rows_affected(), 1);
            }

            async fn remove(&self, key: &[u8; 16]) {
                let remove = sqlx::query(self.1.remove).bind(&key[..]);
                let remove = remove.execute(&self.0).await;
                assert_eq!(remove.unwrap().rows_affected(), 1);
            }
        }
    };
}

pub(crate) use raw;
