//! `--check-config`: everything that can be found wrong without a connection and without changing anything.

use std::{fs, str::FromStr};

use axum::http::Uri;
use sqlx::mysql::MySqlConnectOptions;

use super::Config;
use crate::{keys::Keys, mail::Mailer, payments::PaymentClient};

/// The first thing that is wrong, naming the setting; never its value, which may hold a password.
pub fn check(config: &Config) -> Result<(), String> {
    if config.mysql_url.as_ref().is_some_and(|url| !is_mysql(url)) {
        return Err("NUGUL_MYSQL_URL is not a mysql:// address".into());
    }
    if !is_origin(&config.public_origin) {
        return Err("NUGUL_PUBLIC_ORIGIN is not the origin of a site, as in https://tickets.example".into());
    }
    let payment = Uri::from_str(&config.payment_url).ok();
    let scheme = payment.as_ref().and_then(|uri| uri.scheme_str());
    if !(scheme == Some("https") || scheme == Some("http") && config.tls.is_none()) {
        return Err("NUGUL_PAYMENT_URL is not an https:// address".into());
    }
    PaymentClient::new(config)?;
    Mailer::new(&config.smtp_url, config.mail_from.as_deref())?;
    if config.data.exists() && !config.data.is_dir() {
        return Err("NUGUL_DATA is not a folder".into());
    }
    // One that is not there is made at the first start.
    if config.signing_key_file.exists() {
        let pem = fs::read_to_string(&config.signing_key_file)
            .map_err(|error| format!("NUGUL_SIGNING_KEY_FILE cannot be read: {error}"))?;
        Keys::from_pem(&pem).map_err(|error| format!("NUGUL_SIGNING_KEY_FILE: {error}"))?;
    }
    Ok(())
}

fn is_mysql(url: &str) -> bool {
    url.starts_with("mysql://") && MySqlConnectOptions::from_str(url).is_ok()
}

fn is_origin(text: &str) -> bool {
    Uri::from_str(text).is_ok_and(|uri| {
        matches!(uri.scheme_str(), Some("http" | "https")) && uri.authority().is_some() && uri.path() == "/"
    })
}
