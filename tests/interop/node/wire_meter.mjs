// A relay on loopback that counts the bytes a server sends.
//
// grpc-js shows a program no message flags, so it cannot ask whether a message
// came compressed. Its size on the wire tells: a payload of zeros shrinks to
// almost nothing.

import net from "node:net";

/** Starts a relay to `host:port`; `received` counts the bytes that came back. */
export async function startWireMeter(host, port) {
  const meter = { received: 0, port: 0, close: () => {} };
  const open = new Set();
  const listener = net.createServer((near) => {
    const far = net.connect(port, host);
    for (const socket of [near, far]) {
      open.add(socket);
      socket.on("error", () => socket.destroy());
      socket.on("close", () => open.delete(socket));
    }
    far.on("data", (data) => {
      meter.received += data.length;
    });
    near.pipe(far);
    far.pipe(near);
  });
  await new Promise((ready) => listener.listen(0, "127.0.0.1", ready));
  meter.port = listener.address().port;
  meter.close = () => {
    listener.close();
    for (const socket of open) socket.destroy();
  };
  return meter;
}
