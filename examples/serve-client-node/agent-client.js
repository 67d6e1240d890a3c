/** A client of `beyond-ai agent serve`, protocol 1, made from ../../docs/serve-protocol.md alone. */

import { spawn } from "node:child_process";
import { randomUUID } from "node:crypto";
import { once } from "node:events";

export const PROTOCOL = 1;
const LF = 0x0a;
const LONGEST_LINE = 1024 * 1024; // bytes, until `ready` says otherwise
const WAITING_EVENTS = 256; // how far the reader of the pipe may be ahead of the reader of `events`

/** A command was answered with a failure, or there is nobody to answer. `code` is the agent's, `lost` or `protocol`. */
export class AgentError extends Error {
  constructor(message, code) {
    super(message);
    this.name = "AgentError";
    this.code = code;
  }
}

/** Lines out of bytes. LF alone ends one: U+2028 and U+2029, at which `node:readline` splits, may stand in JSON. */
export class LineSplitter {
  #held = [];
  #size = 0;

  constructor(longest = LONGEST_LINE) {
    this.longest = longest;
  }

  /** The lines that end in `data`. A character may be cut between two calls. */
  *feed(data) {
    let start = 0;
    for (let end; (end = data.indexOf(LF, start)) !== -1; start = end + 1) {
      this.#hold(data.subarray(start, end));
      const line = Buffer.concat(this.#held).toString("utf8");
      this.#held = [];
      this.#size = 0;
      if (line.trim() !== "") yield line;
    }
    this.#hold(data.subarray(start));
  }

  #hold(piece) {
    this.#size += piece.length;
    if (this.#size > this.longest) throw new AgentError(`a line is longer than ${this.longest} bytes`, "protocol");
    this.#held.push(piece);
  }
}

/**
 * An agent at the other end of a command's pipes.
 *
 *     const agent = await AgentClient.start(["ssh", "host", "beyond-ai", "agent", "serve"]);
 *     for await (const event of agent.prompt("Fix the failing test.")) console.log(event.seq, event.kind);
 *     await agent.close();
 */
export class AgentClient {
  /** The first frame; null after `attach`. */
  ready = null;
  /** The last frame, once it is there. */
  exit = null;
  /** The number of the last event that was read: where to attach when the pipes are lost. */
  lastSeq = 0;
  /** The process whose events `lastSeq` counts; null where that is not known. */
  instance = null;

  #child;
  #reading;
  #first;
  #onApproval;
  #splitter = new LineSplitter();
  #prefix = randomUUID().slice(0, 8); // answers to an earlier client of the same agent may still come
  #calls = 0;
  #waiting = new Map();
  #asked = new Map();
  #events = [];
  #keeping = false;
  #attaching = false;
  #over = null;
  #changed = () => {};
  #makeRoom = () => {};

