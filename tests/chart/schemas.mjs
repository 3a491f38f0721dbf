// Checks rendered objects against Kubernetes' own API descriptions (the packages kubernetes-models), one version after the other.
// Standard input: [{version, from, objects: [...]}]. Two looks at each object: the packages' validators know what is required and of which
// type, and the TypeScript compiler, given the object as a literal of the described type, refuses fields that do not exist there.
// Prints a line for each problem; exit code 1 if there is one.
import fs from "node:fs";
import path from "node:path";
import ts from "typescript";

const folder = process.cwd();
const problems = [];

function packageOf(object, version) {
  const group = object.apiVersion.split("/")[0];
  if (group === "monitoring.coreos.com") return "@kubernetes-models/prometheus-operator";
  if (group === "cert-manager.io") return "@kubernetes-models/cert-manager";
  return `kubernetes-${version}`;
}

const literals = {}; // of a version: source text, and where each object begins
for (const { version, from, objects } of JSON.parse(fs.readFileSync(0, "utf8"))) {
  for (const object of objects) {
    const where = `${from}: Kubernetes ${version}: ${object.kind} ${object.metadata.name}`;
    const module = `${packageOf(object, version)}/${object.apiVersion}`;
    let models;
    try {
      models = await import(module);
    } catch {
      problems.push(`${where}: ${object.apiVersion} does not exist`);
      continue;
    }
    if (!models[object.kind]) {
      problems.push(`${where}: there is no ${object.kind} in ${object.apiVersion}`);
      continue;
    }
    try {
      new models[object.kind](object).validate();
    } catch (error) {
      problems.push(`${where}: ${error.message}`);
    }
    const at = (literals[version] ??= { text: "", lines: [] });
    at.lines.push([at.text.split("\n").length, where]);
    const number = at.lines.length;
    at.text += `import type { I${object.kind} as T${number} } from "${module}";\nexport const o${number}: T${number} = ${JSON.stringify(object, null, 1)};\n`;
  }
}

for (const [version, { text, lines }] of Object.entries(literals)) {
  const file = path.join(folder, `objects-${version}.ts`);
  fs.writeFileSync(file, text);
  const program = ts.createProgram([file], {
    noEmit: true, strict: true, skipLibCheck: true, types: [], target: ts.ScriptTarget.ES2022,
    // By folders, as the older packages name no types in their "exports".
    module: ts.ModuleKind.ESNext, moduleResolution: ts.ModuleResolutionKind.Node10, ignoreDeprecations: "5.0",
  });
  for (const diagnostic of ts.getPreEmitDiagnostics(program)) {
    const line = diagnostic.file ? diagnostic.file.getLineAndCharacterOfPosition(diagnostic.start).line + 1 : 0;
    const where = lines.filter(([first]) => first <= line).at(-1)?.[1] ?? version;
    problems.push(`${where}: ${ts.flattenDiagnosticMessageText(diagnostic.messageText, " ").slice(0, 300)}`);
  }
}

for (const problem of problems) console.log(problem);
process.exit(problems.length ? 1 : 0);
