//! A MySQL server in a container. Its data directory is on a mount that the harness can copy, lose and restore.

use std::fs;
use std::io::Write;
use std::net::{TcpListener, UdpSocket};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Context;
use machine::container::{Container, Mount, Network, Port, Protocol, Spec};
use machine::error::{Error, Result};
use machine::process::{Account, Launcher};
use nix::unistd::getuid;

use crate::mysql::connection::{Address, Secret};
use crate::mysql::options::ServerArguments;

/// The directory with the connection files (socket, option file), in the server's and every tools container.
pub const RUN: &str = "/run/drill";
/// The directory of the artifact in these containers.
pub const ARTIFACT: &str = "/artifact";
const DATA: &str = "/var/lib/mysql";
/// The account of all clients.
const USER: &str = "drill";
/// The tracker's database.
const DATABASE: &str = "torrust";
/// Long enough to apply a large redo log first.
const START_TIMEOUT: Duration = Duration::from_secs(600);
/// Long enough to write all dirty pages first.
const STOP_TIMEOUT: Duration = Duration::from_secs(600);

/// Ports below this are left to well-known services.
const PORT_MIN: u16 = 10_000;

/// The configuration of a server.
pub struct ServerSetup {
    /// The image.
    pub image: String,
    /// Its data directory: initialised at the first start if it is empty.
    pub data_directory: PathBuf,
    /// A directory for the connection files (socket, option file).
    pub run_directory: PathBuf,
    /// The directory of the artifact: the server itself writes clones there.
    pub artifact: PathBuf,
    /// Arguments of mysqld in addition to the harness's own.
    pub arguments: ServerArguments,
    /// Password of the clients' account. The servers of one trial share it, because a full dump restores the accounts
    /// of one server into another.
    pub password: Secret,
    /// Port on 127.0.0.1; `None`: any free one.
    pub port: Option<u16>,
    /// The network.
    pub network: Network,
    /// The account on which its resources are counted.
    pub account: Account,
}

/// A MySQL server.
pub struct Server {
    launcher: Launcher,
    setup: ServerSetup,
    address: Address,
    container: Option<Container>,
    /// It was started, and not stopped or killed since.
    started: bool,
    /// It has accepted connections since its latest start.
    ready: bool,
}

impl Server {
    /// A server that is not running yet. Chooses its port.
    ///
    /// # Errors
    /// When its run directory cannot be written, or no port is free.
    pub fn new(launcher: &Launcher, setup: ServerSetup) -> Result<Server> {
        let address = Address {
            port: setup.port.map_or_else(free_port, Ok)?,
            user: USER.into(),
            password: setup.password.clone(),
            database: DATABASE.into(),
        };
        let server = Server {
            launcher: launcher.clone(),
            setup,
            address,
            container: None,
            started: false,
            ready: false,
        };
        server.write_files()?;
        Ok(server)
    }

    /// Writes the statements that create the account before the server listens, and the option file for clients. Only
    /// this user can read these files, and the password is on no command line.
    fn write_files(&self) -> Result<()> {
        let Address { user, password, database, .. } = &self.address;
        let password = &password.0;
        let account = format!("'{user}'@'%'");
        // The account must not be in the binary log, which would replay it on a restored server.
        let init = [
            "SET sql_log_bin = 0;".to_owned(),
            format!("CREATE DATABASE IF NOT EXISTS {database};"),
            format!("CREATE USER IF NOT EXISTS {account} IDENTIFIED BY '{password}';"),
            format!("ALTER USER {account} IDENTIFIED BY '{password}';"),
            format!("GRANT ALL ON *.* TO {account} WITH GRANT OPTION;"),
        ];
        let client = format!("[client]\nuser={user}\npassword={password}\nsocket={RUN}/mysqld.sock\n");
        fs::create_dir_all(&self.setup.run_directory).context("cannot create the run directory")?;
        self.write("init.sql", &(init.join("\n") + "\n"))?;
        self.write("client.cnf", &client)
    }

