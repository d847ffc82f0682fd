//! Keys and certificates of one local cluster, made anew for each.
//!
//! They are valid from yesterday for a hundred years: time in the cluster may
//! run many times faster than outside.

use std::fs;
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer,
    KeyPair, KeyUsagePurpose,
};

/// How long before now certificates begin to be valid.
const VALID_BEFORE: Duration = Duration::from_hours(24);
/// How long they are valid.
const VALID_FOR: Duration = Duration::from_hours(100 * 365 * 24);

/// Where the files lie.
#[derive(Debug, Clone)]
pub(super) struct Certificates {
    folder: PathBuf,
}

/// Why they could not be made.
#[derive(Debug, thiserror::Error)]
pub enum CertificateError {
    /// The generator said no.
    #[error("cannot make a certificate: {0}")]
    Made(#[from] rcgen::Error),
    /// The disk said no.
    #[error("cannot write a certificate")]
    Written(#[from] std::io::Error),
}

/// A client: its file name, common name and organisation.
struct Client(&'static str, &'static str, &'static str);

const CLIENTS: [Client; 4] = [
    Client("admin", "poolproof-admin", "system:masters"),
    // The name that it has where it is installed in a cluster.
    Client("keda", super::audit::KEDA_USER, "system:masters"),
    Client("controller-manager", "system:kube-controller-manager", "system:kube-controller-manager"),
    Client("scheduler", "system:kube-scheduler", "system:kube-scheduler"),
];

/// The names under which the API server is called.
const SERVER_NAMES: [&str; 6] =
    ["localhost", "kubernetes", "kubernetes.default", "kubernetes.default.svc", "127.0.0.1", "10.0.0.1"];

/// The names under which etcd is called.
const ETCD_NAMES: [&str; 2] = ["localhost", "127.0.0.1"];

/// The names under which KEDA's operator and adapter call each other.
const KEDA_NAMES: [&str; 2] = ["localhost", "keda-metrics-apiserver.keda.svc"];

impl Certificates {
    /// Makes all of them in `folder`; `now` is the date since 1970.
    ///
    /// # Errors
    /// If one cannot be made or written.
    pub(super) fn make(folder: &Path, now: Duration) -> Result<Self, CertificateError> {
        let made = Self { folder: folder.to_owned() };
        fs::create_dir_all(folder.join("keda"))?;
        let cluster = made.authority("ca", "poolproof-ca", now)?;
        let front_proxy = made.authority("front-proxy-ca", "poolproof-front-proxy-ca", now)?;
        made.server("apiserver", "kube-apiserver", &SERVER_NAMES, &cluster, now)?;
        for client in CLIENTS {
            made.client(&client, &cluster, now)?;
        }
        made.client(&Client("front-proxy-client", "front-proxy-client", ""), &front_proxy, now)?;
        let etcd = made.authority("etcd-ca", "poolproof-etcd-ca", now)?;
        made.server("etcd", "etcd", &ETCD_NAMES, &etcd, now)?;
        made.client(&Client("etcd-client", "kube-apiserver-etcd-client", ""), &etcd, now)?;
        made.service_account_key()?;
        made.keda(now)?;
        Ok(made)
    }

    /// The certificate `name`.
    #[must_use]
    pub(super) fn certificate(&self, name: &str) -> PathBuf {
        self.folder.join(format!("{name}.crt"))
    }

    /// The key of the certificate `name`.
    #[must_use]
    pub(super) fn key(&self, name: &str) -> PathBuf {
        self.folder.join(format!("{name}.key"))
    }

    /// The public half of the key `name`.
    #[must_use]
    pub(super) fn public_key(&self, name: &str) -> PathBuf {
        self.folder.join(format!("{name}.pub"))
    }

    /// The folder with `tls.crt`, `tls.key` and `ca.crt` as KEDA's programs expect it.
    #[must_use]
    pub(super) fn keda_folder(&self) -> PathBuf {
        self.folder.join("keda")
    }

    fn authority(
        &self,
        file: &str,
        name: &str,
        now: Duration,
    ) -> Result<Issuer<'static, KeyPair>, CertificateError> {
        let mut parameters = parameters(name, "", now);
        parameters.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        parameters.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::DigitalSignature];
        let key = KeyPair::generate()?;
        let certificate = parameters.self_signed(&key)?;
        fs::write(self.certificate(file), certificate.pem())?;
        write_key(&self.key(file), &key.serialize_pem())?;
        Ok(Issuer::new(parameters, key))
    }

    fn server(
        &self,
        file: &str,
        name: &str,
        names: &[&str],
        issuer: &Issuer<'static, KeyPair>,
        now: Duration,
    ) -> Result<(), CertificateError> {
        let mut parameters = parameters(name, "", now);
        parameters.subject_alt_names = subject_names(names)?;
        // etcd calls itself with its own certificate.
        parameters.extended_key_usages =
            vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
        self.signed(file, &parameters, issuer)
    }

    fn client(
        &self,
        client: &Client,
        issuer: &Issuer<'static, KeyPair>,
        now: Duration,
    ) -> Result<(), CertificateError> {
        let Client(file, name, organisation) = client;
        let mut parameters = parameters(name, organisation, now);
        parameters.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        self.signed(file, &parameters, issuer)
    }

    fn signed(
        &self,
        file: &str,
        parameters: &CertificateParams,
        issuer: &Issuer<'static, KeyPair>,
    ) -> Result<(), CertificateError> {
        let key = KeyPair::generate()?;
        let certificate = parameters.signed_by(&key, issuer)?;
        fs::write(self.certificate(file), certificate.pem())?;
        write_key(&self.key(file), &key.serialize_pem())?;
        Ok(())
    }

    /// Service account tokens are signed with an elliptic key: the API server takes those as well as RSA.
    fn service_account_key(&self) -> Result<(), CertificateError> {
        let key = KeyPair::generate()?;
        fs::write(self.public_key("service-account"), key.public_key_pem())?;
        write_key(&self.key("service-account"), &key.serialize_pem())?;
        Ok(())
    }

    /// One self-signed pair is server, client and authority at once: KEDA's operator and adapter
    /// both present it and both trust it.
    fn keda(&self, now: Duration) -> Result<(), CertificateError> {
        let mut parameters = parameters("localhost", "", now);
        parameters.subject_alt_names = subject_names(&KEDA_NAMES)?;
        parameters.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate()?;
        let certificate = parameters.self_signed(&key)?.pem();
        let folder = self.keda_folder();
        fs::write(folder.join("tls.crt"), &certificate)?;
        fs::write(folder.join("ca.crt"), &certificate)?;
        write_key(&folder.join("tls.key"), &key.serialize_pem())?;
        Ok(())
    }
}

fn parameters(name: &str, organisation: &str, now: Duration) -> CertificateParams {
    let mut parameters = CertificateParams::default();
    parameters.distinguished_name = DistinguishedName::new();
    parameters.distinguished_name.push(DnType::CommonName, name);
    if !organisation.is_empty() {
        parameters.distinguished_name.push(DnType::OrganizationName, organisation);
    }
    let unix = std::time::UNIX_EPOCH;
    parameters.not_before = (unix + now.saturating_sub(VALID_BEFORE)).into();
    parameters.not_after = (unix + now + VALID_FOR).into();
    parameters
}

fn subject_names(names: &[&str]) -> Result<Vec<rcgen::SanType>, rcgen::Error> {
    let names: Vec<String> = names.iter().map(|&name| name.to_owned()).collect();
    Ok(CertificateParams::new(names)?.subject_alt_names)
}

/// Keys are for their owner's eyes.
fn write_key(path: &Path, pem: &str) -> std::io::Result<()> {
    let mut file = fs::OpenOptions::new().create_new(true).write(true).mode(0o600).open(path)?;
    file.write_all(pem.as_bytes())
}
