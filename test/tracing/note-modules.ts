/** Loaded into every process of a hub by `--import`: records the loaded modules of OpenTelemetry. */
import { appendFileSync } from 'node:fs';
import { registerHooks } from 'node:module';

const file = process.env['NOTED_MODULES'];
if (file !== undefined) {
  appendFileSync(file, `hook ${process.pid}\n`);
  registerHooks({
    load: (url, context, nextLoad) => {
      if (/\/(@opentelemetry|prom-client)\//.test(url)) appendFileSync(file, `${process.pid} ${url}\n`);
      return nextLoad(url, context);
    },
  });
}