    fn write(&self, name: &str, text: &str) -> Result<()> {
        let path = self.setup.run_directory.join(name);
        let options = fs::OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&path);
        options
            .and_then(|mut file| file.write_all(text.as_bytes()))
            .with_context(|| format!("cannot write {}", path.display()))?;
        Ok(())
    }

    /// Starts it and waits until it accepts connections; does nothing if it is running. An empty data directory is
    /// initialised first.
    ///
    /// # Errors
    /// When it does not start, with its last output.
    pub fn start(&mut self) -> Result<()> {
        if self.ready {
            return Ok(());
        }
        if self.container.is_none() && is_empty(&self.setup.data_directory)? {
            self.initialise()?;
        }
        match &mut self.container {
            Some(container) => container.start_again()?,
            None => {
                let spec = self.spec();
                self.container = Some(Container::start(&self.launcher, self.setup.account, spec)?);
            }
        }
        self.started = true;
        let container = self.container.as_mut().expect("it was started above");
        container.wait_for_log("ready for connections", START_TIMEOUT)?;
        self.ready = true;
        Ok(())
    }

    /// Creates the data directory of a fresh server.
    fn initialise(&self) -> Result<()> {
        fs::create_dir_all(&self.setup.data_directory).context("cannot create the data directory")?;
        let mut command = self.base_command();
        command.extend(self.setup.arguments.making.iter().cloned());
        command.push("--initialize-insecure".into());
        let spec = Spec { command, ports: Vec::new(), network: Network::None, ..self.spec() };
        let mut container = Container::start(&self.launcher, self.setup.account, spec)?;
        let exit = container.wait(&mut || self.launcher.cancel.check())?;
        if exit.code == 0 {
            return Ok(());
        }
        Err(Error::Environment(format!("mysqld cannot initialise a data directory: {}", exit.output)))
    }

    fn base_command(&self) -> Vec<String> {
        // mysqld runs as root only with this option.
        let user = getuid().is_root().then(|| "--user=root".to_owned());
        // Must be the first option. Without it, the image's own configuration files would apply, too.
        let first = ["--no-defaults".to_owned()].into_iter().chain(user);
        first.chain([format!("--datadir={DATA}"), "--secure-file-priv=NULL".to_owned()]).collect()
    }

    fn spec(&self) -> Spec {
        let mut command = self.base_command();
        command.extend([
            format!("--socket={RUN}/mysqld.sock"),
            format!("--pid-file={RUN}/mysqld.pid"),
            format!("--init-file={RUN}/init.sql"),
            "--mysqlx=OFF".to_owned(),
            // No account uses host names, and a lookup takes seconds if no name server answers.
            "--skip-name-resolve".to_owned(),
        ]);
        let ServerArguments { making, running } = &self.setup.arguments;
        command.extend(making.iter().chain(running).cloned());
        let mount = |host: &Path, container: &str| Mount {
            host: host.to_owned(),
            container: container.to_owned(),
            read_only: false,
        };
        Spec {
            entrypoint: Some("mysqld".into()),
            command,
            mounts: vec![
                mount(&self.setup.data_directory, DATA),
                mount(&self.setup.run_directory, RUN),
                mount(&self.setup.artifact, ARTIFACT),
            ],
            ports: vec![Port { host: self.address.port, container: 3306, protocol: Protocol::Tcp }],
            network: self.setup.network.clone(),
            ..Spec::new(&self.setup.image, "MySQL server")
        }
    }

    /// Shuts it down cleanly; does nothing if it is not running.
    ///
    /// # Errors
    /// When it does not stop in time.
    pub fn stop(&mut self) -> Result<()> {
        self.ready = false;
        if !std::mem::take(&mut self.started) {
            return Ok(());
        }
        self.container.as_mut().map_or(Ok(()), |container| container.stop(STOP_TIMEOUT))
    }

    /// Reads the resources that it has used, shortly before its end: afterwards they cannot be read any more.
    pub fn note(&mut self) {
        if let Some(container) = &mut self.container {
            container.note();
        }
    }

    /// Kills it with SIGKILL.
    pub fn kill(&mut self) {
        self.ready = false;
        if std::mem::take(&mut self.started)
            && let Some(container) = &mut self.container
        {
            container.kill();
        }
    }

    /// How it ended, if it exited unexpectedly.
    pub fn ended(&self) -> Option<String> {
        let container =
            self.container.as_ref().filter(|container| self.started && !container.is_running())?;
        Some(format!("the MySQL server ended: {}", container.last_words()))
    }

    /// How to connect to it.
    pub fn address(&self) -> &Address {
        &self.address
    }

    /// Its data directory.
    pub fn data_directory(&self) -> &Path {
        &self.setup.data_directory
    }

    /// Writes an option file for a program on this machine, which connects through the port. The option file for
    /// containers names the socket.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn option_file(&self) -> Result<PathBuf> {
        let Address { port, user, password, .. } = &self.address;
        let password = &password.0;
        let text = format!(
            "[client]\nuser={user}\npassword={password}\nhost=127.0.0.1\nport={port}\nprotocol=tcp\n"
        );
        self.write("host.cnf", &text)?;
        Ok(self.setup.run_directory.join("host.cnf"))
    }

    /// Writes a file with only the password into the run directory, for a program in a container that reads it from a
    /// file. Returns its path in the container.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn password_file(&self) -> Result<String> {
        self.write("password", &self.address.password.0)?;
        Ok(format!("{RUN}/password"))
    }

    /// The mount that a tools container needs to connect: the option file is `client.cnf` in [`RUN`].
    pub fn run_mount(&self) -> Mount {
        Mount { host: self.setup.run_directory.clone(), container: RUN.into(), read_only: false }
    }
}

fn is_empty(directory: &Path) -> Result<bool> {
    match fs::read_dir(directory) {
        Ok(mut entries) => Ok(entries.next().is_none()),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(true),
        Err(error) => Err(anyhow::Error::from(error).context("cannot read the data directory").into()),
    }
}

/// A port on the loopback interface that is free now, for TCP and UDP. A container binds it later, and again after a
/// restart; therefore it is outside the range from which the kernel assigns ports to connections.
///
/// # Errors
/// When no port is free.
pub fn free_port() -> Result<u16> {
    let own = fs::read_to_string("/proc/sys/net/ipv4/ip_local_port_range").unwrap_or_default();
    let first_of_kernel: u16 =
        own.split_whitespace().next().and_then(|first| first.parse().ok()).unwrap_or(32_768);
    let ports = first_of_kernel.max(PORT_MIN + 1) - PORT_MIN;
    for _ in 0..1000 {
        let port = PORT_MIN + u16::from_le_bytes(random()?) % ports;
        let place = ("127.0.0.1", port);
        if TcpListener::bind(place).is_ok() && UdpSocket::bind(place).is_ok() {
            return Ok(port);
        }
    }
    Err(Error::Environment(format!("no port from {PORT_MIN} to {first_of_kernel} is free on 127.0.0.1")))
}

fn random<const BYTES: usize>() -> Result<[u8; BYTES]> {
    let mut bytes = [0; BYTES];
    fs::File::open("/dev/urandom")
        .and_then(|mut source| std::io::Read::read_exact(&mut source, &mut bytes))
        .context("cannot read random numbers")?;
    Ok(bytes)
}

/// A random password of 128 bits, for the servers of one trial.
///
/// # Errors
/// When there is no source of random numbers.
pub fn random_password() -> Result<Secret> {
    Ok(Secret(format!("{:032x}", u128::from_le_bytes(random()?))))
}
