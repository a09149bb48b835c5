/**
 * What a proxy has used, read from Linux's /proc (proc(5)). A proxy is a session: the process that was started as the
 * leader of one, and whatever it started in turn.
 */
import { readdirSync, readFileSync } from 'node:fs';

/** Ticks per second of the times in /proc/PID/stat: USER_HZ, which is 100 on every architecture Linux runs Node on. */
const TICKS_PER_SECOND = 100;

export interface ProcessStat {
  readonly session: number;
  /** User and system time of all its threads, those that have ended too. */
  readonly cpuSeconds: number;
}

export interface Usage {
  readonly cpuSeconds: number;
  readonly residentBytes: number;
}

/** Reads /proc/PID/stat; `undefined` where it is not one. The name in it may contain spaces and parentheses. */
export function parseStat(text: string): ProcessStat | undefined {
  const afterName = text.lastIndexOf(')');
  if (afterName === -1) return undefined;
  // From the third field on: state ppid pgrp session ... utime is the 14th and stime the 15th of all.
  const fields = text
    .slice(afterName + 1)
    .trim()
    .split(/\s+/);
  const [session, user, system] = [fields[3], fields[11], fields[12]].map(Number);
  if (session === undefined || user === undefined || system === undefined) return undefined;
  if (![session, user, system].every(Number.isFinite)) return undefined;
  return { session, cpuSeconds: (user + system) / TICKS_PER_SECOND };
}

/** Resident bytes out of /proc/PID/status; 0 for a process that has none left (a zombie). */
export function parseResident(status: string): number {
  return Number(/^VmRSS:\s+(\d+) kB$/m.exec(status)?.[1] ?? 0) * 1024;
}

function readOf(pid: string, file: string): string {
  try {
    return readFileSync(`/proc/${pid}/${file}`, 'utf8');
  } catch {
    // It ended between the listing and now.
    return '';
  }
}

/** The sum over all processes of the session that `leader` leads; `undefined` on a system without /proc. */
export function usageOf(leader: number): Usage | undefined {
  if (process.platform !== 'linux') return undefined;
  let cpuSeconds = 0;
  let residentBytes = 0;
  for (const pid of readdirSync('/proc')) {
    if (!/^\d+$/.test(pid)) continue;
    const stat = parseStat(readOf(pid, 'stat'));
    if (stat?.session !== leader) continue;
    cpuSeconds += stat.cpuSeconds;
    residentBytes += parseResident(readOf(pid, 'status'));
  }
  return { cpuSeconds, residentBytes };
}
