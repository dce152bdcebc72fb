// Reads an OpenAPI document from standard input and says what is wrong with it, by the specification's own schema.
import { createRequire } from "node:module";
import { readFileSync } from "node:fs";
import { pathToFileURL } from "node:url";

const require = createRequire(process.env.OPENAPI_PACKAGES + "/");
const module = await import(pathToFileURL(require.resolve("@seriousme/openapi-schema-validator")));
const validator = new module.Validator();
const result = await validator.validate(JSON.parse(readFileSync(0, "utf8")));
if (!result.valid) {
  console.log(JSON.stringify(result.errors, null, 1));
  process.exit(1);
}
if (validator.version !== "3.1") {
  console.log(`the document is of version ${validator.version}`);
  process.exit(1);
}
