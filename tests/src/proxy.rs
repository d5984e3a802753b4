//! A TCP proxy inside the test that can do to a link what networks do: delay, throttle, swallow,
//! cut.
//!
//! A swallowed byte is held back, not lost: TCP would send it again, so that after the network has
//! healed both ends see the same stream, late. That is what a partition without a reset looks like.

use std::collections::HashMap;
use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// Bytes that one turn of a pump carries.
const CHUNK: usize = 16 << 10;

/// What a link does with what it is given.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Weather {
    /// Carries everything at once.
    Fair,
    /// Carries each piece so much later, and at most so many bytes per second each way.
    Slow {
        /// Delay of every piece.
        delay: Duration,
        /// Bytes per second.
        rate: usize,
    },
    /// Holds everything back, in both directions.
    Silent,
    /// Ends every connection at once, new ones too.
    Cut,
}

/// One way from a caller to a server. Nothing passes after it is dropped.
pub struct Link {
    address: SocketAddr,
    shared: Arc<Shared>,
}

struct Shared {
    target: SocketAddr,
    state: Mutex<State>,
    changed: Condvar,
}

struct State {
    weather: Weather,
    closed: bool,
    /// Open connections by number: both ends.
    connections: HashMap<u64, [TcpStream; 2]>,
    accepted: u64,
}

impl Link {
    /// Opens a way to `target`, on a port of its own.
    ///
    /// # Panics
    ///
    /// If the loopback interface has no free port.
    pub fn to(target: SocketAddr) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).expect("a free port");
        let address = listener.local_addr().expect("its own address");
        let shared = Arc::new(Shared {
            target,
            state: Mutex::new(State {
                weather: Weather::Fair,
                closed: false,
                connections: HashMap::new(),
                accepted: 0,
            }),
            changed: Condvar::new(),
        });
        let accepting = Arc::clone(&shared);
        std::thread::spawn(move || accepting.accept(&listener));
        Self { address, shared }
    }

    /// Where callers connect.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Changes the weather.
    pub fn set(&self, weather: Weather) {
        let mut state = self.shared.lock();
        state.weather = weather;
        if weather == Weather::Cut {
            state.cut();
        }
        self.shared.changed.notify_all();
    }

    /// Ends the connections that are open now; new ones are welcome.
    pub fn reset(&self) {
        self.shared.lock().cut();
    }
}

impl Drop for Link {
    fn drop(&mut self) {
        let mut state = self.shared.lock();
        state.closed = true;
        state.cut();
        drop(state);
        self.shared.changed.notify_all();
        // Wakes the thread that accepts.
        let _ = TcpStream::connect(self.address);
    }
}

impl State {
    fn cut(&mut self) {
        for end in self.connections.values().flatten() {
            let _ = end.shutdown(Shutdown::Both);
        }
        self.connections.clear();
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn accept(self: &Arc<Self>, listener: &TcpListener) {
        for caller in listener.incoming() {
            if self.lock().closed {
                return;
            }
            // A connection that breaks before it is accepted is the caller's affair.
            let Ok(caller) = caller else { continue };
            let shared = Arc::clone(self);
            std::thread::spawn(move || shared.connect(caller));
        }
    }

    fn connect(self: Arc<Self>, caller: TcpStream) {
        if self.wait_while_silent(None).is_none() {
            return;
        }
        // Nobody listens there: the caller finds its connection closed.
        let Ok(server) = TcpStream::connect_timeout(&self.target, Duration::from_secs(5)) else {
            return;
        };
        let _ = caller.set_nodelay(true);
        let _ = server.set_nodelay(true);
        let Some(number) = self.register([&caller, &server]) else {
            return;
        };
        let (Ok(back_from), Ok(back_to)) = (server.try_clone(), caller.try_clone()) else {
            return;
        };
        let backwards = Arc::clone(&self);
        let back = std::thread::spawn(move || backwards.pump(number, back_from, back_to));
        self.pump(number, caller, server);
        let _ = back.join();
        self.lock().connections.remove(&number);
    }

    fn register(&self, ends: [&TcpStream; 2]) -> Option<u64> {
        let mut state = self.lock();
        if state.closed || state.weather == Weather::Cut {
            return None;
        }
        let ends = [ends[0].try_clone().ok()?, ends[1].try_clone().ok()?];
        state.accepted += 1;
        let number = state.accepted;
        state.connections.insert(number, ends);
        Some(number)
    }

    /// Carries bytes one way until either end is gone or the link is cut.
    fn pump(&self, number: u64, mut from: TcpStream, mut to: TcpStream) {
        let mut buffer = vec![0; CHUNK];
        while let Ok(length @ 1..) = from.read(&mut buffer) {
            let Some(weather) = self.wait_while_silent(Some(number)) else {
                break;
            };
            if let Weather::Slow { delay, rate } = weather {
                std::thread::sleep(delay + Duration::from_secs_f64(length as f64 / rate as f64));
            }
            if to.write_all(&buffer[..length]).is_err() {
                break;
            }
        }
        // The end of a connection does not pass a partition either.
        let _ = self.wait_while_silent(Some(number));
        let _ = to.shutdown(Shutdown::Both);
        let _ = from.shutdown(Shutdown::Both);
    }

    /// The weather once it lets something pass; none where the connection is over.
    fn wait_while_silent(&self, connection: Option<u64>) -> Option<Weather> {
        let mut state = self.lock();
        loop {
            let over = connection.is_some_and(|number| !state.connections.contains_key(&number));
            match state.weather {
                _ if over || state.closed => return None,
                Weather::Cut => return None,
                Weather::Silent => {
                    state = self
                        .changed
                        .wait(state)
                        .unwrap_or_else(PoisonError::into_inner);
                }
                weather @ (Weather::Fair | Weather::Slow { .. }) => return Some(weather),
            }
        }
    }
}
