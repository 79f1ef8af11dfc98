import { BaseSequencer, type TestSpecification } from 'vitest/node'

/** Files that take minutes: begun last, they would be waited for alone. */
const longest =
  /(?:simulation|crash-points|hostile-peer)\.test\.ts$|(?:sympa-rounds|sympa-faults|reboot)\.lab\.ts$/

/** As vitest sorts files where it has not seen them before, by their size; but the longest are begun first. */
export class LongestFirst extends BaseSequencer {
  override async sort(files: TestSpecification[]): Promise<TestSpecification[]> {
    // oxlint-disable-next-line unicorn/no-array-sort -- it sorts no array.
    const sorted = await super.sort(files)
    const isLong = ({ moduleId }: TestSpecification): boolean => longest.test(moduleId)
    return [...sorted.filter(isLong), ...sorted.filter((file) => !isLong(file))]
  }
}
