import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import { fileURLToPath } from "node:url";
import { type Claims, implement, type JwtOptions, serve, type TlsIdentity } from "spanwire";
import { Code, failure, pair } from "./support.js";

const CERTS = fileURLToPath(new URL("../../../ffi-c/tests/certs.sh", import.meta.url));
const PATH = "/t.Auth/Who";
const body = new Uint8Array([1]);

describe("who calls", () => {
  let folder = "";
  const file = (name: string): string => join(folder, name);
  const seen: { subject: string | undefined; claims: Claims | undefined; tlsIdentity: TlsIdentity | undefined }[] = [];
  const services = [
    implement({
      [PATH]: {
        kind: "unary",
        handler(_, { subject, claims, tlsIdentity }) {
          seen.push({ subject, claims, tlsIdentity });
          return body;
        },
      },
    }),
  ];
  const tls = () => ({ certificateFile: file("server.pem"), keyFile: file("server.key") });
  const jwt = (): JwtOptions => ({
    jwksFile: file("keys.json"),
    issuers: ["https://login.example.com"],
    audiences: ["other", "orders"],
  });
  const trust = (serverName = "localhost") => ({ caFile: file("ca.pem"), serverName });

  before(() => {
    folder = mkdtempSync(join(tmpdir(), "spanwire-"));
    execFileSync(CERTS, [folder], { stdio: "pipe" });
  });
  after(() => rmSync(folder, { recursive: true }));

  it("is told by a token", async (test) => {
    const options = { tls: tls(), jwt: { ...jwt(), algorithms: ["EdDSA"], clockSkewMs: 0, requiredClaims: ["scope"] } };
    const known = await pair(test, services, options, { tls: trust(), bearerTokenFile: file("token") });
    await known.channel.unary(PATH, body);
    const { subject, claims, tlsIdentity } = seen.pop()!;
    assert.equal(subject, "ada");
    assert.equal(claims?.scope, "orders.read");
    assert.equal(tlsIdentity, undefined);
    const nobody = await pair(test, services, options, { tls: trust() });
    const error = await failure(nobody.channel.unary(PATH, body));
    assert.equal(error.code, Code.UNAUTHENTICATED);
    assert.equal(error.message, "UNAUTHENTICATED: the call has no bearer token");
  });

  it("is not told by a token in the open, unless that is wanted", async (test) => {
    const metadata = { authorization: `Bearer ${readFileSync(file("token"), "utf8")}` };
    const strict = await pair(test, services, { jwt: jwt() });
    assert.equal((await failure(strict.channel.unary(PATH, body, { metadata }))).code, Code.UNAUTHENTICATED);
    const open = await pair(test, services, { jwt: { ...jwt(), dangerAcceptPlaintext: true } });
    await open.channel.unary(PATH, body, { metadata });
    assert.equal(seen.pop()!.subject, "ada");
  });

  it("is told by a token with keys from a URL", async (test) => {
    const web = createServer((_, response) => response.end(readFileSync(file("keys.json"))));
    await once(web.listen(0, "127.0.0.1"), "listening");
    test.after(() => web.close());
    const { port } = web.address() as AddressInfo;
    const { jwksFile: _, ...rest } = jwt();
    const remote = { jwksUrl: `http://127.0.0.1:${port}/keys.json`, jwksRefreshIntervalMs: 60_000 };
    const { channel } = await pair(test, services, {
      health: true,
      jwt: { ...rest, ...remote, dangerAcceptPlaintext: true, unauthenticatedMethods: ["/grpc.health.v1.Health/*"] },
    });
    const metadata = { authorization: `Bearer ${readFileSync(file("token"), "utf8")}` };
    await channel.unary(PATH, body, { metadata });
    assert.equal(seen.pop()!.subject, "ada");
    assert.equal((await failure(channel.unary(PATH, body))).code, Code.UNAUTHENTICATED);
    await channel.unary("/grpc.health.v1.Health/Check", new Uint8Array());
  });

  it("is told by a certificate, which a policy knows", async (test) => {
    const options = {
      tls: { ...tls(), caFile: file("ca.pem"), clientCertificateOptional: true },
      authorizationPolicy: { name: "p", allow_rules: [{ name: "r", source: { principals: ["spiffe://example/*"] } }] },
    };
    const mine = { certificateFile: file("client.pem"), keyFile: file("client.key") };
    const known = await pair(test, services, options, { tls: { ...trust(), ...mine } });
    await known.channel.unary(PATH, body);
    const { subject, claims, tlsIdentity } = seen.pop()!;
    assert.equal(subject, undefined);
    assert.equal(claims, undefined);
    const { certificates, ...names } = tlsIdentity!;
    assert.equal(certificates[0]![0], 0x30);
    assert.deepEqual(names, {
      dnsNames: ["client.example"],
      uris: ["spiffe://example/client"],
      ipAddresses: ["192.0.2.1"],
      emails: ["client@example"],
      subject: "CN=client",
      spiffeId: "spiffe://example/client",
    });
    const stranger = await pair(test, services, options, { tls: trust() });
    const error = await failure(stranger.channel.unary(PATH, body));
    assert.equal(error.code, Code.PERMISSION_DENIED);
    assert.equal(error.message, "PERMISSION_DENIED: unauthorized RPC request rejected");
  });

  it("may be decided by a file", async (test) => {
    const rule = { name: "r", request: { headers: [{ key: "x-test", values: ["yes"] }] } };
    writeFileSync(file("policy.json"), JSON.stringify({ name: "p", allow_rules: [rule] }));
    const { channel } = await pair(test, services, { authorizationPolicyFile: file("policy.json") });
    await channel.unary(PATH, body, { metadata: { "x-test": "yes" } });
    assert.equal((await failure(channel.unary(PATH, body))).code, Code.PERMISSION_DENIED);
  });

  it("sees the certificate of the name that it asks for", async (test) => {
    const moreCertificates = [
      { certificateFile: file("named.pem"), keyFile: file("named.key") },
      { certificatePem: readFileSync(file("client.pem")), keyPem: readFileSync(file("client.key"), "utf8") },
    ];
    for (const name of ["localhost", "shop.example"]) {
      const { channel } = await pair(test, services, { tls: { ...tls(), moreCertificates } }, { tls: trust(name) });
      await channel.unary(PATH, body);
    }
  });

  it("is not asked with options that cannot be used", async () => {
    const address = "127.0.0.1:0";
    for (const [options, message] of [
      [{ authorizationPolicy: {} }, /authorizationPolicy: the whole: has no allow_rules/],
      [{ jwt: { ...jwt(), issuers: [] } }, /jwt: whose tokens are good/],
      [{ jwt: { ...jwt(), jwksFile: "/nowhere" } }, /jwksFile: \/nowhere: /],
      [{ jwt: { ...jwt(), jwksUrl: "https://login.test/" } }, /jwt: whose keys\? it needs a file of them, or a URL/],
      [{ jwt: { ...jwt(), jwksFile: undefined, jwksUrl: "http://login.test/" } }, /jwksUrl: .* is not encrypted/],
      [{ jwt: { ...jwt(), unauthenticatedMethods: ["Health"] } }, /unauthenticatedMethods: "Health" must be a method/],
      [{ jwt: { ...jwt(), issuers: "me" } }, /issuers: an array of strings is due, not string/],
      [{ jwt: { ...jwt(), key: "k" } }, /jwt has no option "key"/],
      [{ jwt: true }, /jwt: an object is due, not boolean/],
    ] as const) {
      await assert.rejects(serve({ address, services, ...(options as object) }), (error: unknown) => {
        assert.ok(error instanceof TypeError);
        assert.match(error.message, message);
        return true;
      });
    }
  });

  it("refuse with the time to come back", async (test) => {
    const rateLimits = [{ burst: 1, perSecond: 0.01, methods: [PATH], forEachClient: true }];
    const { channel } = await pair(test, services, { rateLimits, maxRunningCalls: 8 });
    await channel.unary(PATH, body);
    const refused = await failure(channel.unary(PATH, body));
    assert.equal(refused.code, Code.RESOURCE_EXHAUSTED);
    assert.match(refused.message, /too many calls from this client: rate_limits let 1 through/);
    assert.ok(Number(refused.trailers.get("grpc-retry-pushback-ms")) > 50_000);
    const wrong = serve({ address: "127.0.0.1:0", services, rateLimits: [{ burst: 0, perSecond: 1 }] });
    await assert.rejects(wrong, /rateLimits: limits\[0\]\.burst: must be a whole number/);
    const never = serve({ address: "127.0.0.1:0", services, rateLimits: [{ burst: 1, perSecond: 0 }] });
    await assert.rejects(never, /rateLimits: limits\[0\]\.perSecond: must be above 0, and is 0/);
  });
});
