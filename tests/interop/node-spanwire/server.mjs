// The official interop server, on Spanwire.
//
//   node server.mjs --port=PORT [--use_tls=true --tls_cert_file=F --tls_key_file=F] [--web_origin=URL]
//
// It listens on 127.0.0.1 only, until SIGTERM or SIGINT.

import { serve } from "spanwire";

import { services } from "./service.mjs";
import { flags } from "./testing.mjs";

const options = flags({ port: 0, use_tls: false, tls_cert_file: "", tls_key_file: "", web_origin: "" });
// Pages of that origin may call by gRPC-Web.
const web = {
  origins: [options.web_origin],
  allowHeaders: ["x-grpc-test-echo-initial", "x-grpc-test-echo-trailing-bin"],
  exposeHeaders: ["x-grpc-test-echo-initial"],
};

const server = await serve({
  address: `127.0.0.1:${options.port}`,
  services,
  tls: options.use_tls ? { certificateFile: options.tls_cert_file, keyFile: options.tls_key_file } : undefined,
  ...(options.web_origin && { web }),
  onError: (error) => console.error(error),
});
for (const signal of ["SIGTERM", "SIGINT"]) process.once(signal, () => server.close({ graceMs: 1000 }));
