//! Typical application data.

use std::fmt;

use serde::de::{Error as _, IgnoredAny, MapAccess, Visitor};
use serde::ser::SerializeStruct as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Typical application data of a user.
#[derive(Debug)]
pub struct Account {
    pub tenant: String,
    pub plan: u32,
}

impl Serialize for Account {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut fields = serializer.serialize_struct("Account", 2)?;
        fields.serialize_field("tenant", &self.tenant)?;
        fields.serialize_field("plan", &self.plan)?;
        fields.end()
    }
}

impl<'de> Deserialize<'de> for Account {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_struct("Account", &["tenant", "plan"], AccountVisitor)
    }
}

struct AccountVisitor;

impl<'de> Visitor<'de> for AccountVisitor {
    type Value = Account;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an account")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Account, A::Error> {
        let (mut tenant, mut plan) = (None, None);
        while let Some(name) = map.next_key::<&str>()? {
            match name {
                "tenant" => tenant = Some(map.next_value()?),
                "plan" => plan = Some(map.next_value()?),
                _ => {
                    map.next_value::<IgnoredAny>()?;
                }
            }
        }
        Ok(Account {
            tenant: tenant.ok_or_else(|| A::Error::missing_field("tenant"))?,
            plan: plan.ok_or_else(|| A::Error::missing_field("plan"))?,
        })
    }
}
