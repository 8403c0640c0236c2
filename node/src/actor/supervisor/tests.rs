use std::sync::atomic::{AtomicU32, Ordering};

use super::super::Ended;
use super::*;

const GENEROUS: Duration = Duration::from_secs(60);

fn no_jitter() -> u64 {
    0
}

#[tokio::test]
async fn a_panic_is_an_event_and_the_actor_starts_again() {
    let lives = Arc::new(AtomicU32::new(0));
    let stop = CancellationToken::new();
    let statuses = Statuses::default();
    let mut supervisor = Supervisor::new(stop.clone(), no_jitter, statuses.clone());
    let counted = Arc::clone(&lives);
    supervisor.add(TaskKind::Flush, move |stop| {
        let life = counted.fetch_add(1, Ordering::SeqCst);
        Box::pin(async move {
            match life {
                0 => panic!("planted by the test"),
                1 => Err(Error::Stopped),
                _ => {
                    stop.cancelled().await;
                    Ok(())
                }
            }
        })
    });
    let mut board = statuses.watch();
    let mut tasks = JoinSet::new();
    tasks.spawn(supervisor.run());
    let restarted = board.wait_for(|board| {
        lives.load(Ordering::SeqCst) == 3 && board.get(&TaskKind::Flush) == Some(&ActorState::Running)
    });
    tokio::time::timeout(GENEROUS, restarted).await.expect("in time").expect("supervisor lives");
    let last = Ended { kind: TaskKind::Flush, problem: Error::Stopped.to_string(), is_parked: false };
    assert_eq!(statuses.ended_within(GENEROUS), [last], "it runs again and is not forgotten at once");
    assert_eq!(statuses.ended_within(Duration::ZERO), []);
    stop.cancel();
    let ended = tasks.join_next().await.expect("one task").expect("no panic");
    assert!(ended.is_ok());
}

#[tokio::test]
async fn a_fatal_error_ends_the_supervisor_and_stops_the_others() {
    let stop = CancellationToken::new();
    let mut supervisor = Supervisor::new(stop.clone(), no_jitter, Statuses::default());
    supervisor.add(TaskKind::Clock, |stop| {
        Box::pin(async move {
            stop.cancelled().await;
            Ok(())
        })
    });
    supervisor.add(TaskKind::Peers, |_| {
        Box::pin(async {
            Err(Error::ForeignCluster { ours: "a".into(), theirs: "b".into(), peer: "c".into() })
        })
    });
    let result = tokio::time::timeout(GENEROUS, supervisor.run()).await.expect("in time");
    assert!(matches!(result, Err(Error::ForeignCluster { .. })));
    assert!(stop.is_cancelled());
}
