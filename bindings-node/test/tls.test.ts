import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { X509Certificate } from "node:crypto";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import { implement } from "spanwire";
import { Code, failure, pair } from "./support.js";

const PATH = "/t.Tls/Who";
const body = new Uint8Array([1]);

const services = [
  implement({
    [PATH]: {
      kind: "unary",
      handler(_, { tlsIdentity }) {
        const [own] = tlsIdentity?.certificates ?? [];
        return Buffer.from(own === undefined ? "nobody" : new X509Certificate(own).subject);
      },
    },
  }),
];

describe("TLS", () => {
  let folder = "";
  const file = (name: string): string => join(folder, name);

  function openssl(...args: string[]): void {
    execFileSync("openssl", args, { cwd: folder, stdio: "pipe" });
  }

  /** A key, and a certificate for it by the authority. */
  function certificate(name: string): void {
    openssl("req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", `${name}.key`, "-out", `${name}.csr`, "-subj", `/CN=${name}`, "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1");
    openssl("x509", "-req", "-in", `${name}.csr`, "-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial", "-days", "2", "-copy_extensions", "copy", "-out", `${name}.pem`);
  }

  before(() => {
    folder = mkdtempSync(join(tmpdir(), "spanwire-"));
    openssl("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2", "-keyout", "ca.key", "-out", "ca.pem", "-subj", "/CN=authority");
    certificate("server");
    certificate("client");
  });
  after(() => rmSync(folder, { recursive: true }));

  it("proves the server", async (test) => {
    const { channel } = await pair(
      test,
      services,
      { tls: { certificateFile: file("server.pem"), keyFile: file("server.key") } },
      { tls: { caPem: readFileSync(file("ca.pem")), serverName: "localhost" } },
    );
    assert.equal(Buffer.from(await channel.unary(PATH, body)).toString(), "nobody");
  });

  it("refuses a server that nobody vouches for", async (test) => {
    const tls = { certificatePem: readFileSync(file("server.pem")), keyPem: readFileSync(file("server.key"), "utf8") };
    const unknown = await pair(test, services, { tls }, { tls: true });
    const error = await failure(unknown.channel.unary(PATH, body));
    assert.equal(error.code, Code.UNAVAILABLE);
    assert.match(error.message, /certificate/i);
    const any = await pair(test, services, { tls }, { tls: { dangerAcceptAnyCertificate: true } });
    await any.channel.unary(PATH, body);
  });

  it("proves the client, too", async (test) => {
    const server = { certificateFile: file("server.pem"), keyFile: file("server.key"), caFile: file("ca.pem") };
    const known = await pair(
      test,
      services,
      { tls: server },
      { tls: { caFile: file("ca.pem"), certificateFile: file("client.pem"), keyFile: file("client.key") } },
    );
    assert.equal(Buffer.from(await known.channel.unary(PATH, body)).toString(), "CN=client");
    const stranger = await pair(test, services, { tls: server }, { tls: { caFile: file("ca.pem") } });
    assert.equal((await failure(stranger.channel.unary(PATH, body))).code, Code.UNAVAILABLE);
    const optional = { ...server, clientCertificateOptional: true };
    const guest = await pair(test, services, { tls: optional }, { tls: { caFile: file("ca.pem") } });
    assert.equal(Buffer.from(await guest.channel.unary(PATH, body)).toString(), "nobody");
  });
});
