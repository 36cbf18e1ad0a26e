//! Chromium through chromedriver, spoken to in the WebDriver protocol (W3C WebDriver 2) itself.

use std::{
    io::{BufRead, BufReader},
    os::unix::process::CommandExt,
    path::PathBuf,
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use nugul_platform::Artifacts;
use reqwest::Method;
use serde_json::{Value, json};

use crate::wait::eventually;

/// How long a page may take to show what is waited for.
pub const PAGE_LIMIT: Duration = Duration::from_secs(30);
/// How long chromedriver may take to start.
const START_LIMIT: Duration = Duration::from_secs(20);
/// How long one command may take: a page is loaded within it.
const COMMAND_LIMIT: Duration = Duration::from_mins(1);
/// The name of an element reference (W3C WebDriver 2, 12.1).
const ELEMENT: &str = "element-6066-11e4-a52e-4f735466cecf";
/// No first-run pages, no calls home, and what a machine without a screen needs.
const ARGUMENTS: [&str; 9] = [
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--window-size=1200,1400",
];

/// A running chromedriver. Dropping it ends it with every browser it started.
#[derive(Debug)]
pub struct Driver {
    child: Child,
    origin: String,
    http: reqwest::Client,
    chromium: PathBuf,
    profiles: PathBuf,
}

impl Driver {
    /// Starts chromedriver on a free port; browsers keep their profiles below `profiles`.
    pub fn start(profiles: PathBuf) -> Self {
        let artifacts = Artifacts::from_env().expect("a build");
        let driver = artifacts.chromedriver.expect("chromedriver; on Debian: apt-get install chromium-driver");
        let chromium = artifacts.chromium.expect("chromium; on Debian: apt-get install chromium");
        let mut command = Command::new(driver);
        let mut child = command
            .arg("--port=0")
            .process_group(0)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("chromedriver starts");
        let out = child.stdout.take().expect("its output");
        let (found, port) = std::sync::mpsc::channel();
        // Reads to the end, so that chromedriver never waits for a reader.
        std::thread::spawn(move || {
            for line in BufReader::new(out).lines().map_while(Result::ok) {
                if let Some((_, rest)) = line.split_once("started successfully on port ") {
                    let digits: String = rest.chars().take_while(char::is_ascii_digit).collect();
                    // Nobody listens any more where the start took too long.
                    let _ = found.send(digits);
                }
            }
        });
        let mut driver = Self {
            child,
            origin: String::new(),
            http: reqwest::Client::builder().timeout(COMMAND_LIMIT).no_proxy().build().expect("an HTTP client"),
            chromium,
            profiles,
        };
        let port = port.recv_timeout(START_LIMIT).expect("chromedriver's port");
        driver.origin = format!("http://127.0.0.1:{port}");
        driver
    }

    /// A new browser with a profile of its own.
    pub async fn open(&self, name: &str) -> Browser {
        let mut arguments: Vec<String> = ARGUMENTS.map(str::to_owned).into();
        arguments.push(format!("--user-data-dir={}", self.profiles.join(name).display()));
        let options = json!({ "binary": self.chromium, "args": arguments });
        let body =
            json!({ "capabilities": { "alwaysMatch": { "browserName": "chrome", "goog:chromeOptions": options } } });
        let value =
            call(&self.http, Method::POST, &format!("{}/session", self.origin), Some(body)).await.expect("a browser");
        let session = value["sessionId"].as_str().expect("a session").to_owned();
        Browser {
            http: self.http.clone(),
            session: format!("{}/session/{session}", self.origin),
            name: name.to_owned(),
        }
    }
}

impl Drop for Driver {
    fn drop(&mut self) {
        let group = format!("-{}", self.child.id());
        // The whole group: chromedriver and its browsers.
        let _ = Command::new("kill").args(["-KILL", "--", &group]).status();
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// One browser with one page.
#[derive(Clone, Debug)]
pub struct Browser {
    http: reqwest::Client,
    session: String,
    name: String,
}

impl Browser {
    /// Goes to this address and waits until it is loaded.
    pub async fn go(&self, url: &str) {
        self.command(Method::POST, "url", Some(json!({ "url": url }))).await;
    }

    /// Where the browser is.
    pub async fn url(&self) -> String {
        self.command(Method::GET, "url", None).await.as_str().unwrap_or_default().to_owned()
    }

    /// What the page says now.
    pub async fn says(&self) -> String {
        self.eval("document.body ? document.body.innerText.slice(0, 2000) : ''")
            .await
            .as_str()
            .unwrap_or_default()
            .to_owned()
    }

    /// Waits for an element.
    pub async fn find(&self, selector: &str) -> Element<'_> {
        let end = Instant::now() + PAGE_LIMIT;
        loop {
            if let Some(id) = self.try_find(selector).await {
                return Element { browser: self, id };
            }
            assert!(
                Instant::now() < end,
                "{}: no {selector} at {}:\n{}",
                self.name,
                self.url().await,
                self.says().await
            );
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    async fn try_find(&self, selector: &str) -> Option<String> {
        let body = json!({ "using": "css selector", "value": selector });
        let value = call(&self.http, Method::POST, &format!("{}/element", self.session), Some(body)).await.ok()?;
        value[ELEMENT].as_str().map(str::to_owned)
    }

    /// Waits until an element is there, may be pressed, and presses it.
    pub async fn press(&self, selector: &str) {
        self.true_here(&format!("(e => e && !e.disabled)(document.querySelector({}))", json!(selector))).await;
        let id = self.find(selector).await.id;
        self.command(Method::POST, &format!("element/{id}/click"), Some(json!({}))).await;
    }

    /// Types into a field.
    pub async fn fill(&self, selector: &str, text: &str) {
        let id = self.find(selector).await.id;
        self.command(Method::POST, &format!("element/{id}/value"), Some(json!({ "text": text }))).await;
    }

    /// Cuts the browser off from the network, or lets it back.
    pub async fn cut_off(&self, offline: bool) {
        let conditions = json!({ "offline": offline, "latency": 0, "throughput": 100_000_000 });
        let body = json!({ "network_conditions": conditions });
        self.command(Method::POST, "chromium/network_conditions", Some(body)).await;
    }

    /// Makes the window this large, in CSS pixels.
    pub async fn resize(&self, width: u32, height: u32) {
        let size = json!({ "width": width, "height": height });
        self.command(Method::POST, "window/rect", Some(size)).await;
    }

    /// What an expression gives in the page.
    pub async fn eval(&self, expression: &str) -> Value {
        let body = json!({ "script": format!("return ({expression});"), "args": [] });
        self.command(Method::POST, "execute/sync", Some(body)).await
    }

    /// Waits until an expression is true in the page.
    pub async fn true_here(&self, expression: &str) {
        let body = json!({ "script": format!("return !!({expression});"), "args": [] });
        let url = format!("{}/execute/sync", self.session);
        eventually(&format!("{}: {expression}", self.name), PAGE_LIMIT, async || {
            // While a page is being left there is none to ask.
            let value = call(&self.http, Method::POST, &url, Some(body.clone())).await.ok()?;
            (value == json!(true)).then_some(())
        })
        .await;
    }

    async fn command(&self, method: Method, path: &str, body: Option<Value>) -> Value {
        let url = format!("{}/{path}", self.session);
        call(&self.http, method, &url, body).await.unwrap_or_else(|error| panic!("{}: {path}: {error}", self.name))
    }
}

/// An element of a page.
#[derive(Debug)]
pub struct Element<'a> {
    browser: &'a Browser,
    id: String,
}

impl Element<'_> {
    /// Its text as shown.
    pub async fn text(&self) -> String {
        let path = format!("element/{}/text", self.id);
        self.browser.command(Method::GET, &path, None).await.as_str().unwrap_or_default().to_owned()
    }

    /// An attribute.
    pub async fn attribute(&self, name: &str) -> Option<String> {
        let path = format!("element/{}/attribute/{name}", self.id);
        self.browser.command(Method::GET, &path, None).await.as_str().map(str::to_owned)
    }
}

async fn call(http: &reqwest::Client, method: Method, url: &str, body: Option<Value>) -> Result<Value, String> {
    let mut request = http.request(method, url);
    if let Some(body) = body {
        request = request.json(&body);
    }
    let answer = request.send().await.map_err(|error| error.to_string())?;
    let mut answer: Value = answer.json().await.map_err(|error| error.to_string())?;
    let value = answer["value"].take();
    match value.get("error") {
        Some(error) => Err(format!("{error}: {}", value["message"])),
        None => Ok(value),
    }
}