  /** Not for use: see `start` and `attach`. */
  constructor(command, { onApproval = () => "deny", stderr = "inherit", ...options } = {}) {
    this.#onApproval = onApproval;
    this.#child = spawn(command[0], command.slice(1), { ...options, stdio: ["pipe", "pipe", stderr] });
    this.#child.stdin.on("error", () => {}); // the end of what is read says it
    this.#first = new Promise((resolve, reject) => {
      this.#reading = once(this.#child, "spawn").then(
        () => this.#read(resolve, reject),
        (error) => this.#end(new AgentError(`${command[0]} cannot be started: ${error.message}`, "lost"), reject),
      );
    });
    this.#first.catch(() => {});
  }

  /**
   * Run `command`, and wait for the agent to be ready. Throws AgentError, also where it lacks one of `needs`.
   *
   * `onApproval` is given each `approval_request`, and a signal that fires when an answer is not wanted any more. It
   * returns, or promises, "allow", "deny" or "session", which allows the like too. Without it, and where it throws, the
   * answer is no. Other options are those of `spawn`.
   */
  static async start(command, { needs = ["ack", "seq"], ...options } = {}) {
    const agent = new AgentClient(command, options);
    try {
      const ready = await agent.#first;
      if (ready.type === "exit") throw new AgentError(`the agent did not start: ${ready.reason}`, "lost");
      if (ready.type !== "ready") throw new AgentError(`the first frame is ${ready.type}, not ready`, "protocol");
      if (ready.protocol !== PROTOCOL)
        throw new AgentError(`the agent speaks protocol ${ready.protocol}, this client ${PROTOCOL}`, "protocol");
      const lacking = needs.filter((name) => !ready.capabilities.includes(name));
      if (lacking.length > 0) throw new AgentError(`the agent cannot do ${lacking.join(", ")}`, "protocol");
      return agent;
    } catch (error) {
      agent.#leave();
      throw error;
    }
  }

  /**
   * Take up an agent that went on without a client, by a `command` that leads to its pipes.
   *
   * `events` begins behind event `fromSeq` of the process `instance`. Returns the client, and what `attach` was answered.
   * Throws AgentError, also where another process is there.
   */
  static async attach(command, fromSeq, { instance = null, ...options } = {}) {
    const agent = new AgentClient(command, options);
    agent.lastSeq = fromSeq;
    agent.instance = instance;
    agent.#keeping = true;
    try {
      const attached = await agent.#attach();
      if (agent.ready || attached.other || attached.seq < fromSeq)
        throw new AgentError(`another agent is there: it has come to event ${attached.seq}`, "lost");
      agent.instance = attached.instance;
      return { agent, attached };
    } catch (error) {
      agent.#leave();
      throw error;
    }
  }

  /** The data of the answer to a command. Throws AgentError. */
  async call(type, members = {}) {
    if (this.#over) throw this.#over;
    const id = `${this.#prefix}-${++this.#calls}`;
    const answer = new Promise((resolve, reject) => this.#waiting.set(id, { resolve, reject, acknowledged: false }));
    this.#child.stdin.write(`${JSON.stringify({ id, type, ...members })}\n`);
    this.#makeRoom(); // the answer stands behind the events that wait
    return answer;
  }

  /** The events of a task, until its answer is there, whose data is the value at the end. Throws AgentError. */
  async *prompt(message, members = {}) {
    let answered = false;
    const answer = this.call("prompt", { ...members, message }).finally(() => {
      answered = true;
      this.#changed();
    });
    answer.catch(() => {}); // thrown below, when the events before it are taken
    yield* this.events(() => answered);
    return answer;
  }

  /**
   * The events from now on, each with its `seq`, until `isOver()` or the end of the agent. Throws AgentError where the
   * pipes are lost. Who is slow to take them makes the agent wait, and not this process grow.
   */
  async *events(isOver = () => false) {
    this.#keeping = true;
    try {
      for (;;) {
        while (this.#events.length > 0) {
          yield this.#events.shift();
          this.#makeRoom();
        }
        if (isOver() || this.exit) return;
        if (this.#over) throw this.#over;
        await new Promise((resolve) => (this.#changed = resolve));
      }
    } finally {
      this.#keeping = false;
      this.#events = [];
      this.#makeRoom();
    }
  }

  /** End the agent's input, which ends the agent. Returns its last frame, null where there was none. */
  async close() {
    this.#child.stdin.end();
    await this.#reading;
    return this.exit;
  }

  async #read(resolve, reject) {
    try {
      for await (const data of this.#child.stdout) {
        for (const line of this.#splitter.feed(data)) {
          const frame = this.#parse(line);
          if (frame === null) continue;
          resolve(frame);
          this.#take(frame);
          while (this.#isFull()) await new Promise((made) => (this.#makeRoom = made));
        }
      }
      this.#end(new AgentError(this.exit ? "the agent has ended" : "the pipes to the agent are gone", "lost"), reject);
    } catch (error) {
      this.#leave();
      this.#end(error instanceof AgentError ? error : new AgentError(error.message, "lost"), reject);
    }
  }

  #parse(line) {
    try {
      return JSON.parse(line);
    } catch {
      if (this.#attaching) return null; // an earlier reader took the start of this line with it
      throw new AgentError(`no frame: ${line.slice(0, 200)}`, "protocol");
    }
  }

  /** Whether to read no further. Who waits for an answer may read no event before it is there, so that must come. */
  #isFull() {
    if (!this.#keeping || this.#events.length < WAITING_EVENTS) return false;
    return [...this.#waiting.values()].every((call) => call.acknowledged);
  }

  #take(frame) {
    switch (frame.type) {
      case "ready":
        this.ready = frame;
        if (!this.#attaching) this.instance = frame.instance;
        this.#splitter.longest = frame.limits.line_out;
        break;
      case "ack": {
        const call = this.#waiting.get(frame.id);
        if (call) call.acknowledged = true;
        break;
      }
      case "event":
        this.#takeEvent(frame);
        break;
      case "response":
        this.#takeAnswer(frame);
        break;
      case "approval_request":
        this.#decide(frame);
        break;
      case "approval_resolved":
        this.#asked.get(frame.request_id)?.abort();
        break;
      case "exit":
        this.exit = frame;
        break;
      default: // later agents say more
    }
  }

  #takeEvent({ event, seq, replayed }) {
    if (seq <= this.lastSeq) return;
    if (seq > this.lastSeq + 1 && !(this.#attaching && replayed)) {
      if (!this.#attaching) this.#attach().catch(() => {});
      return; // it comes again, behind those that are missing
    }
    this.lastSeq = seq;
    if (this.#keeping) this.#events.push({ ...event, seq });
    this.#changed();
  }

  #takeAnswer({ id, success, data = {}, error, code }) {
    const call = this.#waiting.get(id);
    this.#waiting.delete(id);
    if (success) call?.resolve(data);
    else call?.reject(new AgentError(error, code));
  }

  async #attach() {
    this.#attaching = true;
    try {
      return await this.call("attach", { from_seq: this.lastSeq, instance: this.instance });
    } finally {
      this.#attaching = false;
    }
  }

  async #decide(request) {
    if (this.#asked.has(request.request_id)) return; // `attach` sends again what is open
    const asking = new AbortController();
    this.#asked.set(request.request_id, asking);
    let said = "deny";
    try {
      said = await this.#onApproval(request, asking.signal);
    } catch {
      // a gate that breaks stays shut
    }
    this.#asked.delete(request.request_id);
    if (asking.signal.aborted) return;
    const decision = said === "allow" || said === "session" ? "allow" : "deny";
    const scope = said === "session" ? "session" : "once";
    // one that comes too late changes nothing: `approval_resolved` is on its way
    await this.call("approve", { request_id: request.request_id, decision, scope }).catch(() => {});
  }

  /** Let go of the pipes, which ends an agent. No signal: what leads to one may have its pipes to tidy up. */
  #leave() {
    this.#child.stdin.destroy();
    this.#child.stdout.destroy();
    this.#child.unref();
  }

  #end(error, reject) {
    this.#over = error;
    reject(error);
    for (const call of this.#waiting.values()) call.reject(error);
    this.#waiting.clear();
    for (const asking of this.#asked.values()) asking.abort();
    this.#changed();
  }
}
