//! Pools, agents, queues and parallel jobs as clients ask for them.

use serde_json::{Value, json};

use crate::client::{Served, basic};

const POOLS: &str = "_apis/distributedtask/pools";

fn ids(list: &Value) -> Vec<u64> {
    list["value"].as_array().expect("a list").iter().filter_map(|one| one["id"].as_u64()).collect()
}

#[tokio::test]
async fn a_pool_is_made_changed_and_taken_away() {
    let served = Served::start().await;
    let made =
        served.ask("POST", POOLS, r#"{"name":"new","autoProvision":true,"poolType":"Automation"}"#).await;
    let id = made.json()["id"].as_u64().expect("an id");
    assert_eq!((made.status, &made.json()["poolType"]), (200, &"automation".into()));
    let twice = served.ask("POST", POOLS, r#"{"name":"NEW"}"#).await;
    assert_eq!((twice.status, &twice.json()["typeKey"]), (409, &"TaskAgentPoolExistsException".into()));
    let change = served.ask("PATCH", &format!("{POOLS}/{id}"), r#"{"name":"newer","targetSize":3}"#).await;
    assert_eq!((&change.json()["name"], &change.json()["targetSize"]), (&"newer".into(), &3.into()));
    assert_eq!(served.ask("DELETE", &format!("{POOLS}/{id}"), "").await.status, 204);
    let gone = served.get(&format!("{POOLS}/{id}")).await;
    assert_eq!((gone.status, &gone.json()["typeKey"]), (404, &"TaskAgentPoolNotFoundException".into()));
    let used = served.ask("DELETE", &format!("{POOLS}/18"), "").await;
    assert_eq!(used.status, 409, "its placeholder is in it");
}

#[tokio::test]
async fn pools_are_listed_by_every_filter() {
    let served = Served::start().await;
    served.ask("POST", POOLS, r#"{"name":"machines","poolType":2,"properties":{"a":{"$value":"x"}}}"#).await;
    let list = async |text: &str| ids(&served.get(&format!("{POOLS}?{text}")).await.json());
    assert_eq!(list("poolType=Deployment").await, [19]);
    assert_eq!(list("POOLTYPE=1&actionFilter=Use").await, [18]);
    assert_eq!(list("poolIds=18%2C19").await, [18, 19]);
    assert_eq!(list("poolName=MACHINES&api-version=7.1-preview.1").await, [19]);
    let with = served.get(&format!("{POOLS}?poolName=machines&properties=a")).await.json();
    assert_eq!(with["value"][0]["properties"]["a"]["$value"], "x");
    assert_eq!(served.get(&format!("{POOLS}?poolType=hosted")).await.status, 400);
    assert_eq!(served.get(&format!("{POOLS}?poolID=18")).await.json()["name"], "keda-pool");
}

#[tokio::test]
async fn a_pool_s_text_and_permissions_are_answered_bare() {
    let served = Served::start().await;
    let path = format!("{POOLS}/18/poolmetadata");
    assert_eq!(served.ask("PUT", &path, "\"some text\"").await.status, 204);
    assert_eq!(served.get(&path).await.json(), "some text");
    assert_eq!(served.get(&format!("{POOLS}/18/permissions/27")).await.json(), true);
    assert_eq!(served.get(&format!("{POOLS}/99/permissions/27")).await.status, 404);
}

#[tokio::test]
async fn an_agent_is_changed_by_what_a_patch_names() {
    let served = Served::start().await;
    let agents = format!("{POOLS}/18/agents");
    let body = json!({
        "name": "a-1", "version": "4.258.1", "osDescription": "Linux", "maxParallelism": 2, "enabled": false,
        "systemCapabilities": {"Agent.OS": "Linux"}, "properties": {"Rack": {"$value": "7"}},
    });
    let made = served.ask("POST", &agents, &body.to_string()).await.json();
    let id = made["id"].as_u64().expect("an id");
    assert_eq!((&made["maxParallelism"], &made["enabled"]), (&2.into(), &false.into()));
    let path = format!("{agents}/{id}");
    let changed =
        served.ask("PATCH", &path, &format!(r#"{{"id":{id},"enabled":true,"status":1}}"#)).await.json();
    assert_eq!((&changed["enabled"], &changed["maxParallelism"]), (&true.into(), &2.into()));
    assert_eq!(changed.get("systemCapabilities"), None, "not asked for");
    let capabilities = served.ask("PUT", &format!("{path}/usercapabilities"), r#"{"gpu":"1"}"#).await.json();
    assert_eq!(capabilities["userCapabilities"]["gpu"], "1");
    let with = served.get(&format!("{path}?includeCapabilities=TRUE&propertyFilters=*")).await.json();
    assert_eq!(
        (&with["systemCapabilities"]["Agent.OS"], &with["properties"]["Rack"]["$value"]),
        (&"Linux".into(), &"7".into())
    );
    assert_eq!(
        ids(&served.get(&format!("{agents}?demands=gpu,Agent.OS%20-equals%20linux")).await.json()),
        [id]
    );
    assert!(ids(&served.get(&format!("{agents}?demands=gpu,maven")).await.json()).is_empty());
    assert_eq!(served.ask("DELETE", &path, "").await.status, 204);
    assert_eq!(served.ask("DELETE", &path, "").await.json()["typeKey"], "TaskAgentNotFoundException");
}

#[tokio::test]
async fn queues_are_those_of_a_project() {
    let served = Served::start().await;
    served.define("ci", 1);
    let path = "My%20Project/_apis/distributedtask/queues";
    let list = served.get(path).await.json();
    let queue = &list["value"][0];
    assert_eq!((&queue["name"], &queue["pool"]["id"]), (&"keda-pool".into(), &18.into()));
    let project = queue["projectId"].as_str().expect("an id");
    let same =
        served.get(&format!("{project}/_apis/DistributedTask/Queues?queueName=KEDA-POOL")).await.json();
    assert_eq!(same, list);
    let made = served
        .ask("POST", &format!("{path}?authorizePipelines=true"), r#"{"name":"own","pool":{"id":18}}"#)
        .await;
    let id = made.json()["id"].as_u64().expect("an id");
    assert_eq!(ids(&served.get(&format!("{path}?queueIds={id}")).await.json()), [id]);
    served.organization.queue_build("ci").expect("a build");
    assert_eq!(served.get(&format!("{path}/{id}/agentrequests?$top=10")).await.json()["count"], 1);
    assert_eq!(served.ask("DELETE", &format!("{path}/{id}"), "").await.status, 204);
    let gone = served.get(&format!("{path}/{id}")).await;
    assert_eq!((gone.status, &gone.json()["typeKey"]), (404, &"TaskAgentQueueNotFoundException".into()));
    assert_eq!(served.get("Nobody/_apis/distributedtask/queues").await.status, 404);
}

#[tokio::test]
async fn parallel_jobs_are_told_and_set() {
    let served = Served::start().await;
    let limits = async || served.get("_apis/distributedtask/resourcelimits").await.json()["value"][0].clone();
    assert_eq!(limits().await.get("totalCount"), None, "unlimited");
    let set =
        served.ask("PUT", "_poolproof/parallel-jobs", r#"{"parallelismTag":"Private","limit":2}"#).await;
    assert_eq!(set.status, 204);
    assert_eq!(limits().await["totalCount"], 2);
    let usage = "_apis/distributedtask/resourceusage?parallelismTag=Private&poolIsHosted=False&includeRunningRequests=True";
    let usage = served.get(usage).await.json();
    assert_eq!((&usage["usedCount"], &usage["runningRequests"]), (&0.into(), &json!([])));
    let nonsense = served.ask("PUT", "_poolproof/parallel-jobs", r#"{"limit":"many"}"#).await;
    assert_eq!(nonsense.status, 400);
}

#[tokio::test]
async fn a_list_goes_on_where_its_token_says() {
    let served = Served::start().await;
    served.define("burst", 5);
    served.organization.queue_build("burst").expect("a build");
    let path = format!("{POOLS}/18/jobrequests?%24top=2");
    let mut seen = Vec::new();
    let mut token = None;
    for _ in 0..3 {
        let from = token.as_ref().map_or(String::new(), |token| format!("&continuationToken={token}"));
        let page = served.get(&format!("{path}{from}")).await;
        let rows = page.json()["value"].as_array().expect("a list").clone();
        seen.extend(rows.iter().filter_map(|row| row["requestId"].as_u64()));
        token = page.header("x-ms-continuationtoken").map(str::to_owned);
    }
    assert_eq!((seen, token), (vec![1, 2, 3, 4, 5], None));
    let all = served.get(&format!("{POOLS}/18/jobrequests")).await;
    assert_eq!(all.header("x-ms-continuationtoken"), None);
    let stale = served.get(&format!("{path}&continuationToken=99")).await;
    assert_eq!((stale.status, &stale.json()["typeKey"]), (400, &"InvalidContinuationTokenException".into()));
}

#[tokio::test]
async fn an_error_s_message_is_in_a_header_too() {
    let served = Served::start().await;
    let missing = served.get(&format!("{POOLS}/99")).await;
    assert_eq!(
        missing.header("x-tfs-serviceerror"),
        Some("No%20agent%20pool%20found%20with%20identifier%2099.")
    );
    assert_eq!(served.get(&format!("{POOLS}/18")).await.header("x-tfs-serviceerror"), None);
}

#[tokio::test]
async fn odd_headers_of_clients_do_no_harm() {
    let served = Served::start().await;
    for accept in [
        "Accept:application/json;",
        "Accept: */*",
        "Accept: application/json;api-version=9.9;excludeUrls=true",
    ] {
        let answer = served
            .send("GET", &format!("/acme/{POOLS}"), &[&basic("", crate::client::TOKEN), accept], "")
            .await;
        assert_eq!(answer.status, 200, "{accept}");
    }
    let answer = served.get(&format!("{POOLS}/18/jobrequests?api-version=7.1-preview")).await;
    let told = answer.header("content-type").map(str::to_owned);
    assert_eq!(told.as_deref(), Some("application/json; charset=utf-8; api-version=7.1-preview.1"));
    let unasked = served.get(&format!("{POOLS}/18")).await;
    assert_eq!(unasked.header("content-type"), Some("application/json; charset=utf-8; api-version=7.1"));
}

#[tokio::test]
async fn a_strict_organization_refuses_versions_that_do_not_suit() {
    let switches = azure_devops::Switches {
        api_versions: azure_devops::ApiVersions::Strict,
        ..azure_devops::Switches::default()
    };
    let served = Served::with_switches(switches).await;
    for (method, path, key) in [
        ("GET", "pools?api-version=9.0", "VssVersionOutOfRangeException"),
        ("GET", "pools/18/jobrequests?api-version=7.1", "VssInvalidPreviewVersionException"),
        ("POST", "pools", "VssVersionNotSpecifiedException"),
    ] {
        let refused = served.ask(method, &format!("_apis/distributedtask/{path}"), r#"{"name":"x"}"#).await;
        assert_eq!((refused.status, &refused.json()["typeKey"]), (400, &key.into()), "{path}");
    }
    for path in
        [POOLS.to_owned(), format!("{POOLS}?api-version=7.1"), format!("{POOLS}/18/jobrequests?$top=250")]
    {
        assert_eq!(served.get(&path).await.status, 200, "{path}");
    }
}
