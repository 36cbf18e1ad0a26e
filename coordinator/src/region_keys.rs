//! The published keys of other regions: whoever logged in there is believed here.
//!
//! A region's keys speak for its own people alone. They are fetched again every [`REFRESH_EVERY`]; while a region is away, the
//! keys it had are good.

use std::{
    collections::BTreeMap,
    sync::{Arc, PoisonError, RwLock},
    time::Duration,
};

use nugul_domain::Timestamp;
use nugul_token::{AccessClaims, AccessVerifier, KnownTokens, TokenError};
use serde_json::Value;

use crate::app::App;

/// How often the keys are fetched.
const REFRESH_EVERY: Duration = Duration::from_mins(1);
/// The same while a region's keys were never had.
const FIRST_EVERY: Duration = Duration::from_secs(2);
/// How long a region may take to answer.
const FETCH_TIMEOUT: Duration = Duration::from_secs(5);
/// The largest key set taken, in bytes.
const KEYS_BYTES_MAX: usize = 64 * 1024;

/// Where each region's keys are: a file, or an `http(s)://` address.
pub type Sources = BTreeMap<u8, String>;

/// Reads `1=https://one.example/.well-known/jwks.json,2=/etc/two.json`.
pub fn parse(text: &str) -> Result<Sources, String> {
    let mut sources = Sources::new();
    for part in text.split(',').map(str::trim).filter(|part| !part.is_empty()) {
        let (number, source) = part.split_once('=').ok_or("each part is REGION=ADDRESS_OR_FILE")?;
        let number: u8 = number.trim().parse().map_err(|_| "a region is a number from 0 to 255")?;
        if source.trim().is_empty() || sources.insert(number, source.trim().to_owned()).is_some() {
            return Err(format!("region {number} needs one address or file"));
        }
    }
    Ok(sources)
}

/// Who is believed of each region.
#[derive(Default)]
pub struct RegionKeys(RwLock<BTreeMap<u8, Arc<Known>>>);

struct Known {
    jwks: Value,
    tokens: KnownTokens,
}

impl RegionKeys {
    /// Who is logged in at `now`, by the keys of another region.
    pub fn verify(&self, token: &str, now: Timestamp) -> Result<Arc<AccessClaims>, TokenError> {
        // Each step on the map is one call: a panic elsewhere leaves it whole.
        let all = self.0.read().unwrap_or_else(PoisonError::into_inner);
        for (region, known) in all.iter() {
            match known.tokens.verify(token, now) {
                Ok(claims) if claims.sub.region().0 == *region => return Ok(claims),
                Err(TokenError::UnknownKey(_)) => {}
                Ok(_) => return Err(TokenError::Invalid),
                Err(error) => return Err(error),
            }
        }
        Err(TokenError::Invalid)
    }

    /// Takes a region's keys. What is no key set changes nothing.
    pub fn take(&self, region: u8, jwks: Value) -> Result<(), String> {
        let mut all = self.0.write().unwrap_or_else(PoisonError::into_inner);
        if all.get(&region).is_some_and(|known| known.jwks == jwks) {
            return Ok(());
        }
        let verifier = AccessVerifier::from_jwks(&jwks).map_err(|error| error.to_string())?;
        all.insert(region, Arc::new(Known { jwks, tokens: KnownTokens::new(verifier) }));
        Ok(())
    }

    fn has(&self, region: u8) -> bool {
        self.0.read().unwrap_or_else(PoisonError::into_inner).contains_key(&region)
    }
}

/// Fetches the keys of the regions that are set, until the process stops.
pub async fn keep_fresh(app: App) {
    let sources = app.config.region_keys.clone();
    let client = match reqwest::Client::builder().timeout(FETCH_TIMEOUT).build() {
        Ok(client) => client,
        Err(error) => return tracing::error!("the keys of other regions cannot be fetched: {error}"),
    };
    let mut stopping = app.stopping.clone();
    while !sources.is_empty() {
        for (&region, source) in &sources {
            let taken = match fetch(&client, source).await {
                Ok(jwks) => app.regions.take(region, jwks),
                Err(error) => Err(error),
            };
            if let Err(error) = taken {
                tracing::warn!(region, "the region's keys could not be had; those from before are good: {error}");
            }
        }
        let all = sources.keys().all(|&region| app.regions.has(region));
        tokio::select! {
            () = tokio::time::sleep(if all { REFRESH_EVERY } else { FIRST_EVERY }) => {}
            _ = stopping.changed() => return,
        }
    }
}

async fn fetch(client: &reqwest::Client, source: &str) -> Result<Value, String> {
    let bytes = if source.starts_with("http://") || source.starts_with("https://") {
        let mut answer =
            client.get(source).send().await.and_then(reqwest::Response::error_for_status).map_err(|e| e.to_string())?;
        let mut bytes = Vec::new();
        while let Some(piece) = answer.chunk().await.map_err(|e| e.to_string())? {
            if bytes.len() + piece.len() > KEYS_BYTES_MAX {
                return Err(format!("more than {KEYS_BYTES_MAX} bytes"));
            }
            bytes.extend_from_slice(&piece);
        }
        bytes
    } else {
        tokio::fs::read(source).await.map_err(|e| e.to_string())?
    };
    serde_json::from_slice(&bytes).map_err(|_| "not JSON".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use nugul_domain::{Region, UserId, account::Role, id::RANDOM_BYTES};
    use nugul_token::SigningKey;
    use serde_json::json;

    fn token(key: &SigningKey, region: u8) -> String {
        let now = Timestamp::from_millis(1_790_000_000_000);
        let sub = UserId::new(Region(region), now, [3; RANDOM_BYTES]);
        let iat = now.as_millis() / 1000;
        key.sign_access(AccessClaims { sub, role: Role::User, nickname: "n".into(), iat, exp: iat + 900 }).unwrap()
    }

    #[test]
    fn a_region_speaks_for_its_own_people_alone() {
        let now = Timestamp::from_millis(1_790_000_000_000);
        let (one, two) = (SigningKey::from_seed([1; 32]).unwrap(), SigningKey::from_seed([2; 32]).unwrap());
        let keys = RegionKeys::default();
        assert!(keys.verify(&token(&one, 1), now).is_err());
        keys.take(1, json!({ "keys": [one.jwk()] })).unwrap();
        keys.take(2, json!({ "keys": [two.jwk()] })).unwrap();
        assert_eq!(keys.verify(&token(&one, 1), now).unwrap().sub.region(), Region(1));
        assert_eq!(keys.verify(&token(&two, 2), now).unwrap().sub.region(), Region(2));
        assert_eq!(keys.verify(&token(&two, 1), now).err(), Some(TokenError::Invalid));
        assert_eq!(keys.verify(&token(&one, 1), now.plus_ms(900_000)).err(), Some(TokenError::Expired));
        // What is no key set takes nothing away.
        assert!(keys.take(1, json!({})).is_err());
        assert!(keys.verify(&token(&one, 1), now).is_ok());
    }

    #[test]
    fn sources_are_named_by_region() {
        let sources = parse("1=https://one.example/.well-known/jwks.json, 2=/etc/two.json").unwrap();
        assert_eq!(
            sources.into_iter().collect::<Vec<_>>(),
            [(1, "https://one.example/.well-known/jwks.json".to_owned()), (2, "/etc/two.json".to_owned())]
        );
        for bad in ["https://one.example", "256=x", "1=", "1=a,1=b"] {
            assert!(parse(bad).is_err(), "{bad}");
        }
    }
}
