/** `@opentelemetry/api`, or undefined if there is none. */
declare function load(): unknown;
export = load;
