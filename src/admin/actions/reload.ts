/** Reloads settings, handlers and API keys, as SIGHUP does. The answer does not wait for the end of the reload. */
import { z } from 'zod';
import { definePrimaryAction } from '../action.ts';

export const reload = definePrimaryAction({
  name: 'reload',
  routes: [{ method: 'POST', path: '/reload' }],
  scope: 'manage',
  audit: 'info',
  status: 202,
  input: z.object({}),
  read: () => ({}),
  run: (primary) => ({ reload: primary.reload() }),
});
