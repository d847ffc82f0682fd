//! What clients look up before they begin.

use model::Fact;

use crate::client::{Served, basic};

#[tokio::test]
async fn health_is_told_without_a_token() {
    let served = Served::start().await;
    let answer = served.send("GET", "/_poolproof/health", &[], "").await;
    assert_eq!((answer.status, &answer.json()["status"]), (200, &"ok".into()));
    assert_eq!(served.send("GET", "/_poolproof/wealth", &[], "").await.status, 404);
}

#[tokio::test]
async fn connection_data_names_the_organization_by_the_client_s_own_address() {
    let served = Served::start().await;
    let data = served.get("_apis/connectionData?connectOptions=1&lastChangeId=-1").await.json();
    assert_eq!(data["locationServiceData"]["serviceOwner"], "00000000-0000-0000-0000-000000000000");
    let mapping = &data["locationServiceData"]["accessMappings"][0];
    assert_eq!(mapping["accessPoint"], "http://ado.example:8080/Acme/");
    let again = served.get("_APIS/CONNECTIONDATA").await.json();
    assert_eq!(data["instanceId"], again["instanceId"]);
}

#[tokio::test]
async fn areas_live_at_the_address_itself() {
    let served = Served::start().await;
    for path in ["_apis/ResourceAreas", "_apis/resourceareas/a85b8835-c1a1-4aac-ae97-1c3d0ba72dbd"] {
        assert_eq!(served.get(path).await.body, br#"{"count":0,"value":null}"#, "{path}");
    }
}

#[tokio::test]
async fn locations_are_told_all_at_once_or_of_an_area() {
    let served = Served::start().await;
    let all = served.ask("OPTIONS", "_apis", "").await.json();
    let value = all["value"].as_array().expect("a list");
    assert_eq!(all["count"], value.len());
    let pools = value.iter().find(|one| one["resourceName"] == "pools").expect("pools");
    assert_eq!(pools["id"], "a8c47e17-4d56-4a56-92bb-de7ea7dc65be");
    assert_eq!(pools["routeTemplate"], "_apis/{area}/{resource}/{poolId}");
    assert_eq!((&pools["minVersion"], &pools["maxVersion"]), (&"1.0".into(), &"7.2".into()));
    let requests = value.iter().find(|one| one["resourceName"] == "jobrequests").expect("job requests");
    assert_eq!((&pools["releasedVersion"], &requests["releasedVersion"]), (&"7.1".into(), &"0.0".into()));

    let build = served.ask("OPTIONS", "_apis/Build", "").await.json();
    let areas: Vec<&str> =
        build["value"].as_array().expect("a list").iter().filter_map(|one| one["area"].as_str()).collect();
    assert!(!areas.is_empty() && areas.iter().all(|area| *area == "build"), "{areas:?}");
    assert_eq!(served.ask("OPTIONS", "_apis/wit", "").await.json()["count"], 0);
}

#[tokio::test]
async fn what_lies_above_an_organization_has_no_locations() {
    let served = Served::start().await;
    let parent = served.send("OPTIONS", "/_apis", &[], "").await;
    assert_eq!((parent.status, parent.body.as_slice()), (200, &br#"{"count":0,"value":[]}"#[..]));
    assert_eq!(served.send("GET", "/_apis", &[], "").await.status, 404);
}

#[tokio::test]
async fn start_sh_finds_its_package_and_downloads_it_without_a_token() {
    let served = Served::start().await;
    let headers = [&*basic("user", crate::client::TOKEN), "Accept:application/json;"];
    let list = "/acme/_apis/distributedtask/packages/agent?platform=linux-x64&top=1";
    let list = served.send("GET", list, &headers, "").await.json();
    let url = list["value"][0]["downloadUrl"].as_str().expect("an address");
    let path = url.strip_prefix("http://ado.example:8080").expect("the client's own address");
    let file = served.send("GET", path, &[], "").await;
    assert_eq!((file.status, file.body), (200, crate::client::package().bytes));
    assert_eq!(served.send("GET", "/_poolproof/packages/other.tar.gz", &[], "").await.status, 404);
}

#[tokio::test]
async fn packages_are_also_asked_for_by_platform_and_by_version() {
    let served = Served::start().await;
    let list = served.get("_apis/distributedtask/packages/agent/linux-x64?$top=1").await.json();
    assert_eq!(list["count"], 1);
    let one = served.get("_apis/distributedtask/packages/agent/linux-x64/4.258.1").await.json();
    assert_eq!(one["filename"], "vsts-agent-linux-x64-4.258.1.tar.gz");
    assert_eq!(served.get("_apis/distributedtask/packages/agent/linux-x64/1.0.0").await.status, 404);
    assert_eq!(served.get("_apis/distributedtask/packages/agent?platform=win-x64").await.json()["count"], 0);
}

#[tokio::test]
async fn what_is_not_modelled_answers_501_names_itself_and_is_logged() {
    let mut served = Served::start().await;
    let route = "GET /acme/_apis/distributedtask/yamlschema";
    let answer = served.get("_apis/distributedtask/yamlschema?x=secret").await;
    assert_eq!((answer.status, &answer.json()["typeKey"]), (501, &"NotImplementedException".into()));
    assert_eq!(answer.json()["message"], format!("{route} is not modelled by Poolproof."));
    let logged = served.event(|fact| match fact {
        Fact::Request { method, route, status: 501, .. } => Some(format!("{method} {route}")),
        _ => None,
    });
    assert_eq!(logged.await, route, "without the query");
    let method = served.ask("PUT", "_apis/distributedtask/pools/18", "").await;
    assert_eq!(method.status, 501, "the route is there, the method is not modelled");
}

#[tokio::test]
async fn paths_that_no_location_has_answer_501_and_name_themselves() {
    let served = Served::start().await;
    for path in [
        "_apis/wit/workitems/1",
        "shop/_apis/test/runs",
        "_apis/distributedtask/nothing",
        "_apis/distributedtask/pools/18/agents/1/nothing",
        "_apis",
        "nothing",
    ] {
        for method in ["GET", "POST"] {
            let answer = served.ask(method, path, "").await;
            let told = format!("{method} /acme/{path} is not modelled by Poolproof.");
            assert_eq!((answer.status, &answer.json()["message"]), (501, &told.into()));
        }
    }
}

#[tokio::test]
async fn an_organization_that_is_not_there_is_not_found() {
    let served = Served::start().await;
    for path in ["/", "/nobody/_apis/connectionData", "/_apis"] {
        assert_eq!(served.send("GET", path, &[], "").await.status, 404, "{path}");
    }
}
