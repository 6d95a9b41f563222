// The tests of the suite as JSON: id, suite, kind, and whether it is meant for a private cache.

import { pathToFileURL } from 'node:url'

const suite = await import(pathToFileURL(`${process.argv[2]}/tests/index.mjs`))
const all = suite.default.flatMap(group => group.tests.map(test => ({
  id: test.id,
  suite: group.id,
  kind: test.kind ?? 'required',
  private: test.browser_only === true
})))
console.log(JSON.stringify(all))
