import { hostname, userInfo } from 'node:os'

/** Who types, for journals and audit logs: `alice@admin1`. Behind sudo(8) it is the person who typed sudo. */
export function operatorName(environment: NodeJS.ProcessEnv): string {
  return `${environment['SUDO_USER'] ?? userName()}@${hostname()}`
}

function userName(): string {
  try {
    return userInfo().username
  } catch {
    // A user id without an entry in the password database, as containers have them.
    return `uid${process.getuid?.() ?? ''}`
  }
}
