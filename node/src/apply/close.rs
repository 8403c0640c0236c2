//! Close: raises the shard's event clock so that a feed may pass it. It writes no event and is not
//! deduplicated, because repeating it changes nothing.

use rowhouse_proto::wire::command::Close;

use super::turn::Turn;

pub(super) fn apply(turn: &mut Turn<'_, '_>, command: &Close) {
    turn.close(command.t);
}
