//! Encrypted connections: with a certificate of the user's, or with one that is made and left where
//! the user can have clients trust it.

use std::fs::{self, OpenOptions, Permissions};
use std::io::{self, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use tokio::io::{AsyncRead, AsyncWrite};
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::rustls::{self, ServerConfig};
use tokio_rustls::{Accept, TlsAcceptor};

/// What a made certificate and its key are called.
const CERTIFICATE: &str = "certificate.pem";
const KEY: &str = "key.pem";
/// A key is its owner's.
const OWN_FILE: u32 = 0o600;
/// What others may do with a file.
const OTHERS: u32 = 0o077;

/// A certificate with its key, ready to serve with. TLS 1.2 and 1.3.
#[derive(Clone)]
pub struct Tls(TlsAcceptor);

impl std::fmt::Debug for Tls {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Tls(..)")
    }
}

/// A certificate that vouches for itself, and where it is.
#[derive(Debug)]
pub struct SelfSigned {
    /// What to serve with.
    pub tls: Tls,
    /// The certificate, which clients have to be told to trust.
    pub certificate: PathBuf,
}

/// Why a certificate cannot be served with.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// The system said no.
    #[error("cannot use {}: {error}", path.display())]
    Io {
        /// What for.
        path: PathBuf,
        /// What it said.
        error: io::Error,
    },
    /// The file is no PEM, or holds nothing of that kind.
    #[error("{} holds no {what}: {error}", path.display())]
    NotPem {
        /// The file.
        path: PathBuf,
        /// What was looked for.
        what: &'static str,
        /// What is wrong.
        error: rustls::pki_types::pem::Error,
    },
    /// Key and certificate do not fit, or are of a kind that is not known.
    #[error("this certificate and key cannot be used: {0}")]
    Unusable(#[from] rustls::Error),
    /// A certificate could not be made.
    #[error("cannot make a certificate: {0}")]
    NotMade(#[from] rcgen::Error),
}

impl Tls {
    /// Of a certificate, with those between it and its root after it, and its key, both as PEM.
    ///
    /// # Errors
    /// If a file cannot be read, or holds something else.
    pub fn read(certificate: &Path, key: &Path) -> Result<Self, TlsError> {
        let read =
            |path: &Path| fs::read(path).map_err(|error| TlsError::Io { path: path.to_path_buf(), error });
        let not_pem = |path: &Path, what| {
            let path = path.to_path_buf();
            move |error| TlsError::NotPem { path, what, error }
        };
        let chain = CertificateDer::pem_slice_iter(&read(certificate)?)
            .collect::<Result<Vec<_>, _>>()
            .and_then(|chain| {
                if chain.is_empty() { Err(rustls::pki_types::pem::Error::NoItemsFound) } else { Ok(chain) }
            })
            .map_err(not_pem(certificate, "certificate"))?;
        let key = PrivateKeyDer::from_pem_slice(&read(key)?).map_err(not_pem(key, "key"))?;
        let mut config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()?
            .with_no_client_auth()
            .with_single_cert(chain, key)?;
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(Self(TlsAcceptor::from(Arc::new(config))))
    }

    /// Of the certificate in a folder, which is made for these host names and addresses if there is none:
    /// whoever trusts it once need not do so again.
    ///
    /// # Errors
    /// If the folder cannot be written, or holds something else under those names.
    pub fn self_signed(folder: &Path, names: &[String]) -> Result<SelfSigned, TlsError> {
        let (certificate, key) = (folder.join(CERTIFICATE), folder.join(KEY));
        if !certificate.exists() {
            let made = rcgen::generate_simple_self_signed(names.to_vec())?;
            fs::create_dir_all(folder).map_err(|error| TlsError::Io { path: folder.to_path_buf(), error })?;
            write(&key, &made.signing_key.serialize_pem())?;
            write(&certificate, &made.cert.pem())?;
        }
        // Whoever made the files, or copied them, may have left the key open to others.
        own(&key)?;
        Ok(SelfSigned { tls: Self::read(&certificate, &key)?, certificate })
    }

    pub(crate) fn accept<S: AsyncRead + AsyncWrite + Unpin>(&self, stream: S) -> Accept<S> {
        self.0.accept(stream)
    }
}

/// Writes a file that is its owner's. One that is there gives way: others may have it open.
fn write(path: &Path, text: &str) -> Result<(), TlsError> {
    let failed = |error| TlsError::Io { path: path.to_path_buf(), error };
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(failed(error)),
        _ => {}
    }
    let mut options = OpenOptions::new();
    let mut file = options.write(true).create_new(true).mode(OWN_FILE).open(path).map_err(failed)?;
    file.write_all(text.as_bytes()).map_err(failed)
}

/// Makes a file its owner's alone, if it is not.
fn own(path: &Path) -> Result<(), TlsError> {
    let failed = |error| TlsError::Io { path: path.to_path_buf(), error };
    let mode = fs::metadata(path).map_err(failed)?.permissions().mode();
    if mode & OTHERS == 0 {
        return Ok(());
    }
    fs::set_permissions(path, Permissions::from_mode(OWN_FILE)).map_err(failed)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mode(path: &Path) -> u32 {
        fs::metadata(path).expect("a file").permissions().mode() & 0o777
    }

    #[test]
    fn a_key_that_was_open_to_others_is_its_owner_s_again() {
        let folder = tempfile::tempdir().expect("a folder");
        let names = ["localhost".to_owned()];
        Tls::self_signed(folder.path(), &names).expect("made");
        let key = folder.path().join(KEY);
        assert_eq!(mode(&key), OWN_FILE);
        let text = fs::read(&key).expect("a key");
        fs::set_permissions(&key, Permissions::from_mode(0o644)).expect("opened");
        Tls::self_signed(folder.path(), &names).expect("used");
        assert_eq!((mode(&key), fs::read(&key).expect("a key")), (OWN_FILE, text), "it is the same");
    }

    #[test]
    fn a_key_is_not_written_into_a_file_that_others_may_read() {
        let folder = tempfile::tempdir().expect("a folder");
        let key = folder.path().join(KEY);
        fs::write(&key, "old").expect("written");
        fs::set_permissions(&key, Permissions::from_mode(0o666)).expect("opened");
        let mut others = fs::File::open(&key).expect("they have it open");
        Tls::self_signed(folder.path(), &["localhost".to_owned()]).expect("made");
        assert_eq!(mode(&key), OWN_FILE);
        let mut seen = String::new();
        io::Read::read_to_string(&mut others, &mut seen).expect("read");
        assert_eq!(seen, "old");
    }
}
