//! The cookies of iron-session: `Fe26.2*ID*SALT*IV*DATA*EXPIRATION*SALT*MAC~2`.

use aes::Aes256;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use cbc::cipher::block_padding::Pkcs7;
use cbc::cipher::{BlockModeDecrypt as _, BlockModeEncrypt as _, KeyIvInit as _};
use cbc::{Decryptor, Encryptor};
use hmac::{Hmac, KeyInit as _, Mac as _};
use pbkdf2::pbkdf2_hmac;
use sha1::Sha1;
use sha2::Sha256;
use statewise::entropy::{Entropy as _, SystemEntropy};
use statewise::{Error, Rejection, Result};

const PREFIX: &str = "Fe26.2";
/// Name of the password in the cookie: the default of iron-session.
const ID: &str = "1";
/// Comes last, and is not signed.
const VERSION: &str = "~2";

/// An opened cookie.
#[derive(Debug)]
pub struct Opened {
    /// The session as JSON.
    pub data: Vec<u8>,
    /// The millisecond in which it expires.
    pub expires: i64,
    /// The signature, which identifies the cookie.
    pub mac: String,
}

/// Random values of a new cookie.
#[derive(Debug)]
pub struct Nonces {
    /// Salts in hexadecimal.
    pub salt: String,
    pub mac_salt: String,
    pub iv: [u8; 16],
}

impl Nonces {
    pub fn random() -> Result<Self> {
        let (mut salts, mut iv) = ([0; 64], [0; 16]);
        SystemEntropy.fill(&mut salts)?;
        SystemEntropy.fill(&mut iv)?;
        let hex: String = salts.iter().map(|byte| format!("{byte:02x}")).collect();
        let (salt, mac_salt) = hex.split_at(64);
        Ok(Self {
            salt: salt.to_owned(),
            mac_salt: mac_salt.to_owned(),
            iv,
        })
    }
}

/// Derives a key. One round suffices for a password that is random.
fn key(password: &str, salt: &str) -> [u8; 32] {
    let mut key = [0; 32];
    pbkdf2_hmac::<Sha1>(password.as_bytes(), salt.as_bytes(), 1, &mut key);
    key
}

fn mac(password: &str, salt: &str, signed: &str) -> Result<Hmac<Sha256>> {
    let mac = Hmac::<Sha256>::new_from_slice(&key(password, salt));
    let mac = mac.map_err(|_| Error::misuse("a key of this length"))?;
    Ok(mac.chain_update(signed))
}

/// Returns a cookie, which Node accepts.
pub fn seal(password: &str, data: &[u8], expires: i64, nonces: &Nonces) -> Result<String> {
    let Nonces { salt, mac_salt, iv } = nonces;
    let encryptor = Encryptor::<Aes256>::new(&key(password, salt).into(), &(*iv).into());
    let data = URL_SAFE_NO_PAD.encode(encryptor.encrypt_padded_vec::<Pkcs7>(data));
    let iv = URL_SAFE_NO_PAD.encode(iv);
    let signed = format!("{PREFIX}*{ID}*{salt}*{iv}*{data}*{expires}");
    let mac = mac(password, mac_salt, &signed)?.finalize().into_bytes();
    let mac = URL_SAFE_NO_PAD.encode(mac);
    Ok(format!("{signed}*{mac_salt}*{mac}{VERSION}"))
}

/// Checks the signature of a cookie, and decrypts it.
pub fn open(password: &str, cookie: &str) -> Result<Opened> {
    let seal = cookie.strip_suffix(VERSION).unwrap_or(cookie);
    let parts: Vec<&str> = seal.split('*').collect();
    let [PREFIX, ID, salt, iv, data, expires, mac_salt, signature] = parts[..] else {
        return Err(Rejection::Malformed.into());
    };
    let decode = |text| {
        URL_SAFE_NO_PAD
            .decode(text)
            .map_err(|_| Rejection::Malformed)
    };
    let signed = format!("{PREFIX}*{ID}*{salt}*{iv}*{data}*{expires}");
    let is_right = mac(password, mac_salt, &signed)?.verify_slice(&decode(signature)?);
    is_right.map_err(|_| Rejection::BadSignature)?;
    let key = key(password, salt);
    let decryptor = Decryptor::<Aes256>::new_from_slices(&key, &decode(iv)?);
    let decryptor = decryptor.map_err(|_| Rejection::Malformed)?;
    let data = decryptor.decrypt_padded_vec::<Pkcs7>(&decode(data)?);
    Ok(Opened {
        data: data.map_err(|_| Rejection::Malformed)?,
        expires: expires.parse().map_err(|_| Rejection::Malformed)?,
        mac: signature.to_owned(),
    })
}
