// Files of any size, in small messages.
//
//   npm install && npm run build
//   node dist/files.js server 127.0.0.1:50053 FOLDER
//   node dist/files.js upload 127.0.0.1:50053 photo.jpg
//   node dist/files.js download 127.0.0.1:50053 photo.jpg copy.jpg
import { createReadStream } from "node:fs";
import { type FileHandle, open, rename, rm } from "node:fs/promises";
import { basename, join } from "node:path";
import { Channel, Code, type Context, createClient, implement, RpcError } from "spanwire";
import { run, serveUntilStopped, usage } from "./common.js";
import { type DownloadRequest, Files, type UploadPart } from "./gen/files/v1/files_pb.js";

/** Bytes in one message: large enough to cost little, small enough to let other calls pass. */
const PIECE = 64 * 1024;

/** What the storage says, as a status. */
function statusOf(error: unknown): unknown {
  if (!(error instanceof Error) || !("code" in error) || error instanceof RpcError) return error;
  if (error.code === "ENOENT") return new RpcError(Code.NOT_FOUND, "there is no such file");
  if (error.code === "EEXIST") return new RpcError(Code.ABORTED, "the same file is being uploaded already");
  // What went wrong inside is no business of the client's.
  console.error(`storage: ${error.message}`);
  return new RpcError(Code.INTERNAL, "the storage failed");
}

/** Keeps files in one folder. */
class Folder {
  readonly #folder: string;

  constructor(folder: string) {
    this.#folder = folder;
  }

  /** The file of that name, if it is a name and not a way out of the folder. */
  #file(name: string): string {
    if (basename(name) !== name || name.startsWith(".") || name === "") {
      throw new RpcError(Code.INVALID_ARGUMENT, `${JSON.stringify(name)} is no plain file name`);
    }
    return join(this.#folder, name);
  }

  /** Stores one file. If the client gives up, its requests end with an error, and nothing is left. */
  async upload(requests: AsyncIterable<UploadPart>) {
    const parts = requests[Symbol.asyncIterator]();
    const first = (await parts.next()) as IteratorResult<UploadPart, undefined>;
    if (first.value?.part.case !== "name") throw new RpcError(Code.INVALID_ARGUMENT, "the first part is not the name");
    const name = first.value.part.value;
    const path = this.#file(name);
    const unfinished = join(this.#folder, `.${name}.part`);
    try {
      const file = await open(unfinished, "wx");
      try {
        const size = await store(requests, file);
        await rename(unfinished, path);
        console.log(`stored ${name}, ${size} bytes`);
        return { name, size: BigInt(size) };
      } finally {
        await file.close();
        await rm(unfinished, { force: true });
      }
    } catch (error) {
      throw statusOf(error);
    }
  }

  /** Sends what is left of one file. */
  async *download({ name, offset }: DownloadRequest, context: Context) {
    const path = this.#file(name);
    try {
      const file = await open(path, "r");
      try {
        context.headers.set("file-size", String((await file.stat()).size));
        // Also if there is nothing left to send.
        context.sendHeaders();
        const rest = file.createReadStream({ start: Number(offset), highWaterMark: PIECE, autoClose: false });
        for await (const data of rest) yield { data: data as Buffer };
      } finally {
        await file.close();
      }
    } catch (error) {
      throw statusOf(error);
    }
  }
}

/** Writes what is left of the parts. How many bytes that were. */
async function store(parts: AsyncIterable<UploadPart>, file: FileHandle): Promise<number> {
  let size = 0;
  for await (const { part } of parts) {
    if (part.case !== "data") throw new RpcError(Code.INVALID_ARGUMENT, "a part after the first has no data");
    await file.appendFile(part.value);
    size += part.value.length;
  }
  await file.sync();
  return size;
}

/** A file as the parts of an upload. An error in here ends the call: the server never takes a part for the whole. */
async function* partsOf(path: string) {
  yield { part: { case: "name" as const, value: basename(path) } };
  for await (const data of createReadStream(path, { highWaterMark: PIECE })) {
    yield { part: { case: "data" as const, value: data as Buffer } };
  }
}

/** Stores a file under its own name. */
async function upload(target: string, path: string): Promise<void> {
  const files = createClient(Files, new Channel(target));
  const { name, size } = await files.upload(partsOf(path));
  console.log(`uploaded ${name}, ${size} bytes`);
}

/** Fetches a file, or what an earlier download did not. */
async function download(target: string, name: string, path: string): Promise<void> {
  const files = createClient(Files, new Channel(target));
  const file = await open(path, "a");
  try {
    const offset = (await file.stat()).size;
    const pieces = files.download({ name, offset: BigInt(offset) });
    // A call that has failed may have none; the loop throws its error.
    const size = (await pieces.headers).get("file-size");
    if (size !== undefined) console.log(`downloading bytes ${offset} to ${size}`);
    for await (const { data } of pieces) await file.appendFile(data);
    await file.sync();
  } finally {
    await file.close();
  }
  console.log(`downloaded ${path}`);
}

const [command, address, file, copy] = process.argv.slice(2);
if (address === undefined || file === undefined) usage("files.js server ADDRESS FOLDER | upload TARGET FILE | download TARGET NAME FILE");
else if (command === "server") await run(serveUntilStopped(address, implement(Files, new Folder(file))));
else if (command === "upload") await run(upload(address, file));
else if (command === "download" && copy !== undefined) await run(download(address, file, copy));
else usage("files.js server ADDRESS FOLDER | upload TARGET FILE | download TARGET NAME FILE");
