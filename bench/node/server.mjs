// Serves bench.v1.Echo on 127.0.0.1 until it is killed: server.mjs spanwire|grpc-js PORT [--raw]

import { library } from "./echo.mjs";

const [name, port, flag] = process.argv.slice(2);
const { serve } = await library(name);
await serve(port, flag === "--raw");
