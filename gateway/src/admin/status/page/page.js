// The page: follows /status/events and shows what it tells. It says so when the stream is cut, and connects again.

import { bytes, cells, clock, keep, mark, milliseconds, number, say, seconds } from "/status/rows.js";

/** Without news for so long the stream is cut, whatever the connection says. */
const SILENCE_MS = 6000;
/** Between attempts after the server refused one: a refused stream does not reconnect by itself. */
const RETRY_MS = 3000;
/** Rows of elections and incidents; the page stays readable. */
const HISTORY_ROWS = 12;

const $ = (id) => document.getElementById(id);
const body = (id) => $(id).tBodies[0];
const dash = "–";

function verdict({ diagnosis, health }) {
  const { findings, verdict, problem } = diagnosis;
  const acting = findings.filter((finding) => finding.severity !== "notice");
  const texts = {
    well: "All is well: every shard has a leader and all its replicas",
    act: `${acting.length} ${acting.length === 1 ? "finding needs" : "findings need"} action`,
    unknown: `Not known: ${problem}`,
  };
  const served = health === "no_leader" ? ". Some shards have no leader: their users are not served" : "";
  say($("verdict"), texts[verdict] + served);
  mark($("verdict"), "data-verdict", verdict);
  const named = (finding) => `${finding.kind} ${finding.subject}`;
  keep($("findings"), findings, "li", named, (item, finding) => {
    mark(item, "data-severity", finding.severity);
    if (!item.firstChild) item.append(...findingParts());
    const [head, evidence, advice, next] = item.children;
    say(head.children[0], finding.severity);
    say(head.children[1], finding.summary);
    say(evidence, finding.evidence);
    say(advice, finding.advice);
    next.hidden = !finding.next;
    say(next.children[0], finding.next ?? "");
  });
}

function findingParts() {
  const make = (tag, kind = "") => Object.assign(document.createElement(tag), { className: kind });
  const head = make("h3");
  head.append(make("span", "badge"), make("span"));
  const next = make("p", "next");
  next.append("Next: ", make("code"));
  // `say` writes the first element, not the word before it.
  return [head, make("p", "evidence"), make("p"), next];
}

function nodes({ interval }) {
  const rate = (value) => number(value === null ? dash : value.toFixed(0));
  keep(body("nodes"), interval?.nodes ?? [], "tr", (node) => node.node_uuid, (row, node) => {
    mark(row, "data-state", node.state);
    const offset = node.clock_offset_us;
    const share = node.disk_bytes ? ` (${Math.round((100 * node.free_bytes) / node.disk_bytes)} %)` : "";
    cells(row, [
      node.label,
      { text: node.state === "silent" ? "silent" : node.described, kind: "state", title: node.described },
      number(String(node.leaders)),
      number(String(node.replicas)),
      rate(node.commits_per_s),
      number(String(node.apply_lag), node.apply_lag > 1000),
      rate(node.log_syncs_per_s),
      number(bytes(node.chunk_bytes)),
      number(node.to_repair === null ? dash : String(node.to_repair), node.to_repair > 0),
      number(bytes(node.free_bytes) + share),
      number(milliseconds(offset), Math.abs(offset) >= 100000),
      number(seconds(node.uptime_s)),
    ]);
  });
}

/** A map with more shards than the page shows at once comes in parts: the viewer chooses one. */
function choice({ parts, part }) {
  $("choice").hidden = parts.length < 2;
  keep($("part"), parts, "option", (it) => it.first, (option, it) => {
    const value = String(parts.indexOf(it));
    if (option.value !== value) option.value = value;
    say(option, `${it.first} to ${it.last}${it.unwell > 0 ? `: ${it.unwell} not well` : ""}`);
  });
  if ($("part").value !== String(part)) $("part").value = String(part);
}

function map({ interval, shards, shards_all: all }) {
  const head = $("map").tHead;
  keep(head, [0], "tr", () => "head", (row) => {
    keep(row, [{ shard: "Node" }, ...shards], "th", (it) => it.shard, (cell, it) => {
      cell.scope = "col";
      say(cell, it.shard);
      if (!it.replicas) return;
      cell.className = it.health === "ok" ? "" : "bad";
      const lag = it.lag === null ? "" : `, lag ${it.lag}`;
      mark(cell, "title", `shard ${it.shard}: ${it.complete} of ${it.wanted} complete, led by ${it.leader ?? "nobody"}, term ${it.term}${lag}`);
    });
  });
  keep(body("map"), interval?.nodes ?? [], "tr", (node) => node.node_uuid, (row, node) => {
    cells(row, [node.label, ...shards.map((shard) => cell(shard, node.node_uuid))]);
  });
  say($("more"), all > shards.length ? `· ${shards.length - 1} of ${all - 1} shards and the meta group are shown` : "");
}

