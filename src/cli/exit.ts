import { libc } from '../l4/native/libc.js';

/** What Node's threads do for us, by the names it gives its requests: questions to the system's resolver, and files. */
const ON_A_THREAD = /^(GetAddrInfo|GetNameInfo|FSReq)/;

/**
 * Ends the process now. Node's own exit waits for its threads, and one that asks a name server which does not answer,
 * or opens a pipe that nobody writes to, would hold up a proxy that has said that it is gone.
 */
export function exitNow(code: number): never {
  if (process.getActiveResourcesInfo().some((name) => ON_A_THREAD.test(name))) {
    // What handlers do at exit: the last lines of the log are written.
    process.emit('exit', code);
    libc()?.exitNow(code);
  }
  process.exit(code);
}
