import { expect, test } from 'vitest'
import { fleetGraph, hostFlowchart, serviceFlowchart } from './graph.ts'
import { parseFleet } from './parse-fleet.ts'

const parsed = parseFleet(
  `
fleet: lists
broker: local
hosts: { db1: , mail1: , mail2: }
services:
  end: { hosts: db1, lsb: db }
  mta: { hosts: [mail1, mail2], lsb: mta, needs: end, enough: 1 }
  web: { hosts: mail1, lsb: web, keep: true, needs: [{ service: mta, scope: same-host }, { service: end, strength: order }] }
  api: { hosts: mail2, lsb: api, needs: mta }
stages: [{ back: end }, { front: web }]
`,
  'filo.yaml',
)
if (parsed.kind === 'refused') throw new Error(JSON.stringify(parsed.problems))
const { fleet } = parsed

test('the graph as data holds every service and need', () => {
  expect(fleetGraph(fleet)).toMatchInlineSnapshot(`
    {
      "edges": [
        {
          "from": "mta",
          "scope": "all",
          "strength": "hard",
          "to": "end",
        },
        {
          "from": "web",
          "scope": "same-host",
          "strength": "hard",
          "to": "mta",
        },
        {
          "from": "web",
          "scope": "all",
          "strength": "order",
          "to": "end",
        },
        {
          "from": "api",
          "scope": "all",
          "strength": "hard",
          "to": "mta",
        },
      ],
      "fleet": "lists",
      "nodes": [
        {
          "hosts": [
            "db1",
          ],
          "keep": false,
          "service": "end",
        },
        {
          "enough": 1,
          "hosts": [
            "mail1",
            "mail2",
          ],
          "keep": false,
          "service": "mta",
        },
        {
          "hosts": [
            "mail1",
          ],
          "keep": true,
          "service": "web",
        },
        {
          "hosts": [
            "mail2",
          ],
          "keep": false,
          "service": "api",
        },
      ],
      "stages": [
        {
          "name": "back",
          "services": [
            "end",
          ],
        },
        {
          "name": "front",
          "services": [
            "web",
          ],
        },
      ],
    }
  `)
})

test('the flowchart of services boxes stages and marks what is only order or on the same host', () => {
  expect(serviceFlowchart(fleet)).toMatchInlineSnapshot(`
    "flowchart TD
      subgraph stage0["stage back"]
        s0["end<br/>db1"]
      end
      subgraph stage1["stage front"]
        s2["web<br/>mail1<br/>kept"]
      end
      stage1 --> stage0
      s1["mta<br/>2 hosts"]
      s3["api<br/>mail2"]
      s1 --> s0
      s2 -->|same host| s1
      s2 -.-> s0
      s3 --> s1
    "
  `)
})

test('the flowchart of instances boxes hosts, with one node for what stands for several', () => {
  expect(hostFlowchart(fleet)).toMatchInlineSnapshot(`
    "flowchart TD
      subgraph host0["db1"]
        n0["end"]
      end
      subgraph host1["mail1"]
        n1["mta"]
        n4["web"]
      end
      subgraph host2["mail2"]
        n2["mta"]
        n3["api"]
      end
      n5(("1 of 2 mta"))
      n1 --> n0
      n2 --> n0
      n3 --> n5
      n4 --> n1
      n4 --> n0
      n4 -.-> n0
      n5 --> n1
      n5 --> n2
    "
  `)
})

test('what stands for a stage or for all of a service says so, and a host without services has no box', () => {
  const wide = parseFleet(
    `
fleet: lists
broker: local
hosts: { db1: , mail1: , mail2: , spare: }
services:
  db: { hosts: db1, lsb: db }
  mta: { hosts: [mail1, mail2], lsb: mta }
  web: { hosts: db1, lsb: web, needs: mta }
stages: [{ back: [db, mta] }, { front: web }]
`,
    'filo.yaml',
  )
  if (wide.kind === 'refused') throw new Error(JSON.stringify(wide.problems))
  const text = hostFlowchart(wide.fleet)
  expect(text).toContain('(("all mta"))')
  expect(text).toContain('(("stage back"))')
  expect(text).not.toContain('spare')
})
