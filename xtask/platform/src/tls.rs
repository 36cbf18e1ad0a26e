//! The private certificates between coordinator and payment: one authority, one server, one client.
use std::fs::{self, OpenOptions};
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa, KeyPair,
    KeyUsagePurpose,
};

use crate::Error;

/// PEM files, all in one directory.
#[derive(Clone, Debug)]
pub struct TlsFiles {
    /// The authority's certificate: what both sides trust.
    pub ca: PathBuf,
    /// Payment's certificate, for `localhost` and 127.0.0.1.
    pub server_cert: PathBuf,
    /// Payment's key.
    pub server_key: PathBuf,
    /// The coordinator's certificate; its common name is `coordinator`.
    pub client_cert: PathBuf,
    /// The coordinator's key.
    pub client_key: PathBuf,
}

impl TlsFiles {
    fn in_dir(dir: &Path) -> Self {
        Self {
            ca: dir.join("ca.pem"),
            server_cert: dir.join("payment.pem"),
            server_key: dir.join("payment.key"),
            client_cert: dir.join("coordinator.pem"),
            client_key: dir.join("coordinator.key"),
        }
    }
}

/// The certificates in this directory, made when they are not there. The authority's key is not kept.
pub(crate) fn ensure(dir: &Path) -> Result<TlsFiles, Error> {
    let files = TlsFiles::in_dir(dir);
    if files.client_key.exists() {
        return Ok(files);
    }
    fs::create_dir_all(dir).map_err(|error| Error::io("cannot make", dir, &error))?;
    let certificates =
        Certificates::make().map_err(|error| Error::new(format!("cannot make certificates: {error}")))?;
    // The client's key comes last: its presence says that all are there.
    write_private(&files.ca, &certificates.ca)?;
    write_private(&files.server_cert, &certificates.server.0)?;
    write_private(&files.server_key, &certificates.server.1)?;
    write_private(&files.client_cert, &certificates.client.0)?;
    write_private(&files.client_key, &certificates.client.1)?;
    Ok(files)
}

/// PEM texts; pairs are certificate and key.
struct Certificates {
    ca: String,
    server: (String, String),
    client: (String, String),
}

impl Certificates {
    fn make() -> Result<Self, rcgen::Error> {
        let mut authority = CertificateParams::default();
        authority.distinguished_name.push(DnType::CommonName, "Nugul local authority");
        authority.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        authority.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let authority = CertifiedIssuer::self_signed(authority, KeyPair::generate()?)?;

        let names = ["localhost".to_owned(), "127.0.0.1".to_owned()];
        let server = leaf("payment", &names, ExtendedKeyUsagePurpose::ServerAuth, &authority)?;
        let client = leaf("coordinator", &[], ExtendedKeyUsagePurpose::ClientAuth, &authority)?;
        Ok(Self { ca: authority.pem(), server, client })
    }
}

fn leaf(
    common_name: &str,
    names: &[String],
    usage: ExtendedKeyUsagePurpose,
    authority: &CertifiedIssuer<'_, KeyPair>,
) -> Result<(String, String), rcgen::Error> {
    let mut params = CertificateParams::new(names)?;
    params.distinguished_name.push(DnType::CommonName, common_name);
    params.is_ca = IsCa::ExplicitNoCa;
    params.use_authority_key_identifier_extension = true;
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = vec![usage];
    let key = KeyPair::generate()?;
    let certificate = params.signed_by(&key, authority)?;
    Ok((certificate.pem(), key.serialize_pem()))
}

fn write_private(path: &Path, text: &str) -> Result<(), Error> {
    let write = || {
        OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(path)?.write_all(text.as_bytes())
    };
    write().map_err(|error| Error::io("cannot write", path, &error))
}
