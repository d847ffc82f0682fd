//! api-versions: what a client asks for, whether that suits the resource, and what it is told.
//!
//! A version is in the query, or a parameter of `Accept`, or, of a write, a parameter of `Content-Type`
//! (Microsoft's documentation of REST API versioning). Whatever else these headers say is not minded:
//! start scripts send `Accept:application/json;`, with nothing after the semicolon.

use axum::http::header::{ACCEPT, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue};
use axum::http::{Method, request::Parts};
use axum::response::Response;
use azure_devops::Refusal;

use super::locations::{Location, MAX_VERSION, RELEASED_VERSION};
use crate::query::Query;

/// A version that is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct ApiVersion {
    major: u16,
    minor: u16,
    /// Whether a preview will do, and which.
    preview: Option<Option<u16>>,
}

/// What a request asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Asked {
    Nothing,
    Version(ApiVersion),
    /// Something that is no version.
    Nonsense,
}

impl ApiVersion {
    /// `7.1`, `7.1-preview` or `7.1-preview.2`; a version without a point has a zero after it.
    fn parse(text: &str) -> Option<Self> {
        let (number, preview) = match text.split_once('-') {
            Some((number, preview)) => (number, Some(preview)),
            None => (text, None),
        };
        let (major, minor) = number.split_once('.').unwrap_or((number, "0"));
        let preview = match preview.map(str::to_ascii_lowercase).as_deref() {
            None => None,
            Some("preview") => Some(None),
            Some(preview) => Some(Some(preview.strip_prefix("preview.")?.parse().ok()?)),
        };
        Some(Self { major: major.parse().ok()?, minor: minor.parse().ok()?, preview })
    }

    fn number(self) -> (u16, u16) {
        (self.major, self.minor)
    }
}

/// The number of a version of the table.
fn number(text: &str) -> (u16, u16) {
    ApiVersion::parse(text).map_or((0, 0), ApiVersion::number)
}

/// What a request asks for.
pub(crate) fn asked(method: &Method, query: Option<&str>, headers: &HeaderMap) -> Asked {
    let in_query = Query::parse(query.unwrap_or_default()).text("api-version").map(str::to_owned);
    let found = in_query
        .or_else(|| parameter(headers, &ACCEPT))
        .or_else(|| parameter(headers, &CONTENT_TYPE).filter(|_| is_write(method)));
    match found {
        None => Asked::Nothing,
        Some(text) => ApiVersion::parse(text.trim()).map_or(Asked::Nonsense, Asked::Version),
    }
}

fn is_write(method: &Method) -> bool {
    !matches!(*method, Method::GET | Method::HEAD | Method::OPTIONS)
}

/// The parameter `api-version` of a header.
fn parameter(headers: &HeaderMap, name: &HeaderName) -> Option<String> {
    let values = headers.get_all(name).iter().filter_map(|value| value.to_str().ok());
    let mut parameters =
        values.flat_map(|value| value.split([',', ';'])).filter_map(|one| one.split_once('='));
    let found = parameters.find(|(key, _)| key.trim().eq_ignore_ascii_case("api-version"))?;
    Some(found.1.trim().trim_matches('"').to_owned())
}

/// Whether what is asked for suits the resource.
///
/// # Errors
/// If it does not, in the service's words.
pub(crate) fn check(parts: &Parts, location: &Location) -> Result<(), Refusal> {
    let version = match asked(&parts.method, parts.uri.query(), &parts.headers) {
        // A read without a version gets the latest: neither KEDA nor start scripts send one.
        Asked::Nothing if !is_write(&parts.method) => return Ok(()),
        Asked::Nothing => return Err(Refusal::VersionNotSpecified(parts.method.to_string())),
        Asked::Nonsense => return Err(Refusal::Invalid("The api-version is not one.".to_owned())),
        Asked::Version(version) => version,
    };
    let text = format!("{}.{}", version.major, version.minor);
    if version.number() > number(MAX_VERSION) || version.major == 0 {
        return Err(Refusal::VersionOutOfRange { asked: text, latest: MAX_VERSION });
    }
    let is_preview = !location.released || version.number() > number(RELEASED_VERSION);
    if is_preview && version.preview.is_none() {
        return Err(Refusal::VersionInPreview(text));
    }
    Ok(())
}

/// The version in which a request is answered: small, since a poll keeps it while it is held.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Answered {
    version: ApiVersion,
}

impl Answered {
    /// The version that is asked for, or the latest that is released, of which the resource may be a preview
    /// (seen in public payloads).
    pub(crate) fn of(asked: Asked, location: Option<&Location>) -> Self {
        let latest = location.map_or(1, |location| location.version);
        let released = location.is_none_or(|location| location.released);
        let version = match asked {
            Asked::Version(version) => ApiVersion {
                preview: version
                    .preview
                    .map(|preview| Some(preview.map_or(latest, |asked| asked.min(latest)))),
                ..version
            },
            Asked::Nothing | Asked::Nonsense => {
                let (major, minor) = number(RELEASED_VERSION);
                ApiVersion { major, minor, preview: (!released).then_some(Some(latest)) }
            }
        };
        Self { version }
    }

    /// Tells it, in the content type of a response that is JSON.
    pub(crate) fn tell(self, response: &mut Response) {
        let Some(told) = response.headers_mut().get_mut(CONTENT_TYPE) else { return };
        if !told.as_bytes().starts_with(b"application/json") {
            return;
        }
        let ApiVersion { major, minor, preview } = self.version;
        let preview = preview.flatten().map(|preview| format!("-preview.{preview}")).unwrap_or_default();
        let text = format!("application/json; charset=utf-8; api-version={major}.{minor}{preview}");
        if let Ok(text) = HeaderValue::from_str(&text) {
            *told = text;
        }
    }
}

