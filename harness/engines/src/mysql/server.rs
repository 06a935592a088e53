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

/// Where a server's container, and every tools container, finds the files by which it is reached.
pub const RUN: &str = "/run/drill";
/// Where they find the artifact.
pub const ARTIFACT: &str = "/artifact";
const DATA: &str = "/var/lib/mysql";
/// The account that everything but the server itself uses.
const USER: &str = "drill";
/// The tracker's database.
const DATABASE: &str = "torrust";
/// A large redo log may have to be applied first.
const START_TIMEOUT: Duration = Duration::from_secs(600);
/// All dirty pages have to be written first.
const STOP_TIMEOUT: Duration = Duration::from_secs(600);

/// Ports below are for services that everybody knows.
const PORT_MIN: u16 = 10_000;

/// What a server is made from.
pub struct ServerSetup {
    /// The image.
    pub image: String,
    /// Its data directory: initialised at the first start when it is empty.
    pub data_directory: PathBuf,
    /// A directory for the files by which it is reached.
    pub run_directory: PathBuf,
    /// The directory of the artifact: the server itself writes clones there.
    pub artifact: PathBuf,
    /// Arguments of mysqld besides the harness's own.
    pub arguments: ServerArguments,
    /// Of the account that everything but the server itself uses. Servers of one trial share it: a dump of all that one
    /// has brings its accounts into another.
    pub password: Secret,
    /// Port on 127.0.0.1; any free one when absent.
    pub port: Option<u16>,
    /// The network, and the account that pays for it.
    pub network: Network,
    /// Whose account it is on.
    pub account: Account,
}

/// A MySQL server.
pub struct Server {
    launcher: Launcher,
    setup: ServerSetup,
    address: Address,
    container: Option<Container>,
    /// It was started, and nobody has ended it since.
    started: bool,
    /// It accepted connections after its latest start.
    ready: bool,
}

impl Server {
    /// A server that does not run yet: gives it a port.
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

    /// Statements that make the account, before the server listens; options by which tools reach it. Both are files
    /// of ours alone, so that the password is on no command line.
    fn write_files(&self) -> Result<()> {
        let Address { user, password, database, .. } = &self.address;
        let password = &password.0;
        let account = format!("'{user}'@'%'");
        // The replicated log must not carry the account to where a backup is restored.
        let init = [
            "SET sql_log_bin = 0;".to_owned(),
            format!("CREATE DATABASE IF NOT EXISTS {database};"),
            format!("CREATE USER IF NOT EXISTS {account} IDENTIFIED BY '{password}';"),
            format!("ALTER USER {account} IDENTIFIED BY '{password}';"),
            format!("GRANT ALL ON *.* TO {account} WITH GRANT OPTION;"),
        ];
        let client = format!("[client]\nuser={user}\npassword={password}\nsocket={RUN}/mysqld.sock\n");
        fs::create_dir_all(&self.setup.run_directory).context("cannot make the run directory")?;
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

    /// Starts it and waits until it accepts connections; nothing when it runs. An empty data directory is initialised
    /// first.
    ///
    /// # Errors
    /// When it does not come up, with what it said last.
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

    /// Makes a data directory as a fresh server has it.
    fn initialise(&self) -> Result<()> {
        fs::create_dir_all(&self.setup.data_directory).context("cannot make the data directory")?;
        let mut command = self.base_command();
        command.extend(self.setup.arguments.making.iter().cloned());
        command.push("--initialize-insecure".into());
        let spec = Spec { command, ports: Vec::new(), network: Network::None, ..self.spec() };
        let mut container = Container::start(&self.launcher, self.setup.account, spec)?;
        let exit = container.wait(&mut || self.launcher.cancel.check())?;
        if exit.code == 0 {
            return Ok(());
        }
        Err(Error::Environment(format!("mysqld cannot make a data directory: {}", exit.output)))
    }

    fn base_command(&self) -> Vec<String> {
        // Only for root, who has to say that it is meant.
        let user = getuid().is_root().then(|| "--user=root".to_owned());
        // Without this first, the options of the image's own configuration would count too.
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
            // Nobody is known by name, and looking one up takes seconds where no name server answers.
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

    /// Stops it in good order; nothing when it does not run.
    ///
    /// # Errors
    /// When it does not stop.
    pub fn stop(&mut self) -> Result<()> {
        self.ready = false;
        if !std::mem::take(&mut self.started) {
            return Ok(());
        }
        self.container.as_mut().map_or(Ok(()), |container| container.stop(STOP_TIMEOUT))
    }

    /// Reads what it has used, because its end is near and nobody could tell afterwards.
    pub fn note(&mut self) {
        if let Some(container) = &mut self.container {
            container.note();
        }
    }

    /// Ends it with SIGKILL.
    pub fn kill(&mut self) {
        self.ready = false;
        if std::mem::take(&mut self.started)
            && let Some(container) = &mut self.container
        {
            container.kill();
        }
    }

    /// What is known about its end, when it ended by itself.
    pub fn ended(&self) -> Option<String> {
        let container =
            self.container.as_ref().filter(|container| self.started && !container.is_running())?;
        Some(format!("the MySQL server ended: {}", container.last_words()))
    }

    /// Where it is reached.
    pub fn address(&self) -> &Address {
        &self.address
    }

    /// Its data directory.
    pub fn data_directory(&self) -> &Path {
        &self.setup.data_directory
    }

    /// Writes an option file for a program on this machine, which reaches the server over its port. The option file of
    /// the containers names a socket in them.
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

    /// Writes the password alone into the run directory, for a program in a container that takes it from a file.
    /// Returns the path there.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn password_file(&self) -> Result<String> {
        self.write("password", &self.address.password.0)?;
        Ok(format!("{RUN}/password"))
    }

    /// What a container of tools needs to reach it: the option file is `client.cnf` in [`RUN`].
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

/// A port on loopback that is free now, for TCP and UDP. Its container gets it later, and once more when it is started
/// again: so it is none of those that the kernel gives to connections meanwhile.
///
/// # Errors
/// When none is.
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
        .context("cannot draw random numbers")?;
    Ok(bytes)
}

/// 128 random bits, for the servers of one trial.
///
/// # Errors
/// When there is no source of random numbers.
pub fn random_password() -> Result<Secret> {
    Ok(Secret(format!("{:032x}", u128::from_le_bytes(random()?))))
}
