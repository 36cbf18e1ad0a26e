//! nginx with nchan, in one run with what is measured beside it: two workers, one channel, `EventSource` subscribers.

use std::{
    fs,
    net::TcpListener,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::Duration,
};

/// Where Debian has the module.
const MODULE: &str = "/usr/lib/nginx/modules/ngx_nchan_module.so";
/// Where Debian has the server.
const SERVER: &str = "/usr/sbin/nginx";
/// How long it may take to start.
const READY_WITHIN: Duration = Duration::from_secs(10);

/// A running nginx. Dropping it ends it.
#[derive(Debug)]
pub(crate) struct Nchan {
    child: Child,
    dir: PathBuf,
    /// Its address.
    pub(crate) origin: String,
}

impl Nchan {
    /// Starts one; nothing where nginx or its module is not installed.
    pub(crate) fn start() -> Option<Self> {
        if !Path::new(MODULE).exists() || !Path::new(SERVER).exists() {
            eprintln!("nchan is not installed (Debian: nginx-core libnginx-mod-nchan): nothing beside");
            return None;
        }
        let dir = std::env::temp_dir().join(format!("nugul-bench-nchan-{}", std::process::id()));
        fs::create_dir_all(&dir).expect("a folder");
        let port = TcpListener::bind("127.0.0.1:0").and_then(|l| l.local_addr()).expect("a port").port();
        let at = dir.display();
        let text = format!(
            "load_module {MODULE};\ndaemon off;\nworker_processes 2;\nworker_rlimit_nofile 20000;\nuser root;\npid {at}/pid;\n\
             error_log {at}/error.log warn;\nevents {{ worker_connections 19000; }}\n\
             http {{\n access_log off;\n client_body_temp_path {at}/body;\n proxy_temp_path {at}/proxy;\n \
             fastcgi_temp_path {at}/fastcgi;\n uwsgi_temp_path {at}/uwsgi;\n scgi_temp_path {at}/scgi;\n tcp_nodelay on;\n \
             server {{\n  listen 127.0.0.1:{port} backlog=4096;\n  location = /pub {{ nchan_publisher; nchan_channel_id seats; \
             nchan_message_buffer_length 100; }}\n  location = /sub {{ nchan_subscriber eventsource; nchan_channel_id seats; \
             nchan_subscriber_first_message newest; nchan_eventsource_ping_interval 0; }}\n }}\n}}\n"
        );
        let config = dir.join("nginx.conf");
        fs::write(&config, text).expect("a configuration");
        let child = Command::new(SERVER)
            .arg("-c")
            .arg(&config)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("nginx starts");
        let nchan = Self { child, dir, origin: format!("http://127.0.0.1:{port}") };
        let up = nugul_platform::wait_until(READY_WITHIN, || std::net::TcpStream::connect(("127.0.0.1", port)).is_ok());
        assert!(up, "nginx does not start: {}", fs::read_to_string(nchan.dir.join("error.log")).unwrap_or_default());
        Some(nchan)
    }

    /// Its processes.
    pub(crate) fn processes(&self) -> Vec<u32> {
        let id = self.child.id();
        let children = fs::read_to_string(format!("/proc/{id}/task/{id}/children")).unwrap_or_default();
        children.split_whitespace().filter_map(|id| id.parse().ok()).chain([id]).collect()
    }
}

impl Drop for Nchan {
    fn drop(&mut self) {
        // It ends its workers itself where it is asked to.
        let _ = Command::new("kill").args(["-TERM", &self.child.id().to_string()]).status();
        let _ = self.child.wait();
        let _ = fs::remove_dir_all(&self.dir);
    }
}
