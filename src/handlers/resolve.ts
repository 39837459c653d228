/** Resolution of `wshub/handlers` for handlers modules, which lie anywhere: /etc/wshub/handlers, a project's folder. */
import { registerHooks } from 'node:module';
import { extname } from 'node:path';

const specifierOfApi = 'wshub/handlers';
/** `define.ts` in the source, `define.js` in the build. */
const urlOfApi = new URL(`./define${extname(import.meta.filename)}`, import.meta.url).href;

let installed = false;

/**
 * Makes `wshub/handlers` the API of the hub that runs, in every module that this process loads from now on. A copy of
 * wshub in the project's own node_modules serves its types only. All other specifiers resolve as usual.
 */
export function resolveHandlersApi(): void {
  if (installed) return;
  installed = true;
  registerHooks({
    resolve: (specifier, context, nextResolve) =>
      specifier === specifierOfApi ? { url: urlOfApi, shortCircuit: true } : nextResolve(specifier, context),
  });
}
