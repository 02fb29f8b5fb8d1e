import js from "@eslint/js";
import { defineConfig } from "eslint/config";
import tseslint from "typescript-eslint";

export default defineConfig(
  { ignores: ["build", "cjs", "esm", "native", "test/gen"] },
  js.configs.recommended,
  {
    files: ["**/*.ts"],
    extends: [tseslint.configs.strictTypeChecked, tseslint.configs.stylisticTypeChecked],
    languageOptions: { parserOptions: { project: ["./tsconfig.json", "./tsconfig.test.json"] } },
    rules: {
      // The words of records.
      "@typescript-eslint/no-non-null-assertion": "off",
      // Programs in JavaScript give what no type allows.
      "@typescript-eslint/no-unnecessary-condition": "off",
      "@typescript-eslint/no-confusing-void-expression": [
        "error",
        { ignoreArrowShorthand: true, ignoreVoidReturningFunctions: true },
      ],
      "@typescript-eslint/no-empty-function": ["error", { allow: ["arrowFunctions", "methods"] }],
      "@typescript-eslint/no-invalid-void-type": "off",
      "@typescript-eslint/no-unused-vars": ["error", { argsIgnorePattern: "^_", varsIgnorePattern: "^_" }],
      // An async function is the shortest way to reject instead of throwing.
      "@typescript-eslint/require-await": "off",
      "@typescript-eslint/class-literal-property-style": "off",
      "@typescript-eslint/restrict-template-expressions": ["error", { allowNumber: true }],
      "@typescript-eslint/only-throw-error": "off",
      "@typescript-eslint/prefer-promise-reject-errors": "off",
    },
  },
  {
    files: ["test/**/*.ts"],
    rules: {
      // node:test gives promises that it awaits by itself.
      "@typescript-eslint/no-floating-promises": [
        "error",
        { allowForKnownSafeCalls: [{ from: "package", name: ["test", "describe", "it"], package: "node:test" }] },
      ],
      "require-yield": "off",
    },
  },
  {
    files: ["scripts/*.cjs"],
    languageOptions: { sourceType: "commonjs", globals: { require: "readonly", exports: "readonly" } },
  },
  {
    files: ["scripts/*.js"],
    rules: { "no-unused-vars": ["error", { varsIgnorePattern: "^_" }] },
    languageOptions: { globals: { Buffer: "readonly", console: "readonly", performance: "readonly", process: "readonly", URL: "readonly" } },
  },
);
