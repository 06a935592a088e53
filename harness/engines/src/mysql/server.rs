//! A server in a container. Its data directory is on a mount that the harness can copy, lose and restore.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use machine::container::{BindMount, Container, Network, Port, Protocol, Spec};
use machine::error::{Error, Result};
use machine::process::{Account, Launcher};
use nix::unistd::getuid;
use tempfile::NamedTempFile;

use super::access::ServerAccess;
use super::connection::Address;
use super::flavour::Flavour;
use super::options::ServerArguments;
use crate::access::Access;
use crate::instance::{Instance, TrackerDatabase};
use crate::ports::free_port;
use crate::secret::Secret;

/// The directory with the connection files (socket, option file), in the server's and every tools container.
pub const RUN: &str = "/run/drill";
const PASSWORD_NAME: &str = "password";
/// The file with only the password, in a container.
pub const PASSWORD: &str = "/run/drill/password";
/// The directory of the artifact in these containers.
pub const ARTIFACT: &str = "/artifact";
const DATA: &str = "/var/lib/mysql";
/// The account of all clients.
const USER: &str = "drill";
/// The tracker's database.
const DATABASE: &str = "torrust";
/// Long enough to write all dirty pages first.
const STOP_TIMEOUT: Duration = Duration::from_secs(600);

/// The configuration of a server.
pub struct ServerSetup {
    /// Which server it is.
    pub flavour: &'static Flavour,
    /// The image.
    pub image: String,
    /// Its data directory: initialised at the first start if it is empty.
    pub data_directory: PathBuf,
    /// A directory for the connection files (socket, option file).
    pub run_directory: PathBuf,
    /// The directory of the artifact: the server itself writes clones there.
    pub artifact: PathBuf,
    /// Arguments in addition to the harness's own.
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
    /// How long it may take to start: damaged data may make it hang.
    pub start_timeout: Duration,
}

