//! KEDA in a local cluster: its resource definitions, its two programs, and the
//! API service that leads the HPA's questions to them.

use std::path::Path;

use kube::Client;
use serde_json::{Value, json};

use super::build::Programs;
use super::control_plane::{ControlPlane, as_flags, await_text};
use super::{LocalError, ports};

/// The process that polls and scales.
pub(super) const OPERATOR: &str = "keda-operator";
/// The process that serves metrics.
pub(super) const ADAPTER: &str = "keda-adapter";
/// The namespace that KEDA thinks it lives in.
const NAMESPACE: &str = "keda";
/// Who owns the fields that are applied here.
const FIELD_MANAGER: &str = "poolproof";
/// How often something is applied that the API server has no time for.
const APPLY_TRIES: u32 = 4;
/// The API that answers when the adapter serves metrics.
const EXTERNAL_METRICS: &str = "/apis/external.metrics.k8s.io/v1beta1";

pub(super) async fn install(
    plane: &mut ControlPlane<'_>,
    client: &Client,
    programs: &Programs,
    kubeconfig: &Path,
) -> Result<(), LocalError> {
    apply_crds(client, &programs.crds).await?;
    let log = plane.log("kube-apiserver");
    for resource in ["scaledobjects", "scaledjobs", "triggerauthentications"] {
        let path = format!("/apis/keda.sh/v1alpha1/{resource}?limit=1");
        await_text(client, &path, "KEDA's resource definitions", &log, &plane.supervisor).await?;
    }
    let namespace = json!({ "apiVersion": "v1", "kind": "Namespace", "metadata": { "name": NAMESPACE } });
    apply(client, "/api/v1/namespaces/keda", &namespace).await?;

    let [metrics, health, grpc, adapter, adapter_http] = ports::free()?;
    let kubeconfig = kubeconfig.display().to_string();
    let certificates = plane.certificates.keda_folder().display().to_string();
    // The adapter too reads the namespace of cluster-wide objects (KEDA 2.10).
    let environment =
        [("WATCH_NAMESPACE", ""), ("KEDA_CLUSTER_OBJECT_NAMESPACE", NAMESPACE), ("POD_NAMESPACE", NAMESPACE)];
    let operator = [
        ("kubeconfig", kubeconfig.clone()),
        ("cert-dir", certificates.clone()),
        ("metrics-bind-address", format!("127.0.0.1:{metrics}")),
        ("health-probe-bind-address", format!("127.0.0.1:{health}")),
        ("metrics-service-bind-address", format!("127.0.0.1:{grpc}")),
    ];
    plane.run(OPERATOR, &programs.operator, as_flags(&operator).collect(), &environment).await?;
    let flags = [
        ("kubeconfig", kubeconfig.clone()),
        ("lister-kubeconfig", kubeconfig.clone()),
        ("authentication-kubeconfig", kubeconfig.clone()),
        ("authorization-kubeconfig", kubeconfig),
        ("secure-port", adapter.to_string()),
        ("bind-address", "127.0.0.1".to_owned()),
        ("cert-dir", certificates.clone()),
        ("tls-cert-file", format!("{certificates}/tls.crt")),
        ("tls-private-key-file", format!("{certificates}/tls.key")),
        ("client-ca-file", plane.certificates.certificate("ca").display().to_string()),
        ("metrics-service-address", format!("localhost:{grpc}")),
        ("port", adapter_http.to_string()),
    ];
    plane.run(ADAPTER, &programs.adapter, as_flags(&flags).collect(), &environment).await?;
    serve_metrics(client, adapter).await?;
    let log = plane.log(ADAPTER);
    await_text(client, EXTERNAL_METRICS, "KEDA's metrics adapter", &log, &plane.supervisor).await
}

/// The API server applies YAML as it is: the definitions need not be understood here.
pub(super) async fn apply_crds(client: &Client, folder: &Path) -> Result<(), LocalError> {
    let unreadable = |source| LocalError::Folder { path: folder.to_owned(), source };
    for entry in std::fs::read_dir(folder).map_err(unreadable)? {
        let path = entry.map_err(unreadable)?.path();
        // The files are named GROUP_PLURAL.yaml, the definitions PLURAL.GROUP.
        let Some((group, plural)) = path.file_stem().and_then(|stem| stem.to_str()?.split_once('_')) else {
            continue;
        };
        let text = std::fs::read(&path).map_err(unreadable)?;
        let name = format!("/apis/apiextensions.k8s.io/v1/customresourcedefinitions/{plural}.{group}");
        apply_text(client, &name, text).await?;
    }
    Ok(())
}

/// An ExternalName service makes the aggregator dial localhost at the API service's port.
async fn serve_metrics(client: &Client, port: u16) -> Result<(), LocalError> {
    let service = json!({
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": { "name": "keda-metrics-apiserver", "namespace": NAMESPACE },
        "spec": { "type": "ExternalName", "externalName": "localhost", "ports": [{ "port": port }] },
    });
    apply(client, "/api/v1/namespaces/keda/services/keda-metrics-apiserver", &service).await?;
    let api_service = json!({
        "apiVersion": "apiregistration.k8s.io/v1",
        "kind": "APIService",
        "metadata": { "name": "v1beta1.external.metrics.k8s.io" },
        "spec": {
            "group": "external.metrics.k8s.io",
            "version": "v1beta1",
            "groupPriorityMinimum": 100,
            "versionPriority": 100,
            "insecureSkipTLSVerify": true,
            "service": { "name": "keda-metrics-apiserver", "namespace": NAMESPACE, "port": port },
        },
    });
    let path = "/apis/apiregistration.k8s.io/v1/apiservices/v1beta1.external.metrics.k8s.io";
    apply(client, path, &api_service).await
}

async fn apply(client: &Client, path: &str, object: &Value) -> Result<(), LocalError> {
    apply_text(client, path, object.to_string().into_bytes()).await
}

/// Server-side apply; JSON is YAML too. A time-out is tried again: its limit shrinks with the speed.
async fn apply_text(client: &Client, path: &str, text: Vec<u8>) -> Result<(), LocalError> {
    let mut tries = 1;
    loop {
        let request = http::Request::patch(format!("{path}?fieldManager={FIELD_MANAGER}&force=true"))
            .header("content-type", "application/apply-patch+yaml")
            .body(text.clone())
            .expect("a path of our own is a good one");
        match client.request_text(request).await {
            Ok(_) => return Ok(()),
            Err(kube::Error::Api(status)) if status.code == 504 && tries < APPLY_TRIES => tries += 1,
            Err(source) => {
                return Err(LocalError::Kubernetes { what: path.to_owned(), source: Box::new(source) });
            }
        }
    }
}
