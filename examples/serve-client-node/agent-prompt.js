#!/usr/bin/env node
/** One prompt to an agent, its answer on stdout as it streams, what happens on the way on stderr. See README.md. */

import { once } from "node:events";
import { createInterface } from "node:readline/promises";
import { parseArgs } from "node:util";

import { AgentClient, AgentError } from "./agent-client.js";

const USAGE = "usage: agent-prompt.js [--yes | --no] [--attach [INSTANCE:]SEQ] [PROMPT] [-- COMMAND...]";
const COMMAND = ["beyond-ai", "agent", "serve"];

/** The text of a model or a tool, unable to steer the terminal. */
const plain = (text) => text.replace(/[\u0000-\u0008\u000b-\u001f\u007f-\u009f]/g, "\ufffd");
const tell = (text) => write(process.stderr, `${text}\n`);

/** Write, at the pace of who reads. */
async function write(stream, text) {
  if (!stream.write(plain(text))) await once(stream, "drain");
}

async function show(event) {
  switch (event.kind) {
    case "stream":
      if (event.type === "text_delta") await write(process.stdout, event.text);
      break;
    case "turn_end":
      if (event.text) await write(process.stdout, "\n");
      break;
    case "tool_start":
      await tell(`> ${event.name} ${event.summary ?? ""}`);
      break;
    case "tool_progress":
      await write(process.stderr, event.text);
      break;
    case "tool_end":
      await tell(event.is_error ? `! ${event.result}` : `< ${event.name}, ${event.seconds.toFixed(1)} s`);
      break;
    case "retry":
    case "notice":
      await tell(`${event.kind}: ${event.message}`);
      break;
    default:
  }
}

/** Ask on the terminal, until somebody answers or nobody has to. Without a terminal the answer is no. */
async function ask(request, signal) {
  if (!process.stdin.isTTY) return "deny";
  const terminal = createInterface({ input: process.stdin, output: process.stderr });
  terminal.on("SIGINT", () => process.kill(process.pid, "SIGINT"));
  try {
    const what = plain(`${request.reason}:\n  ${request.tool} ${request.summary}`);
    const said = await terminal.question(`${what}\nYes, for the session, or no? [y/s/N] `, { signal });
    return { y: "allow", s: "session" }[said.trim().toLowerCase()] ?? "deny";
  } finally {
    terminal.close();
  }
}

/** What the command line says. Throws TypeError. */
function readArguments() {
  const { values, positionals, tokens } = parseArgs({
    options: { yes: { type: "boolean" }, no: { type: "boolean" }, attach: { type: "string" } },
    allowPositionals: true,
    tokens: true,
  });
  const end = tokens.find((token) => token.kind === "option-terminator");
  const command = end ? process.argv.slice(2 + end.index + 1) : [];
  const prompt = positionals.slice(0, positionals.length - command.length).join(" ");
  const isAttaching = values.attach !== undefined;
  const [, instance, from] = /^(?:(\w+):)?(\d+)$/.exec(values.attach ?? "") ?? [];
  if (isAttaching === (prompt !== "") || (isAttaching && from === undefined))
    throw new TypeError("give a prompt, or --attach and the number of an event");
  const onApproval = values.yes ? () => "allow" : values.no ? () => "deny" : ask;
  return { prompt, instance, from: Number(from), command: command.length > 0 ? command : COMMAND, onApproval };
}

async function main() {
  const { prompt, instance, from, command, onApproval } = readArguments();
  const options = { onApproval, detached: true }; // in a group of its own: Ctrl-C is ours, and becomes an `abort`
  let agent, events;
  if (prompt) {
    agent = await AgentClient.start(command, options);
    events = agent.prompt(prompt);
  } else {
    const taken = await AgentClient.attach(command, from, { instance, ...options });
    agent = taken.agent;
    events = rest(agent, taken.attached);
  }
  process.once("SIGINT", () => agent.call("abort").catch(() => {}));
  try {
    for await (const event of events) await show(event);
  } catch (error) {
    if (error.code === "lost") await tell(`the last event was ${agent.instance}:${agent.lastSeq}`);
    throw error;
  } finally {
    await agent.close();
  }
}

/** What is left of the task that was going on when the pipes were lost. */
async function* rest(agent, { seq, busy, replayed }) {
  if (!busy && replayed === 0) return;
  for await (const event of agent.events()) {
    yield event;
    if (event.seq >= seq && (!busy || event.kind === "agent_end")) return;
  }
}

process.stdout.on("error", () => process.exit(0)); // nobody reads any more
try {
  await main();
} catch (error) {
  const isUsage = error instanceof TypeError;
  if (!isUsage && !(error instanceof AgentError)) throw error;
  await tell(isUsage ? `${error.message}\n${USAGE}` : `error: ${error.message} (${error.code})`);
  process.exitCode = isUsage ? 2 : 1;
}
