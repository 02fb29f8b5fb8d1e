import assert from "node:assert/strict";
import { request } from "node:http";
import { describe, it } from "node:test";
import { implement, serve, type WebOptions } from "spanwire";

const PATH = "/t.Web/Echo";
const ORIGIN = "https://page.example";

interface Answer {
  status: number | undefined;
  headers: Record<string, string | string[] | undefined>;
  body: Buffer;
}

/** One request over HTTP/1.1; unlike `fetch` it sends any origin. */
async function send(port: number, method: string, headers: Record<string, string>, body?: Uint8Array): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const sent = request({ host: "127.0.0.1", port, path: PATH, method, headers }, (answer) => {
      const chunks: Buffer[] = [];
      answer.on("data", (chunk: Buffer) => chunks.push(chunk));
      answer.on("end", () => resolve({ status: answer.statusCode, headers: answer.headers, body: Buffer.concat(chunks) }));
    });
    sent.on("error", reject);
    sent.end(body);
  });
}

const preflight = { origin: ORIGIN, "access-control-request-method": "POST" };
const call = { origin: ORIGIN, "content-type": "application/grpc-web+proto" };
const message = Uint8Array.from([0, 0, 0, 0, 2, 104, 105]);

async function listen(web?: WebOptions) {
  const services = [implement({ [PATH]: { kind: "unary", handler: (body) => body } })];
  return serve({ address: "127.0.0.1:0", services, web });
}

describe("gRPC-Web", () => {
  it("is spoken to the pages that are listed", async (test) => {
    const server = await listen({
      origins: [ORIGIN],
      allowCredentials: true,
      allowHeaders: ["authorization"],
      exposeHeaders: ["x-cost"],
      maxAgeMs: 0,
    });
    test.after(() => server.close());
    const asked = await send(server.port!, "OPTIONS", preflight);
    assert.equal(asked.status, 204);
    assert.equal(asked.headers["access-control-allow-origin"], ORIGIN);
    assert.equal(asked.headers["access-control-allow-credentials"], "true");
    assert.match(String(asked.headers["access-control-allow-headers"]), /, authorization$/);
    assert.equal(asked.headers["access-control-max-age"], "0");
    const answer = await send(server.port!, "POST", call, message);
    assert.equal(answer.status, 200);
    assert.match(String(answer.headers["access-control-expose-headers"]), /, x-cost$/);
    assert.deepEqual(answer.body.subarray(0, message.length), Buffer.from(message));
    assert.equal(answer.body.subarray(message.length + 5).toString(), "grpc-status: 0\r\n");
    const refused = await send(server.port!, "POST", { ...call, origin: "https://other.example" }, message);
    assert.equal(refused.status, 403);
  });

  it("lets browsers remember for two hours by default", async (test) => {
    const server = await listen({ origins: ["*"] });
    test.after(() => server.close());
    const asked = await send(server.port!, "OPTIONS", preflight);
    assert.equal(asked.headers["access-control-max-age"], "7200");
    assert.equal(asked.headers["access-control-allow-origin"], "*");
  });

  it("is not spoken without being asked for", async (test) => {
    const server = await listen();
    test.after(() => server.close());
    await assert.rejects(send(server.port!, "POST", call, message));
  });

  it("has options that say what is wrong with them", async () => {
    await assert.rejects(listen({ origins: ["page.example"] }), /web\.origins: "page\.example" cannot be used/);
    await assert.rejects(listen({ origin: [] } as unknown as WebOptions), /web has no option "origin"/);
    await assert.rejects(listen({ origins: ORIGIN } as unknown as WebOptions), /origins: an array of strings is due/);
  });
});
