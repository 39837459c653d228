/** A process that loads the handlers module and tells its parent whether that works; it is killed afterwards. */
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
