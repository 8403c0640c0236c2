//! Which node an operator means: by name, address, or a part of its uuid (the end, as it is shown, or the beginning).

use rowhouse_gateway::overview::{View, short};
use rowhouse_proto::wire::meta::NodeInfo;

use crate::error::Error;

/// Fewer digits could be a name that was misspelt.
const UUID_DIGITS_MIN: usize = 4;

/// Which of two identities with one name is meant: a node that lost its disk comes back under its old name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Meant {
    /// The one that answers.
    Living,
    /// The one that does not.
    Silent,
}

/// The node that `target` names. Fails if there is none, or several of the kind that is `meant`.
pub fn find(view: &View, target: &str, meant: Meant) -> Result<NodeInfo, Error> {
    let named = matching(view, target);
    let is_meant = |info: &&NodeInfo| view.reply(&info.node_uuid).is_some() == (meant == Meant::Living);
    only(view, target, &named).or_else(|_| {
        let left: Vec<&NodeInfo> = named.iter().copied().filter(is_meant).collect();
        if left.is_empty() { only(view, target, &named) } else { only(view, target, &left) }
    })
}

/// The node that `target` names among those that have a replica of a group, or shall have one.
pub fn find_holder(view: &View, target: &str, group: u32) -> Result<NodeInfo, Error> {
    let named = matching(view, target);
    let holds = |info: &&NodeInfo| view.groups_on(&info.node_uuid).any(|on| on.group == group);
    let holders: Vec<&NodeInfo> = named.iter().copied().filter(holds).collect();
    // Where nobody holds it, the cluster's own refusal says so.
    if holders.is_empty() { only(view, target, &named) } else { only(view, target, &holders) }
}

fn matching<'a>(view: &'a View, target: &str) -> Vec<&'a NodeInfo> {
    let digits = target.replace('-', "").to_lowercase();
    let nodes = |matches: &dyn Fn(&NodeInfo) -> bool| -> Vec<&'a NodeInfo> {
        view.map.nodes.iter().filter(|info| matches(info)).collect()
    };
    let mut found = nodes(&|info| info.name == target);
    if found.is_empty() {
        found = nodes(&|info| info.address == target);
    }
    if found.is_empty() && digits.len() >= UUID_DIGITS_MIN {
        let is_part = |uuid: &str| uuid.starts_with(&digits) || uuid.ends_with(&digits);
        found = nodes(&|info| is_part(&hex::encode(&info.node_uuid)));
    }
    found
}

fn only(view: &View, target: &str, found: &[&NodeInfo]) -> Result<NodeInfo, Error> {
    match found {
        [one] => Ok((*one).clone()),
        [] => {
            let labels: Vec<String> = view.map.nodes.iter().map(|info| view.label(&info.node_uuid)).collect();
            Err(Error::Usage(format!("no node `{target}` in this cluster; there are: {}", labels.join(", "))))
        }
        several => {
            let each: Vec<String> = several.iter().map(|info| described(view, info)).collect();
            Err(Error::Usage(format!(
                "`{target}` is the name of several nodes; say which by its uuid:\n  {}",
                each.join("\n  ")
            )))
        }
    }
}

fn described(view: &View, info: &NodeInfo) -> String {
    let answers = if view.reply(&info.node_uuid).is_some() { "answers" } else { "does not answer" };
    let replicas = view.groups_on(&info.node_uuid).count();
    format!("{}  {} at {}, {answers}, {replicas} replicas", short(&info.node_uuid), info.name, info.address)
}

#[cfg(test)]
mod tests {
    use rowhouse_proto::wire::meta::{ClusterMap, GroupInfo, NodeStatusReply, ReplicaInfo};

    use super::*;

    /// Nodes of these names with uuids 0xEE11…, 0xEE22… and so on; those in `answering` answer.
    fn view(names: &[&str], answering: &[u8]) -> View {
        let uuid = |n: usize| -> Vec<u8> { [&[0xEE], &[0x11 * (n as u8 + 1); 15][..]].concat() };
        let nodes = names.iter().enumerate().map(|(n, name)| NodeInfo {
            node_uuid: uuid(n).into(),
            name: (*name).to_owned(),
            address: format!("127.0.0.1:{n}"),
            ..NodeInfo::default()
        });
        let replicas = vec![ReplicaInfo { replica_id: 1, node_uuid: uuid(0).into() }];
        let groups = vec![GroupInfo { group: 3, replicas, ..GroupInfo::default() }];
        let map = ClusterMap { nodes: nodes.collect(), groups, ..ClusterMap::default() };
        let answers = (0..names.len()).map(|n| {
            if answering.contains(&(n as u8)) {
                Ok(NodeStatusReply { node_uuid: uuid(n).into(), ..NodeStatusReply::default() })
            } else {
                Err("no connection".into())
            }
        });
        View::new(map, answers.collect(), 0)
    }

    fn last_byte(found: Result<NodeInfo, Error>) -> u8 {
        found.unwrap().node_uuid[15]
    }

    #[test]
    fn a_node_is_found_by_name_address_and_uuid() {
        let view = view(&["n1", "n2"], &[0, 1]);
        for target in ["n2", "127.0.0.1:1", "2222", "ee222222-2222"] {
            assert_eq!(last_byte(find(&view, target, Meant::Living)), 0x22, "{target}");
        }
        for target in ["n3", "222", "zzzz", "3333"] {
            let error = find(&view, target, Meant::Living).unwrap_err();
            assert!(error.to_string().contains("n1, n2"), "{error}");
        }
        assert_eq!(last_byte(find(&view, "n1", Meant::Silent)), 0x11, "one of the name is meant in any case");
    }

    #[test]
    fn of_two_with_one_name_the_living_or_the_silent_one_is_meant() {
        let twins = view(&["n1", "n1", "n2"], &[1, 2]);
        assert_eq!(last_byte(find(&twins, "n1", Meant::Living)), 0x22);
        assert_eq!(last_byte(find(&twins, "n1", Meant::Silent)), 0x11);
        assert_eq!(last_byte(find_holder(&twins, "n1", 3)), 0x11, "it has the replica");
        for answering in [&[][..], &[0, 1]] {
            let twins = view(&["n1", "n1"], answering);
            for meant in [Meant::Living, Meant::Silent] {
                let text = find(&twins, "n1", meant).unwrap_err().to_string();
                assert!(text.contains("11111111") && text.contains("22222222"), "{text}");
            }
        }
    }
}
