//! The Node objects and their leases: made, renewed, deleted.

use std::net::Ipv4Addr;

use clock::Clock;
use futures_util::{StreamExt, TryStreamExt, stream};
use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::api::core::v1::Node;
use kube::api::{Api, DeleteParams, Patch, PatchParams};
use kube::{Client, Error};
use model::Instant;
use serde_json::{Value, json};

use super::{NodeError, NodeOptions, dates};

/// Who wrote it, for server-side apply.
const MANAGER: &str = "poolproof";
/// Where kubelets keep their leases.
const LEASES: &str = "kube-node-lease";
/// Requests about nodes that are under way at once.
const AT_ONCE: usize = 16;
/// How long a lease counts. Source: Kubernetes 1.35.4, `pkg/kubelet/apis/config/v1beta1/defaults.go`,
/// `NodeLeaseDurationSeconds`.
const LEASE_SECONDS: u32 = 40;
/// Addresses that are set aside for benchmarks (RFC 2544): nodes have the lower half, pods the upper.
const NODES_FROM: u32 = u32::from_be_bytes([198, 18, 0, 1]);
const PODS_FROM: u32 = u32::from_be_bytes([198, 19, 0, 1]);
const ADDRESSES: u32 = 65_534;

/// The address of the node at that index.
pub(super) fn node_address(index: usize) -> Ipv4Addr {
    address(NODES_FROM, index as u64)
}

/// The address of the pod with that number.
pub(super) fn pod_address(number: u64) -> Ipv4Addr {
    address(PODS_FROM, number)
}

fn address(from: u32, number: u64) -> Ipv4Addr {
    let offset = number % u64::from(ADDRESSES);
    Ipv4Addr::from(from + u32::try_from(offset).expect("less than the addresses there are"))
}

/// Makes the nodes, or takes over those that an earlier run has left.
pub(super) async fn create(
    client: &Client,
    options: &NodeOptions,
    names: &[String],
) -> Result<(), NodeError> {
    let create = |(index, name): (usize, &String)| {
        let (client, name) = (client.clone(), name.clone());
        async move {
            let made = create_one(&client, options, index, &name).await;
            made.map_err(|source| NodeError::Create { node: name, source: Box::new(source) })
        }
    };
    let each: Vec<_> = names.iter().enumerate().map(create).collect();
    stream::iter(each).buffer_unordered(AT_ONCE).try_collect().await
}

async fn create_one(client: &Client, options: &NodeOptions, index: usize, name: &str) -> kube::Result<()> {
    let clock = &options.clock;
    let api: Api<Node> = Api::all(client.clone());
    let apply = PatchParams::apply(MANAGER).force();
    let node = api.patch(name, &apply, &Patch::Apply(node(options, name))).await?;
    renew_lease(client, clock, name, node.metadata.uid.as_deref()).await?;
    write_status(client, options, index, name).await
}

/// Says that the node is alive, in its lease.
pub(super) async fn renew_lease(
    client: &Client,
    clock: &Clock,
    name: &str,
    uid: Option<&str>,
) -> kube::Result<()> {
    let api: Api<Lease> = Api::namespaced(client.clone(), LEASES);
    let spec = json!({
        "holderIdentity": name,
        "leaseDurationSeconds": LEASE_SECONDS,
        "renewTime": dates::microseconds(clock, clock.now()),
    });
    let mut lease = json!({
        "apiVersion": "coordination.k8s.io/v1", "kind": "Lease",
        "metadata": {"name": name, "namespace": LEASES}, "spec": spec,
    });
    if let Some(uid) = uid {
        // The node's deletion is the lease's.
        lease["metadata"]["ownerReferences"] =
            json!([{"apiVersion": "v1", "kind": "Node", "name": name, "uid": uid}]);
        let apply = PatchParams::apply(MANAGER).force();
        api.patch(name, &apply, &Patch::Apply(lease)).await?;
    } else {
        api.patch(name, &PatchParams::default(), &Patch::Merge(json!({ "spec": lease["spec"] }))).await?;
    }
    Ok(())
}