#[cfg(test)]
mod tests {
    use axum::body::Body;
    use axum::http::Request;

    use super::*;
    use crate::discovery::locations;
    use crate::query;

    fn parts(method: &str, target: &str, headers: &[(&str, &str)]) -> Parts {
        let request = Request::builder().method(method).uri(target);
        let request = headers.iter().fold(request, |request, (name, value)| request.header(*name, *value));
        request.body(Body::empty()).expect("a request").into_parts().0
    }

    fn of(parts: &Parts) -> Asked {
        asked(&parts.method, parts.uri.query(), &parts.headers)
    }

    fn checked(method: &str, target: &str, headers: &[(&str, &str)]) -> Result<(), Refusal> {
        let parts = parts(method, target, headers);
        let location = locations::of_path(&query::segments(parts.uri.path())).expect("a resource");
        check(&parts, location)
    }

    const POOLS: &str = "/_apis/distributedtask/pools";
    const JOB_REQUESTS: &str = "/_apis/distributedtask/pools/1/jobrequests";

    #[test]
    fn a_version_is_in_the_query_or_in_a_header() {
        let expected = Asked::Version(ApiVersion { major: 7, minor: 1, preview: Some(Some(2)) });
        let accept = ("Accept", "application/json;excludeUrls=true;api-version=7.1-preview.2");
        assert_eq!(of(&parts("GET", "/x?API-Version=7.1-preview.2", &[])), expected);
        assert_eq!(of(&parts("GET", "/x", &[accept])), expected);
        let content = ("Content-Type", "application/json; charset=utf-8; api-version=7.1-Preview.2");
        assert_eq!(of(&parts("POST", "/x", &[content])), expected);
        assert_eq!(of(&parts("GET", "/x", &[content])), Asked::Nothing, "a read has no content");
        assert_eq!(
            of(&parts("GET", "/x?api-version=5.0", &[accept])),
            Asked::Version(ApiVersion { major: 5, minor: 0, preview: None })
        );
    }

    #[test]
    fn odd_headers_ask_for_nothing() {
        for accept in ["application/json;", ";;", "application/json;api-version", "*/*"] {
            assert_eq!(of(&parts("GET", "/x", &[("Accept", accept)])), Asked::Nothing, "{accept}");
        }
        for text in ["latest", "7.1-beta", "7.1-preview.x", "-preview"] {
            assert_eq!(of(&parts("GET", &format!("/x?api-version={text}"), &[])), Asked::Nonsense, "{text}");
        }
    }

    #[test]
    fn a_released_resource_is_asked_for_bare_and_a_preview_is_not() {
        assert_eq!(checked("GET", &format!("{POOLS}?api-version=7.1"), &[]), Ok(()));
        assert_eq!(checked("GET", &format!("{POOLS}?api-version=7.2-preview.1"), &[]), Ok(()));
        let newer = checked("GET", &format!("{POOLS}?api-version=7.2"), &[]);
        assert_eq!(newer, Err(Refusal::VersionInPreview("7.2".to_owned())));
        let preview = checked("GET", &format!("{JOB_REQUESTS}?api-version=7.1"), &[]);
        assert_eq!(preview, Err(Refusal::VersionInPreview("7.1".to_owned())));
        assert_eq!(checked("GET", &format!("{JOB_REQUESTS}?api-version=7.1-preview"), &[]), Ok(()));
    }

    #[test]
    fn a_version_that_nobody_knows_is_out_of_range() {
        for (asked, text) in [("9.0", "9.0"), ("7.3-preview.1", "7.3"), ("0.9", "0.9")] {
            let refused = checked("GET", &format!("{POOLS}?api-version={asked}"), &[]);
            assert_eq!(refused, Err(Refusal::VersionOutOfRange { asked: text.to_owned(), latest: "7.2" }));
        }
        assert_eq!(checked("GET", &format!("{POOLS}?api-version=1.0"), &[]), Ok(()));
    }

    #[test]
    fn a_write_names_a_version_and_a_read_need_not() {
        assert_eq!(checked("GET", POOLS, &[("Accept", "application/json;")]), Ok(()));
        let refused = checked("POST", POOLS, &[]);
        assert_eq!(refused, Err(Refusal::VersionNotSpecified("POST".to_owned())));
        assert!(matches!(checked("GET", &format!("{POOLS}?api-version=new"), &[]), Err(Refusal::Invalid(_))));
    }

    #[test]
    fn an_answer_tells_the_version_that_it_has() {
        let told = |target: &str, content_type: &'static str| {
            let parts = parts("GET", target, &[]);
            let location = locations::of_path(&query::segments(parts.uri.path()));
            let mut response = Response::new(Body::empty());
            response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
            Answered::of(of(&parts), location).tell(&mut response);
            let told = response.headers().get(CONTENT_TYPE).and_then(|value| value.to_str().ok());
            told.unwrap_or_default().replace("application/json; charset=utf-8; api-version=", "")
        };
        let json = "application/json; charset=utf-8; api-version=7.1";
        assert_eq!(told(POOLS, json), "7.1");
        assert_eq!(told(JOB_REQUESTS, json), "7.1-preview.1");
        assert_eq!(told(&format!("{POOLS}?api-version=6.0"), json), "6.0");
        assert_eq!(told(&format!("{POOLS}?api-version=7.1-preview"), json), "7.1-preview.1");
        assert_eq!(told("/p/_apis/build/builds?api-version=7.1-preview.9", json), "7.1-preview.7");
        assert_eq!(told(POOLS, "text/html"), "text/html");
    }
}
