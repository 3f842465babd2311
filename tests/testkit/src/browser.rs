//! A real browser: Debian's Chromium without a window, driven through its WebDriver.
//!
//! ```no_run
//! # async fn story() -> anyhow::Result<()> {
//! use gridlatch_testkit::browser::{Browser, Look};
//! let browser = Browser::start(Look::DESK).await?;
//! browser.goto("http://127.0.0.1:8080/?token=...").await?;
//! browser.wait_text("#live-state", "Live").await?;
//! browser.screenshot("overview").await?;
//! browser.assert_quiet().await?; // no script error, nothing against the page's policy
//! browser.close().await
//! # }
//! ```

use std::path::PathBuf;
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, anyhow, bail, ensure};
use base64::Engine as _;
use fantoccini::wd::WebDriverCompatibleCommand;
use fantoccini::{Client, ClientBuilder, Locator};
use hyper_util::client::legacy::connect::HttpConnector;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::Process;

/// How long a page may take to show what it should.
const LIMIT: Duration = Duration::from_secs(20);

/// A screen: size in CSS pixels, and whether the reader prefers dark.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Look {
    /// Width of the page.
    pub width: u32,
    /// Height of what is seen at once.
    pub height: u32,
    /// `prefers-color-scheme: dark`.
    pub dark: bool,
}

impl Look {
    /// A desk, light.
    pub const DESK: Self = Self {
        width: 1280,
        height: 900,
        dark: false,
    };
    /// A telephone, light.
    pub const PHONE: Self = Self {
        width: 390,
        height: 844,
        dark: false,
    };

    /// The same screen in the dark.
    #[must_use]
    pub const fn dark(self) -> Self {
        Self { dark: true, ..self }
    }
}

/// A browser with one page and a profile of its own. Dropping it ends driver and browser.
#[derive(Debug)]
pub struct Browser {
    client: Client,
    profile: TempDir,
    _driver: Process,
}

impl Browser {
    /// Starts driver and browser on free ports.
    ///
    /// # Errors
    /// When one of them does not start.
    pub async fn start(look: Look) -> Result<Self> {
        let (driver, port) = driver()?;
        let profile = crate::temp::dir()?;
        let args = [
            "--headless".to_owned(),
            "--no-sandbox".to_owned(),
            "--disable-gpu".to_owned(),
            "--disable-quic".to_owned(),
            "--disable-dev-shm-usage".to_owned(),
            "--no-first-run".to_owned(),
            "--disable-background-networking".to_owned(),
            "--disable-component-update".to_owned(),
            "--disable-sync".to_owned(),
            "--hide-scrollbars".to_owned(),
            format!("--user-data-dir={}", profile.path().display()),
            format!("--window-size={},{}", look.width, look.height),
        ];
        let capabilities = json!({
            "browserName": "chrome",
            "goog:chromeOptions": { "args": args },
            "goog:loggingPrefs": { "browser": "ALL" },
        });
        let Value::Object(capabilities) = capabilities else {
            bail!("capabilities are an object");
        };
        let client = ClientBuilder::new(HttpConnector::new())
            .capabilities(capabilities)
            .connect(&format!("http://127.0.0.1:{port}"))
            .await
            .context("starting Chromium")?;
        let browser = Self {
            client,
            profile,
            _driver: driver,
        };
        browser.look(look).await?;
        Ok(browser)
    }

    /// The WebDriver client, for what is not here.
    #[must_use]
    pub const fn client(&self) -> &Client {
        &self.client
    }

    /// Changes the screen.
    ///
    /// # Errors
    /// When the browser is gone.
    pub async fn look(&self, look: Look) -> Result<()> {
        let metrics = json!({"width": look.width, "height": look.height, "deviceScaleFactor": 1, "mobile": look.width < 600});
        self.devtools("Emulation.setDeviceMetricsOverride", metrics)
            .await?;
        let scheme = if look.dark { "dark" } else { "light" };
        let features = json!({"features": [{"name": "prefers-color-scheme", "value": scheme}]});
        self.devtools("Emulation.setEmulatedMedia", features).await?;
        Ok(())
    }

    /// Opens an address and waits for the page to load.
    ///
    /// # Errors
    /// When it cannot be opened.
    pub async fn goto(&self, url: &str) -> Result<()> {
        self.client
            .goto(url)
            .await
            .with_context(|| format!("opening {url}"))
    }

    /// Runs script in the page; `return` gives the value.
    ///
    /// # Errors
    /// When the script throws.
    pub async fn script(&self, text: &str) -> Result<Value> {
        self.client
            .execute(text, vec![])
            .await
            .context("running script in the page")
    }

    /// The text of the first element that matches, or nothing.
    ///
    /// # Errors
    /// When the browser is gone.
    pub async fn text(&self, css: &str) -> Result<Option<String>> {
        let found = self
            .client
            .execute(
                "const e = document.querySelector(arguments[0]); return e && e.textContent",
                vec![json!(css)],
            )
            .await?;
        Ok(found.as_str().map(str::to_owned))
    }

    /// Waits until the first element that matches contains a text.
    ///
    /// # Errors
    /// When it does not within 20 s.
    pub async fn wait_text(&self, css: &str, wanted: &str) -> Result<String> {
        let mut last = None;
        self.wait(&format!("{wanted:?} in {css}"), async || {
            last = self.text(css).await?;
            Ok(last.as_ref().is_some_and(|text| text.contains(wanted)))
        })
        .await
        .with_context(|| format!("it says {last:?}"))?;
        last.context("the element has no text")
    }

