/** The options of the load programs, as `native/common.c` reads them. */
import { parseArgs } from 'node:util';

export interface ProgramOptions {
  readonly mode: string;
  readonly port: number;
  readonly connections: number;
  readonly size: number;
  readonly seconds: number;
  readonly rate: number;
}

export function programOptions(): ProgramOptions {
  const { values } = parseArgs({
    options: {
      mode: { type: 'string', default: 'echo' },
      port: { type: 'string' },
      connections: { type: 'string', default: '1' },
      size: { type: 'string', default: '64' },
      seconds: { type: 'string', default: '1' },
      rate: { type: 'string', default: '1000' },
    },
  });
  const number = (name: 'port' | 'connections' | 'size' | 'seconds' | 'rate') => {
    const value = Number(values[name]);
    if (Number.isFinite(value) && value > 0) return value;
    console.error(`--${name} ${values[name]}: a number above 0 is needed`);
    return process.exit(2);
  };
  return {
    mode: values.mode,
    port: number('port'),
    connections: number('connections'),
    size: number('size'),
    seconds: number('seconds'),
    rate: number('rate'),
  };
}
