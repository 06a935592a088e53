//! A browser window that shows a page.

use std::ffi::OsStr;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};

use headless_chrome::protocol::cdp::types::Event;
use headless_chrome::protocol::cdp::{Emulation, Runtime};
use headless_chrome::{Browser, LaunchOptions, Tab};
use reports::record::Results;
use serde_json::Value;
use tempfile::TempDir;

/// A browser window that shows a page from a file on the disk.
pub struct Window {
    tab: Arc<Tab>,
    address: String,
    complaints: Arc<Mutex<Vec<String>>>,
    // Kept, because both end when their handles are dropped.
    _browser: Browser,
    _directory: TempDir,
}

impl Window {
    /// Opens the page of a run, 1440 pixels wide, in light mode.
    pub fn open(results: &Results) -> Window {
        let directory = TempDir::new_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
        let file = directory.path().join("report.html");
        std::fs::write(&file, reports::render::html(results)).unwrap();
        let options = LaunchOptions {
            path: Some(chromium()),
            // The sandbox does not work for root, and the page is our own.
            sandbox: false,
            args: vec![OsStr::new("--disable-dev-shm-usage")],
            // Removed with the directory.
            user_data_dir: Some(directory.path().join("profile")),
            ..LaunchOptions::default()
        };
        let browser = Browser::new(options).unwrap();
        let tab = browser.new_tab().unwrap();
        let complaints = Arc::new(Mutex::new(Vec::new()));
        let heard = Arc::clone(&complaints);
        tab.add_event_listener(Arc::new(move |event: &Event| {
            heard.lock().unwrap().extend(complaint(event));
        }))
        .unwrap();
        tab.enable_runtime().unwrap().enable_log().unwrap();
        let address = format!("file://{}", file.display());
        let window = Window { tab, address, complaints, _browser: browser, _directory: directory };
        window.look(1440, "light");
        window.go("");
        window
    }

    /// Sets the width in pixels and the mode, `light` or `dark`.
    pub fn look(&self, width: u32, mode: &str) {
        let metrics: Emulation::SetDeviceMetricsOverride = serde_json::from_value(serde_json::json!({
            "width": width, "height": 900, "deviceScaleFactor": 1.0, "mobile": false
        }))
        .unwrap();
        self.tab.call_method(metrics).unwrap();
        let media: Emulation::SetEmulatedMedia = serde_json::from_value(serde_json::json!({
            "media": "", "features": [{ "name": "prefers-color-scheme", "value": mode }]
        }))
        .unwrap();
        self.tab.call_method(media).unwrap();
    }

    /// Reloads the page with this fragment in its address.
    pub fn go(&self, fragment: &str) {
        // A change of only the fragment would not reload the page.
        self.tab.navigate_to("about:blank").unwrap().wait_until_navigated().unwrap();
        self.tab
            .navigate_to(&format!("{}#{fragment}", self.address))
            .unwrap()
            .wait_until_navigated()
            .unwrap();
        assert_eq!(
            self.run("document.documentElement.classList.contains('scripted')"),
            true,
            "the script failed"
        );
    }

    /// Changes the fragment in the address of the current page, without reloading it.
    pub fn turn(&self, fragment: &str) {
        self.run(&format!(
            "new Promise((done) => {{ \
               if (location.hash === {fragment:?}) return done(); \
               addEventListener('popstate', () => setTimeout(done), {{ once: true }}); \
               location.hash = {fragment:?}; }})"
        ));
    }

    /// The value of an expression in the page. A promise is awaited.
    pub fn run(&self, expression: &str) -> Value {
        let evaluate: Runtime::Evaluate = serde_json::from_value(serde_json::json!({
            "expression": expression, "returnByValue": true, "awaitPromise": true
        }))
        .unwrap();
        let returned = self.tab.call_method(evaluate).unwrap();
        if let Some(exception) = returned.exception_details {
            panic!("{expression}: {exception:?}");
        }
        returned.result.value.unwrap_or(Value::Null)
    }

    /// The value of an expression that is a list of texts.
    pub fn texts(&self, expression: &str) -> Vec<String> {
        serde_json::from_value(self.run(expression)).unwrap()
    }

    /// The messages of the browser so far: errors, warnings, and violations of the page's content security policy.
    pub fn complaints(&self) -> Vec<String> {
        self.complaints.lock().unwrap().clone()
    }
}

fn complaint(event: &Event) -> Option<String> {
    match event {
        Event::RuntimeExceptionThrown(thrown) => Some(format!("{:?}", thrown.params.exception_details)),
        Event::RuntimeConsoleAPICalled(called) => Some(format!("{:?}", called.params.args)),
        Event::LogEntryAdded(added) => Some(added.params.entry.text.clone()),
        _ => None,
    }
}

fn chromium() -> PathBuf {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let found = std::env::split_paths(&path).map(|place| place.join("chromium")).find(|file| file.is_file());
    found.expect("the command 'chromium' is not on PATH: install the package 'chromium'")
}
