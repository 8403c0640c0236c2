//! A TCP proxy that can be cut.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use openraft::AsyncRuntime;
use rowhouse_raft::runtime::Production;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;

pub struct Proxy {
    pub address: SocketAddr,
    /// Closed while it is cut; a new one is made at mending.
    open: Mutex<Arc<Semaphore>>,
    accepted: AtomicUsize,
}

impl Proxy {
    pub async fn start(target: SocketAddr) -> Arc<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let proxy = Arc::new(Self {
            address: listener.local_addr().expect("an address"),
            open: Mutex::new(Arc::new(Semaphore::new(0))),
            accepted: AtomicUsize::new(0),
        });
        drop(Production::spawn(proxy.clone().run(listener, target)));
        proxy
    }

    async fn run(self: Arc<Self>, listener: TcpListener, target: SocketAddr) {
        while let Ok((mut inbound, _)) = listener.accept().await {
            let open = self.open();
            if open.is_closed() {
                continue;
            }
            self.accepted.fetch_add(1, Ordering::Relaxed);
            drop(Production::spawn(async move {
                let Ok(mut outbound) = TcpStream::connect(target).await else { return };
                drop(inbound.set_nodelay(true));
                drop(outbound.set_nodelay(true));
                let copy = tokio::io::copy_bidirectional(&mut inbound, &mut outbound);
                drop(Production::select2(open.acquire(), copy).await);
            }));
        }
    }

    pub fn cut(&self) {
        self.open().close();
    }

    pub fn mend(&self) {
        *self.open.lock().expect("no panic with the lock") = Arc::new(Semaphore::new(0));
    }

    pub fn accepted(&self) -> usize {
        self.accepted.load(Ordering::Relaxed)
    }

    fn open(&self) -> Arc<Semaphore> {
        self.open.lock().expect("no panic with the lock").clone()
    }
}
