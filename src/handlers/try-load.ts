/** Entry of a process that loads the handlers module and reports the result to its parent, which then kills it. */
import { messageOf } from '../platform/errors.ts';
import { loadHandlers } from './load.ts';

loadHandlers(process.argv[2] ?? '').then(
  () => {
    process.send?.({ loaded: true });
  },
  (error: unknown) => {
    process.send?.({ loaded: messageOf(error) });
  },
);
