//! What keeps the nodes alive in the eyes of the control plane.

use std::collections::BTreeSet;
use std::sync::Arc;

use futures_util::{StreamExt, stream};
use kube::Client;
use model::Millis;
use tokio::sync::watch;

use super::{NodeOptions, objects};

/// From one renewal of a lease to the next. Source: Kubernetes 1.35.4, `pkg/kubelet/kubelet.go`,
/// `nodeLeaseRenewIntervalFraction` of the lease's 40 s.
const RENEW_EVERY: Millis = Millis::seconds(10);
/// From one write of an unchanged status to the next. Source: as above,
/// `apis/config/v1beta1/defaults.go`, `NodeStatusReportFrequency`.
const REPORT_EVERY: Millis = Millis::minutes(5);
/// Renewals that are under way at once.
const AT_ONCE: usize = 16;

/// Renews every lease, and now and then the status, until it is dropped. A renewal that fails is
/// repeated with the next one: the control plane waits for five of them. Lost nodes say nothing.
pub(super) async fn keep_alive(
    client: Client,
    options: NodeOptions,
    names: Arc<[String]>,
    lost: watch::Receiver<BTreeSet<usize>>,
) {
    let clock = options.clock;
    let (mut renew_at, mut report_at) = (clock.now() + RENEW_EVERY, clock.now() + REPORT_EVERY);
    loop {
        clock.sleep_until(renew_at).await;
        let reports = clock.now() >= report_at;
        let living: Vec<usize> = (0..names.len()).filter(|index| !lost.borrow().contains(index)).collect();
        stream::iter(living)
            .for_each_concurrent(AT_ONCE, |index| {
                let (client, options, name) = (&client, &options, names[index].as_str());
                async move {
                    let _ = objects::renew_lease(client, &clock, name, None).await;
                    if reports {
                        let _ = objects::write_status(client, options, index, name).await;
                    }
                }
            })
            .await;
        // A slow API server must not make the renewals pile up.
        renew_at = (renew_at + RENEW_EVERY).max(clock.now());
        if reports {
            report_at = clock.now() + REPORT_EVERY;
        }
    }
}
