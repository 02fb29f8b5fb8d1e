// Messages both ways at once: what one says, all hear.
//
//   npm install && npm run build
//   node dist/chat.js server 127.0.0.1:50052
//   node dist/chat.js client 127.0.0.1:50052 ada
//   node dist/chat.js client 127.0.0.1:50052 grace
import { createInterface } from "node:readline";
import { Channel, Code, type Context, createClient, implement, RpcError } from "spanwire";
import { run, serveUntilStopped, usage } from "./common.js";
import { Chat } from "./gen/chat/v1/chat_pb.js";

interface Said {
  name: string;
  text: string;
}

/** What a listener may be behind, in messages. */
const BACKLOG = 256;

/** One of those in the room, and what it has not heard yet. */
class Listener {
  #waiting: Said[] = [];
  #missed = false;
  #ended = false;
  #wake = (): void => {};

  tell(said: Said): void {
    if (this.#waiting.length < BACKLOG) this.#waiting.push(said);
    else this.#missed = true;
    this.#wake();
  }

  /** What was said before is still heard. */
  end(): void {
    this.#ended = true;
    this.#wake();
  }

  /** What is said, as it is said. */
  async *hear(): AsyncGenerator<Said> {
    for (;;) {
      for (let said = this.#waiting.shift(); said !== undefined; said = this.#waiting.shift()) yield said;
      if (this.#missed) throw new RpcError(Code.RESOURCE_EXHAUSTED, "messages came faster than you read");
      if (this.#ended) return;
      await new Promise<void>((resolve) => (this.#wake = resolve));
    }
  }
}

/** One room for all. */
class Room {
  #listeners = new Set<Listener>();

  #tell(name: string, text: string): void {
    for (const listener of this.#listeners) listener.tell({ name, text });
  }

  /** Hears all and says something, until the client leaves. */
  async *join(requests: AsyncIterable<{ text: string }>, { metadata }: Context) {
    const name = metadata.get("chat-name");
    if (name === undefined) throw new RpcError(Code.INVALID_ARGUMENT, "the metadata have no chat-name");
    const me = new Listener();
    const passOn = async (): Promise<void> => {
      for await (const { text } of requests) this.#tell(name, text);
    };
    this.#listeners.add(me);
    this.#tell("", `${name} joined`);
    // However the call ends: if the client is gone, its requests end with an error.
    passOn().catch(() => {}).finally(() => me.end());
    try {
      yield* me.hear();
    } finally {
      this.#listeners.delete(me);
      this.#tell("", `${name} left`);
    }
  }
}

/** Lines as they are typed. */
async function* typed(): AsyncGenerator<{ text: string }> {
  for await (const text of createInterface({ input: process.stdin })) yield { text };
}

/** Says what is typed and prints what is heard. */
async function chat(target: string, name: string): Promise<void> {
  const room = createClient(Chat, new Channel(target));
  const heard = room.join(typed(), { metadata: { "chat-name": name }, waitForReady: true });
  for await (const { name, text } of heard) console.log(name === "" ? `* ${text}` : `${name}: ${text}`);
}

const [command, address, name] = process.argv.slice(2);
if (command === "server" && address !== undefined) await run(serveUntilStopped(address, implement(Chat, new Room())));
else if (command === "client" && address !== undefined && name !== undefined) await run(chat(address, name));
else usage("chat.js server ADDRESS | client TARGET NAME");