    /// Waits until `done` says so.
    ///
    /// # Errors
    /// When it does not within 20 s, or fails.
    pub async fn wait(&self, what: &str, mut done: impl AsyncFnMut() -> Result<bool>) -> Result<()> {
        let until = Instant::now() + LIMIT;
        loop {
            if done().await? {
                return Ok(());
            }
            ensure!(Instant::now() < until, "no {what} within {LIMIT:?}");
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }

    /// Clicks the first element that matches and waits for the page it leads to.
    ///
    /// # Errors
    /// When there is none.
    pub async fn click(&self, css: &str) -> Result<()> {
        let element = self
            .client
            .find(Locator::Css(css))
            .await
            .with_context(|| format!("looking for {css}"))?;
        element.click().await.with_context(|| format!("clicking {css}"))
    }

    /// Types into the first element that matches, replacing what it holds.
    ///
    /// # Errors
    /// When there is none.
    pub async fn fill(&self, css: &str, text: &str) -> Result<()> {
        let element = self
            .client
            .find(Locator::Css(css))
            .await
            .with_context(|| format!("looking for {css}"))?;
        element.clear().await?;
        element
            .send_keys(text)
            .await
            .with_context(|| format!("typing into {css}"))
    }

    /// The whole page as `target/screenshots/<name>.png`.
    ///
    /// # Errors
    /// When it cannot be taken or written.
    pub async fn screenshot(&self, name: &str) -> Result<PathBuf> {
        let taken = self
            .devtools(
                "Page.captureScreenshot",
                json!({"format": "png", "captureBeyondViewport": true}),
            )
            .await?;
        let data = taken["data"].as_str().context("a screenshot without data")?;
        let bytes = base64::engine::general_purpose::STANDARD.decode(data)?;
        let folder = crate::temp::target().join("screenshots");
        std::fs::create_dir_all(&folder)?;
        let path = folder.join(format!("{name}.png"));
        std::fs::write(&path, bytes).with_context(|| format!("writing {}", path.display()))?;
        Ok(path)
    }

    /// What the browser complained about since the last call: script errors, refused resources, violations of
    /// the page's policy.
    ///
    /// # Errors
    /// When the browser is gone.
    pub async fn complaints(&self) -> Result<Vec<String>> {
        let lines = self
            .client
            .issue_cmd(Raw {
                path: "se/log",
                body: json!({"type": "browser"}),
            })
            .await?;
        let lines = lines.as_array().cloned().unwrap_or_default();
        let bad = lines
            .iter()
            .filter(|line| matches!(line["level"].as_str(), Some("SEVERE" | "WARNING")));
        Ok(bad
            .map(|line| line["message"].as_str().unwrap_or_default().to_owned())
            .collect())
    }

    /// Fails when the browser complained about anything.
    ///
    /// # Errors
    /// With the complaints.
    pub async fn assert_quiet(&self) -> Result<()> {
        let complaints = self.complaints().await?;
        ensure!(complaints.is_empty(), "the browser complains: {complaints:#?}");
        Ok(())
    }

    /// A command of the DevTools protocol.
    ///
    /// # Errors
    /// When the browser refuses it.
    pub async fn devtools(&self, command: &'static str, params: Value) -> Result<Value> {
        let body = json!({"cmd": command, "params": params});
        self.client
            .issue_cmd(Raw {
                path: "goog/cdp/execute",
                body,
            })
            .await
            .map_err(|e| anyhow!(e))
            .with_context(|| format!("DevTools {command}"))
    }

    /// Ends the browser in order.
    ///
    /// # Errors
    /// When it was gone already.
    pub async fn close(self) -> Result<()> {
        self.client.clone().close().await.context("closing the browser")
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        // The driver gives the browser a process group of its own, so its end does not end the browser. The
        // browser's lock in its profile names its process: `<host>-<pid>`.
        let lock = std::fs::read_link(self.profile.path().join("SingletonLock"));
        let pid = lock.ok().and_then(|lock| {
            let name = lock.to_string_lossy().into_owned();
            rustix::process::Pid::from_raw(name.rsplit('-').next()?.parse().ok()?)
        });
        if let Some(pid) = pid {
            let _ = rustix::process::kill_process(pid, rustix::process::Signal::KILL);
        }
    }
}

/// A command of Chromium's driver that WebDriver does not have.
#[derive(Debug)]
struct Raw {
    path: &'static str,
    body: Value,
}

impl WebDriverCompatibleCommand for Raw {
    fn endpoint(&self, base: &url::Url, session: Option<&str>) -> Result<url::Url, url::ParseError> {
        base.join(&format!("session/{}/{}", session.unwrap_or_default(), self.path))
    }

    fn method_and_body(&self, _: &url::Url) -> (http::Method, Option<String>) {
        (http::Method::POST, Some(self.body.to_string()))
    }
}

/// Starts a driver on a port of its own choice. It takes a free IPv6 port first and gives up when somebody has the
/// IPv4 port of the same number, which two tests at once can bring about: then it is started again.
fn driver() -> Result<(Process, u16)> {
    const READY: &str = "started successfully on port ";
    const ATTEMPTS: u32 = 5;
    let mut attempt = 1;
    loop {
        let mut command = Command::new("chromedriver");
        command.arg("--port=0");
        let mut driver = Process::spawn("chromedriver", command)?;
        match driver.wait_line(LIMIT, |line| line.contains(READY)) {
            Ok(line) => {
                let port = line
                    .split(READY)
                    .nth(1)
                    .and_then(|rest| rest.trim_end_matches('.').parse().ok())
                    .with_context(|| format!("no port in {line:?}"))?;
                return Ok((driver, port));
            }
            Err(problem) if attempt == ATTEMPTS => return Err(problem),
            Err(_) => attempt += 1,
        }
    }
}
