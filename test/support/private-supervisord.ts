import { spawn, type ChildProcess } from 'node:child_process'
import { writeFileSync } from 'node:fs'
import { connect } from 'node:net'
import { join } from 'node:path'
import { SupervisordDefinition } from '@filo/protocol'
import { killDaemon, writeDaemon, type Behaviour } from '../../packages/agent/src/managers/testing.ts'
import { freePort } from './free-port.ts'
import { requireProgram } from './packages.ts'
import { tempDir } from './temp-dir.ts'
import { until } from './until.ts'

export interface SupervisedProgram {
  readonly name: string
  readonly behaviour?: Behaviour
  /** In the place of the test's daemon. */
  readonly command?: string
  /** More lines of its section. */
  readonly options?: readonly string[]
}

/** A supervisord of a test's own: own configuration, socket and directory, no root needed. */
export interface PrivateSupervisord extends AsyncDisposable {
  readonly dir: string
  readonly socket: string
  readonly port: number
  define(definition: { program: string } | { group: string; together?: boolean }): SupervisordDefinition
  kill(): Promise<void>
}

/** @param sections more of the configuration. */
export async function startSupervisord(
  programs: readonly SupervisedProgram[],
  sections: readonly string[] = [],
): Promise<PrivateSupervisord> {
  const binary = await requireProgram('supervisord', 'supervisor')
  const temp = tempDir()
  const dir = temp.path
  const socket = join(dir, 's.sock')
  const port = await freePort()
  const configuration = join(dir, 'supervisord.conf')
  writeFileSync(
    configuration,
    [
      '[supervisord]',
      `logfile=${dir}/supervisord.log`,
      `pidfile=${dir}/supervisord.pid`,
      `childlogdir=${dir}`,
      '[unix_http_server]',
      `file=${socket}`,
      '[inet_http_server]',
      `port=127.0.0.1:${port}`,
      'username=filo',
      'password=s3<cret&',
      '[rpcinterface:supervisor]',
      'supervisor.rpcinterface_factory = supervisor.rpcinterface:make_main_rpcinterface',
      ...programs.flatMap((program) => sectionOf(dir, program)),
      ...sections,
    ].join('\n'),
  )
  const child = spawn(binary, ['--nodaemon', '--configuration', configuration], { stdio: 'ignore' })
  const end = async (): Promise<void> => {
    child.kill('SIGKILL')
    await until('supervisord to end', () => child.exitCode !== null || child.signalCode !== null)
  }
  await until('supervisord to listen', () => accepts(socket, child))
  return {
    dir,
    socket,
    port,
    define: (what) => SupervisordDefinition.parse({ kind: 'supervisord', socket, ...what }),
    kill: end,
    async [Symbol.asyncDispose]() {
      await end()
      for (const { name } of programs) killDaemon(dir, name)
      temp[Symbol.dispose]()
    },
  }
}

function sectionOf(
  dir: string,
  { name, behaviour = 'plain', command, options = [] }: SupervisedProgram,
): string[] {
  return [
    `[program:${name}]`,
    `command=${command ?? writeDaemon(dir, name, behaviour)}`,
    'autostart=false',
    'autorestart=false',
    'startsecs=0',
    'stopwaitsecs=60',
    ...options,
  ]
}

function accepts(socket: string, child: ChildProcess): Promise<boolean> {
  if (child.exitCode !== null) throw new Error(`supervisord ended with ${child.exitCode}`)
  return new Promise((resolve) => {
    const connection = connect(socket)
    connection.once('connect', () => resolve(true))
    connection.once('error', () => resolve(false))
    connection.once('connect', () => connection.destroy())
  })
}
