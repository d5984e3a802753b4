//! What the clients really send, and what they make of listings.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

use url::Url;

use super::letters;
use crate::{ErrorKind, Result, Store, StoreProfiles};

/// Answers every request by its path and query; remembers them.
struct Server {
    endpoint: String,
    requests: Arc<Mutex<Vec<String>>>,
}

impl Server {
    fn new(answer: impl Fn(&str) -> String + Send + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = listener.local_addr().expect("an address");
        let requests = Arc::new(Mutex::new(Vec::new()));
        let seen = Arc::clone(&requests);
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                // A client that goes away early is none of the server's business.
                let _ = serve(stream, &answer, &seen);
            }
        });
        Self {
            endpoint: format!("http://{address}"),
            requests,
        }
    }

    fn open(&self, url: &str) -> Store {
        let (scheme, _) = url.split_once("://").expect("a URL");
        let account = match scheme {
            "az" => "account-name = 'me'\n",
            _ => "",
        };
        let profile = format!(
            "[stores.x]\nurl = '{scheme}://bucket'\nendpoint = '{}'\nallow-http = true\n\
             anonymous = true\n{account}",
            self.endpoint
        );
        let profiles = StoreProfiles::parse(&profile).expect("a profile");
        profiles.open(url).expect("a client")
    }

    fn requests(&self) -> Vec<String> {
        std::mem::take(&mut *self.requests.lock().expect("no panic"))
    }
}

/// One request for each connection.
fn serve(
    mut stream: TcpStream,
    answer: &impl Fn(&str) -> String,
    seen: &Mutex<Vec<String>>,
) -> std::io::Result<()> {
    let mut head = Vec::new();
    let mut byte = [0];
    while !head.ends_with(b"\r\n\r\n") {
        stream.read_exact(&mut byte)?;
        head.extend(byte);
    }
    let head = String::from_utf8(head).expect("plain text");
    let target = head.split(' ').nth(1).expect("a target").to_owned();
    let body = answer(&target);
    let reply = format!(
        "HTTP/1.1 200 OK\r\nETag: \"1\"\r\nLast-Modified: Thu, 01 Jan 2026 00:00:00 GMT\r\n\
         x-ms-blob-type: BlockBlob\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}",
        body.len()
    );
    // Before the answer, so that whoever has that finds the request.
    seen.lock().expect("no panic").push(target);
    stream.write_all(reply.as_bytes())
}

fn unescape(path: &str) -> String {
    let url = Url::parse(&format!("file://{path}")).expect("a path");
    let path = url.to_file_path().expect("a path");
    path.into_os_string().into_string().expect("UTF-8")
}

#[tokio::test]
async fn requests_name_the_object_that_was_asked_for() -> Result<()> {
    let server = Server::new(|_| String::new());
    for scheme in ["s3", "gs", "az"] {
        let store = server.open(&format!("{scheme}://bucket/a#b?c%23"));
        let all: String = letters().collect();
        let blanks = " x /%2e%2e/%2F/.../~".to_owned();
        for key in [all, blanks] {
            store.head(&key).await?;
            let [request] = <[String; 1]>::try_from(server.requests()).expect("one request");
            assert!(request.is_ascii() && !request.contains(['#', '?', ' ']));
            // Google's client escapes slashes too.
            assert_eq!(unescape(&request), format!("/bucket/a#b?c%23/{key}"));
        }
    }
    Ok(())
}

/// A store of these keys that lists as S3 does.
fn lister(keys: Vec<String>) -> impl Fn(&str) -> String {
    move |target| {
        let url = Url::parse(&format!("http://host{target}")).expect("a target");
        let asked = |wanted: &str| {
            let mut pairs = url.query_pairs();
            pairs.find_map(|(name, value)| (name == wanted).then(|| value.into_owned()))
        };
        let prefix = asked("prefix").unwrap_or_default();
        let after = asked("continuation-token").or_else(|| asked("start-after"));
        let after = after.unwrap_or_default();
        let most = asked("max-keys").map_or(1000, |most| most.parse().expect("a number"));
        let mut left = keys
            .iter()
            .filter(|key| key.starts_with(&prefix) && **key > after)
            .peekable();
        let mut page = String::new();
        let mut last = String::new();
        for key in left.by_ref().take(most) {
            last = escape(key);
            page += &format!(
                "<Contents><Key>{last}</Key><LastModified>2026-01-01T00:00:00.000Z</LastModified>\
                 <ETag>\"1\"</ETag><Size>1</Size></Contents>"
            );
        }
        let token = match left.peek() {
            Some(_) => format!("<NextContinuationToken>{last}</NextContinuationToken>"),
            None => String::new(),
        };
        format!("<?xml version=\"1.0\"?><ListBucketResult>{token}{page}</ListBucketResult>")
    }
}

fn escape(text: &str) -> String {
    let escaped = text.replace('&', "&amp;").replace('<', "&lt;");
    escaped.replace('\n', "&#10;")
}

async fn keys_below(server: &Server, url: &str) -> Result<Vec<String>> {
    let entries = server.open(url).list("").await?;
    Ok(entries.into_iter().map(|entry| entry.key).collect())
}

#[tokio::test]
async fn listings_give_keys_as_they_are() -> Result<()> {
    let mut names: Vec<_> = letters().map(|c| format!("x{c}y")).collect();
    names.extend(
        [
            "%23",
            "a b",
            "données.parquet",
            "x ",
            " x",
            "x &amp; ",
            "a&#43;",
        ]
        .map(str::to_owned),
    );
    names.sort();
    let mut keys: Vec<_> = names.iter().map(|name| format!("w é#/{name}")).collect();
    // The folder's own object, and its neighbour.
    keys.extend(["w é#/", "w é#x"].map(str::to_owned));
    keys.sort();
    let server = Server::new(lister(keys));
    for scheme in ["s3", "gs"] {
        let found = keys_below(&server, &format!("{scheme}://bucket/w é#")).await?;
        assert_eq!(found, names, "{scheme}");
    }
    Ok(())
}

#[tokio::test]
async fn keys_that_are_no_paths_hide_no_others() -> Result<()> {
    let mut good: Vec<_> = (0..2500).map(|i| format!("x{i:04}.parquet")).collect();
    let odd = [
        "logs//y.txt",
        "x0000//",
        "x0999./../b",
        "x2499.parquet//",
        "x1200\nx",
    ];
    let mut keys: Vec<_> = good.iter().map(|key| format!("od/{key}")).collect();
    keys.extend(odd.map(|key| format!("od/{key}")));
    keys.sort();
    let server = Server::new(lister(keys));
    good.sort();
    assert_eq!(keys_below(&server, "s3://bucket/od").await?, good);
    assert!(server.requests().len() < 150);
    Ok(())
}

#[tokio::test]
async fn a_listing_that_cannot_go_on_names_the_key() {
    let list = lister(vec!["od/logs//y.txt".to_owned()]);
    // It does not know how to start behind a key.
    let server = Server::new(move |target| list(&target.replace("start-after", "ignored")));
    let error = keys_below(&server, "s3://bucket/od").await;
    let error = error.expect_err("no end");
    assert_eq!(error.kind, ErrorKind::InvalidInput);
    assert!(error.message.contains("\"od/logs//y.txt\""), "{error}");
    assert!(error.message.contains("two slashes in a row"), "{error}");
    assert!(error.message.contains("rename or delete"), "{error}");
}
