// Loads the API of OpenTelemetry where a program has it: no dependency of this package, but the one of all that use it.
"use strict";

module.exports = () => {
  try {
    return require("@opentelemetry/api");
  } catch {
    return undefined;
  }
};
