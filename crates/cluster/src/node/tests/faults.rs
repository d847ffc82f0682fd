//! Processes that are killed from outside, and nodes that vanish.

use super::api::{Held, pod_path};
use super::pods::{Site, plain};

fn restarts(held: &Held, pod: &str) -> Option<u64> {
    held.objects.get(&pod_path(pod))?["status"]["containerStatuses"][0]["restartCount"].as_u64()
}

fn runs(held: &Held, pod: &str) -> bool {
    let pod = &held.objects[&pod_path(pod)];
    pod["status"]["containerStatuses"][0]["state"]["running"].is_object()
}

#[tokio::test]
async fn a_killed_container_is_started_again() {
    let site = Site::open().await;
    site.api.bind("web-1", "pool-1", plain());
    site.api.pod_in("web-1", "Running").await;
    site.nodes.kill("others", "web-1");
    site.nodes.kill("default", "web-1");
    let found = |held: &Held| (restarts(held, "web-1") == Some(1) && runs(held, "web-1")).then_some(());
    site.api.until("it runs again", found).await;
    let pod = site.api.lock().objects[&pod_path("web-1")].clone();
    let last = &pod["status"]["containerStatuses"][0]["lastState"]["terminated"];
    assert_eq!(last["exitCode"], 137);
}

#[tokio::test]
async fn a_lost_node_says_nothing_and_its_pods_start_anew_when_it_is_back() {
    let mut site = Site::open().await;
    for (pod, node) in [("stays", "pool-1"), ("goes", "pool-1"), ("elsewhere", "pool-2")] {
        site.api.bind(pod, node, plain());
        site.api.pod_in(pod, "Running").await;
    }
    site.facts();
    assert_eq!((site.nodes.name(1), site.nodes.name(3)), (Some("pool-1"), None));
    site.nodes.lose(1);
    site.nodes.lose(3);
    let renewals = |held: &Held, node: &str| {
        held.requests.iter().filter(|(_, path, _)| path.ends_with(&format!("/leases/{node}"))).count()
    };
    // A renewal that was on its way is over when the other node has come twice.
    let before = renewals(&site.api.lock(), "pool-2");
    let renewed = |held: &Held| (renewals(held, "pool-2") >= before + 2).then_some(());
    site.api.until("the loss is heard of", renewed).await;
    let lost = renewals(&site.api.lock(), "pool-1");
    let living = renewals(&site.api.lock(), "pool-2");
    site.api.terminate("goes", 30);
    site.api.bind("late", "pool-1", plain());
    let renewed = |held: &Held| (renewals(held, "pool-2") >= living + 2).then_some(());
    site.api.until("the other node lives on", renewed).await;
    assert_eq!(renewals(&site.api.lock(), "pool-1"), lost);
    assert!(site.facts().is_empty(), "nobody is there to see anything");
    assert!(site.api.lock().objects.contains_key(&pod_path("goes")));

    site.nodes.bring_back(1).await.expect("the API hears of it");
    let gone = |held: &Held| (!held.objects.contains_key(&pod_path("goes"))).then_some(());
    site.api.until("what was to be deleted goes", gone).await;
    let again = |held: &Held| (restarts(held, "stays") == Some(1) && runs(held, "stays")).then_some(());
    site.api.until("what was there runs again", again).await;
    site.api.pod_in("late", "Running").await;
    assert_eq!(restarts(&site.api.lock(), "elsewhere"), Some(0));
}