/// A server.
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
            engine: setup.flavour.engine.into(),
            title: setup.flavour.title.into(),
            port: setup.port.map_or_else(free_port, Ok)?,
            user: USER.into(),
            password: setup.password.clone(),
            database: DATABASE.into(),
        };
        let server = Server::attached(launcher, setup, address);
        server.write_files()?;
        Ok(server)
    }

    /// Another handle of a server that listens at `address`. Its connection files are there already.
    pub fn attached(launcher: &Launcher, setup: ServerSetup, address: Address) -> Server {
        Server { launcher: launcher.clone(), setup, address, container: None, started: false, ready: false }
    }

    /// Writes the statements that create the account before the server listens, and the option file for clients. Only
    /// this user can read these files, and the password is on no command line.
    fn write_files(&self) -> Result<()> {
        let Address { user, password, database, .. } = &self.address;
        let (account, password) = (self.address.account(), &password.0);
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

    /// Writes a file at once: another client may be reading the one before.
    fn write(&self, name: &str, text: &str) -> Result<()> {
        let write = || {
            let mut file = NamedTempFile::new_in(&self.setup.run_directory)?;
            file.write_all(text.as_bytes())?;
            file.persist(self.setup.run_directory.join(name))?;
            Ok(())
        };
        let written: std::io::Result<()> = write();
        Ok(written
            .with_context(|| format!("cannot write {name} to {}", self.setup.run_directory.display()))?)
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
        container.wait_for_log("ready for connections", self.setup.start_timeout)?;
        self.ready = true;
        Ok(())
    }

    /// Creates the data directory of a fresh server.
    fn initialise(&self) -> Result<()> {
        fs::create_dir_all(&self.setup.data_directory).context("cannot create the data directory")?;
        let (program, arguments) = self.setup.flavour.initialise;
        let mut command = base_command();
        command.extend(self.setup.arguments.making.iter().cloned());
        command.extend(arguments.iter().map(|argument| (*argument).to_owned()));
        let entrypoint = Some(program.to_owned());
        let spec = Spec { entrypoint, command, ports: Vec::new(), network: Network::None, ..self.spec() };
        let mut container = Container::start(&self.launcher, self.setup.account, spec)?;
        let exit = container.wait(&mut || self.launcher.cancel.check())?;
        if exit.code == 0 {
            return Ok(());
        }
        Err(Error::Environment(format!("{program} cannot initialise a data directory: {}", exit.output)))
    }

    fn spec(&self) -> Spec {
        let flavour = self.setup.flavour;
        let mut command = base_command();
        command.extend(flavour.arguments.iter().map(|argument| (*argument).to_owned()));
        command.extend([
            format!("--socket={RUN}/mysqld.sock"),
            format!("--pid-file={RUN}/mysqld.pid"),
            format!("--init-file={RUN}/init.sql"),
            // No account uses host names, and a lookup takes seconds if no name server answers.
            "--skip-name-resolve".to_owned(),
        ]);
        let ServerArguments { making, running } = &self.setup.arguments;
        command.extend(making.iter().chain(running).cloned());
        let mount = |host: &Path, container: &str| BindMount {
            host: host.to_owned(),
            container: container.to_owned(),
            read_only: false,
        };
        Spec {
            entrypoint: Some(flavour.program.into()),
            command,
            mounts: vec![
                mount(&self.setup.data_directory, DATA),
                mount(&self.setup.run_directory, RUN),
                mount(&self.setup.artifact, ARTIFACT),
            ],
            ports: vec![Port { host: self.address.port, container: 3306, protocol: Protocol::Tcp }],
            network: self.setup.network.clone(),
            ..Spec::new(&self.setup.image, flavour.container)
        }
    }

    /// How it ended, if it exited unexpectedly.
    pub fn ended(&self) -> Option<String> {
        let container =
            self.container.as_ref().filter(|container| self.started && !container.is_running())?;
        Some(format!("the {} server ended: {}", self.setup.flavour.title, container.last_words()))
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

    /// Writes a file with only the password, for a program that reads it from a file. Returns its path on this machine. In
    /// a container with [`Server::run_mount`], the file is [`PASSWORD`].
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn password_file(&self) -> Result<PathBuf> {
        self.write(PASSWORD_NAME, &self.address.password.0)?;
        Ok(self.setup.run_directory.join(PASSWORD_NAME))
    }

    /// The mount that a tool needs to read the live data directory: it is where the server says it is.
    pub fn data_mount(&self) -> BindMount {
        BindMount { host: self.setup.data_directory.clone(), container: DATA.into(), read_only: true }
    }

    /// The mount that a tools container needs to connect: the option file is `client.cnf` in [`RUN`].
    pub fn run_mount(&self) -> BindMount {
        BindMount { host: self.setup.run_directory.clone(), container: RUN.into(), read_only: false }
    }
}

impl Instance for Server {
    fn start(&mut self) -> Result<()> {
        Server::start(self)
    }

    fn ended(&self) -> Option<String> {
        Server::ended(self)
    }

    fn stop(&mut self) -> Result<()> {
        self.ready = false;
        if !std::mem::take(&mut self.started) {
            return Ok(());
        }
        self.container.as_mut().map_or(Ok(()), |container| container.stop(STOP_TIMEOUT))
    }

    fn note(&mut self) {
        if let Some(container) = &mut self.container {
            container.note();
        }
    }

    fn kill(&mut self) {
        self.ready = false;
        if std::mem::take(&mut self.started)
            && let Some(container) = &mut self.container
        {
            container.kill();
        }
    }

    fn is_in_application(&self) -> bool {
        false
    }

    fn recover(&mut self) -> Result<()> {
        self.start()
    }

    fn data(&self) -> &Path {
        &self.setup.data_directory
    }

    fn access(&self) -> Arc<dyn Access> {
        Arc::new(ServerAccess { flavour: self.setup.flavour, address: self.address.clone() })
    }

    /// # Panics
    /// When it does not share a network with the tracker.
    fn for_tracker(&self) -> TrackerDatabase {
        let Network::Joined(network, alias) = &self.setup.network else {
            unreachable!("a tracker and its server share a network")
        };
        let (host, Address { user, password, database, .. }) = (network.host_name(alias), &self.address);
        let path = format!("mysql://{user}:{}@{host}:3306/{database}", password.0);
        TrackerDatabase { driver: "mysql", path, directory: None }
    }
}

/// The first arguments of each program that works on a data directory.
fn base_command() -> Vec<String> {
    // A server runs as root only with this option.
    let user = getuid().is_root().then(|| "--user=root".to_owned());
    // Must be the first option. Without it, the image's own configuration files would apply, too.
    let first = ["--no-defaults".to_owned()].into_iter().chain(user);
    first.chain([format!("--datadir={DATA}")]).collect()
}

fn is_empty(directory: &Path) -> Result<bool> {
    match fs::read_dir(directory) {
        Ok(mut entries) => Ok(entries.next().is_none()),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(true),
        Err(error) => Err(anyhow::Error::from(error).context("cannot read the data directory").into()),
    }
}
