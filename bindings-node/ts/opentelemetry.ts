// The engine's traces and those of OpenTelemetry's API for Node are one, for programs that use both.
import type * as Api from "@opentelemetry/api";
import load from "../native/opentelemetry.cjs";
import type { Context } from "./context.js";
import { Metadata, type MetadataInit } from "./metadata.js";

/** Where all copies of the API find what a program has set up. Until it has, no span is current. */
const SET_UP = Symbol.for("opentelemetry.js.api.1");

let loaded: { api: typeof Api | undefined } | undefined;

function used(): typeof Api | undefined {
  if (!(SET_UP in globalThis)) return undefined;
  return (loaded ??= { api: load() as typeof Api | undefined }).api;
}

/** A call's metadata, with the span that the running code is in, unless they say where the call belongs. */
export function behindCurrent(metadata: MetadataInit | undefined): MetadataInit | undefined {
  const api = used();
  const place = api?.trace.getSpanContext(api.context.active());
  if (api === undefined || place === undefined || !api.isSpanContextValid(place)) return metadata;
  const all = new Metadata(metadata);
  if (all.has("traceparent") || all.has("grpc-trace-bin")) return all;
  all.set("traceparent", `00-${place.traceId}-${place.spanId}-${place.traceFlags.toString(16).padStart(2, "0")}`);
  const state = place.traceState?.serialize();
  if (state !== undefined && state !== "") all.set("tracestate", state);
  return all;
}

/** Runs a handler with the span of its call as the current one. */
export function within(context: Context, run: () => void): void {
  const api = used();
  const [, traceId, spanId, flags] = api === undefined ? [] : (context.traceparent?.split("-") ?? []);
  if (api === undefined || traceId === undefined || spanId === undefined || flags === undefined) return run();
  const state = context.tracestate;
  const place: Api.SpanContext = {
    traceId,
    spanId,
    traceFlags: parseInt(flags, 16),
    ...(state !== "" && { traceState: api.createTraceState(state) }),
  };
  api.context.with(api.trace.setSpanContext(api.ROOT_CONTEXT, place), run);
}
