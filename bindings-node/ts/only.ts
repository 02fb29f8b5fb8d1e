import native from "../native/index.cjs";
import type { Interceptor, ServerInterceptor } from "./interceptor.js";
import { typeErrors } from "./misuse.js";

interface Call {
  readonly method: { readonly path: string };
}

/**
 * Has an interceptor run around calls of these methods alone: `/package.Service/Method`, or all of a service,
 * `/package.Service/*`. Calls of others pass it by. Its place among the others is where it stands in the list, whatever they
 * are for.
 *
 * @throws TypeError one of the methods is not of these forms.
 */
export function only<I extends Interceptor | ServerInterceptor>(methods: readonly string[], interceptor: I): I {
  const those = typeErrors(() => new native.Methods([...methods]));
  const around = interceptor as unknown as (call: Call, next: (call: Call) => Promise<unknown>) => Promise<unknown>;
  const scoped: typeof around = (call, next) => (those.contain(call.method.path) ? around(call, next) : next(call));
  return scoped as unknown as I;
}