/// Says that the node is ready.
pub(super) async fn write_status(
    client: &Client,
    options: &NodeOptions,
    index: usize,
    name: &str,
) -> kube::Result<()> {
    let api: Api<Node> = Api::all(client.clone());
    let patch = Patch::Strategic(json!({ "status": status(options, index, name) }));
    api.patch_status(name, &PatchParams::default(), &patch).await?;
    Ok(())
}

/// Deletes the nodes; the garbage collector takes the leases.
pub(super) async fn delete(client: &Client, names: &[String]) -> Result<(), NodeError> {
    let delete = |name: &String| {
        let (api, name) = (Api::<Node>::all(client.clone()), name.clone());
        async move {
            match api.delete(&name, &DeleteParams::default()).await {
                Err(Error::Api(status)) if status.code == 404 => Ok(()),
                Err(source) => Err(NodeError::Delete { node: name, source: Box::new(source) }),
                Ok(_) => Ok(()),
            }
        }
    };
    let each: Vec<_> = names.iter().map(delete).collect();
    stream::iter(each).buffer_unordered(AT_ONCE).try_collect().await
}

fn node(options: &NodeOptions, name: &str) -> Value {
    let architecture = if cfg!(target_arch = "aarch64") { "arm64" } else { "amd64" };
    let mut labels = options.labels.clone();
    for (key, value) in [
        ("kubernetes.io/hostname", name),
        ("kubernetes.io/os", "linux"),
        ("kubernetes.io/arch", architecture),
        ("beta.kubernetes.io/os", "linux"),
        ("beta.kubernetes.io/arch", architecture),
    ] {
        labels.entry(key.to_owned()).or_insert_with(|| value.to_owned());
    }
    json!({"apiVersion": "v1", "kind": "Node", "metadata": {"name": name, "labels": labels}})
}

/// Room for as many pods as the scenario says, whatever they ask for.
fn status(options: &NodeOptions, index: usize, name: &str) -> Value {
    let room = json!({
        "cpu": "10000", "memory": "100Ti", "ephemeral-storage": "100Ti",
        "pods": options.pods_per_node.to_string(),
    });
    let now = dates::seconds(&options.clock, options.clock.now());
    let since = dates::seconds(&options.clock, Instant::START);
    let condition = |kind: &str, status: &str, reason: &str| {
        json!({
            "type": kind, "status": status, "reason": reason, "message": "a node of Poolproof",
            "lastHeartbeatTime": now, "lastTransitionTime": since,
        })
    };
    json!({
        "capacity": room,
        "allocatable": room,
        "conditions": [
            condition("MemoryPressure", "False", "KubeletHasSufficientMemory"),
            condition("DiskPressure", "False", "KubeletHasNoDiskPressure"),
            condition("PIDPressure", "False", "KubeletHasSufficientPID"),
            condition("Ready", "True", "KubeletReady"),
        ],
        "addresses": [
            {"type": "InternalIP", "address": node_address(index).to_string()},
            {"type": "Hostname", "address": name},
        ],
        "nodeInfo": {
            "architecture": if cfg!(target_arch = "aarch64") { "arm64" } else { "amd64" },
            "operatingSystem": "linux",
            "kubeletVersion": concat!("v1.35.4-poolproof-", env!("CARGO_PKG_VERSION")),
            "containerRuntimeVersion": concat!("poolproof://", env!("CARGO_PKG_VERSION")),
            "bootID": "", "kernelVersion": "", "kubeProxyVersion": "", "machineID": "", "osImage": "",
            "systemUUID": "",
        },
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nodes_and_pods_have_addresses_of_their_own() {
        assert_eq!(node_address(0), Ipv4Addr::new(198, 18, 0, 1));
        assert_eq!(pod_address(255), Ipv4Addr::new(198, 19, 1, 0));
        assert_eq!(pod_address(u64::from(ADDRESSES) - 1), Ipv4Addr::new(198, 19, 255, 254));
        assert_eq!(pod_address(u64::from(ADDRESSES)), Ipv4Addr::new(198, 19, 0, 1));
    }
}