function cell(shard, uuid) {
  const replica = shard.replicas.find((it) => it.node === uuid);
  if (!replica) return { text: "·", kind: "none", label: "no replica" };
  if (replica.leads) return { text: "L", kind: "leads", label: "leads" };
  if (replica.lacks) return { text: "!", kind: "lacks", title: replica.lacks, label: replica.lacks };
  return { text: "f", label: "follows" };
}

function losses({ diagnosis }) {
  const count = (shards) => number(shards.length === 0 ? dash : String(shards.length), shards.length > 0);
  const quiet = (shards) => number(shards.length === 0 ? dash : String(shards.length));
  keep(body("lost"), diagnosis.if_lost, "tr", (it) => `${it.what} ${it.name}`, (row, it) => {
    cells(row, [
      it.what === "node" ? it.name : `${it.what} ${it.name}`,
      count(it.quorum_lost),
      quiet(it.last_spare_lost),
      count(it.only_copy_lost),
      it.summary,
    ]);
  });
}

function moves({ moving }) {
  keep(body("moves"), moving, "tr", (it) => it.shard, (row, it) => {
    cells(row, [it.shard, it.from ?? dash, it.to ?? dash, seconds(it.for_s), it.progress, it.reason]);
  });
  only("moves", "no-moves", moving);
}

function wayIn({ pkarr, gateways }) {
  const ago = (age) => (age === null || age === undefined ? "never, as far as is known" : `${seconds(age)} ago`);
  say($("signed"), ago(pkarr?.age_s));
  say($("published"), ago(pkarr?.published_s));
  say($("kept"), pkarr ? `${pkarr.kept} of ${pkarr.users}, ${pkarr.left} left` : dash);
  const named = (it) => `${it.public_ip} (TLS ${it.tls_port}, HTTP ${it.http_port})${it.icann_domain ? ` ${it.icann_domain}` : ""}`;
  say($("gateways"), gateways.length === 0 ? "none is announced" : gateways.map(named).join(", "));
}

function history({ elections, incidents }) {
  const few = (all) => all.slice(0, HISTORY_ROWS);
  keep(body("elections"), few(elections), "tr", (it) => `${it.group} ${it.term}`, (row, it) => {
    cells(row, [clock(it.at_ms), it.group, number(String(it.term)), it.from, it.to]);
  });
  only("elections", "no-elections", elections);
  const key = (it) => `${it.at_ms} ${it.node} ${it.kind} ${it.subject} ${it.over}`;
  keep(body("incidents"), few(incidents), "tr", key, (row, it) => {
    const what = it.kind.replaceAll("_", " ") + (it.over ? ": over" : "");
    cells(row, [clock(it.at_ms), what, it.subject, it.node, it.text]);
  });
  only("incidents", "no-incidents", incidents);
}

function only(table, instead, items) {
  $(table).hidden = items.length === 0;
  $(instead).hidden = items.length > 0;
}

function show(snapshot) {
  say($("cluster"), snapshot.cluster_id.slice(-8));
  for (const part of [verdict, nodes, choice, map, losses, moves, wayIn, history]) part(snapshot);
}

let chosen = 0;
let source = null;
let seenAt = null;
let watchdog = 0;

function live() {
  seenAt = Date.now();
  document.body.dataset.stream = "live";
  say($("stream"), "Live");
  $("cut").hidden = true;
  clearTimeout(watchdog);
  watchdog = setTimeout(() => cut(true), SILENCE_MS);
}

function cut(again) {
  const since = seenAt === null ? "Nothing was seen yet." : `This is what was seen at ${clock(seenAt)}.`;
  document.body.dataset.stream = "cut";
  say($("stream"), "Cut");
  say($("cut"), `The stream is cut. ${since} Connecting again.`);
  $("cut").hidden = false;
  clearTimeout(watchdog);
  if (again) {
    source.close();
    watchdog = setTimeout(follow, RETRY_MS);
  }
}

function follow() {
  source = new EventSource(`/status/events?part=${chosen}`);
  source.addEventListener("status", (event) => {
    show(JSON.parse(event.data));
    live();
  });
  source.addEventListener("error", () => cut(source.readyState === EventSource.CLOSED));
  watchdog = setTimeout(() => cut(true), SILENCE_MS);
}

$("part").addEventListener("change", () => {
  chosen = Number($("part").value);
  clearTimeout(watchdog);
  source.close();
  follow();
});

follow();
