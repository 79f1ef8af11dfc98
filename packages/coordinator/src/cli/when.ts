import prettyMilliseconds from 'pretty-ms'

/** A moment in local time, as short as it can be told: today's without its date. */
export function formatMoment(iso: string, now: Date): string {
  const moment = new Date(iso)
  const [date, time] = local(moment)
  return date === local(now)[0] ? time : `${date} ${time}`
}

function local(moment: Date): [date: string, time: string] {
  const two = (number: number): string => String(number).padStart(2, '0')
  const day = [moment.getFullYear(), two(moment.getMonth() + 1), two(moment.getDate())]
  return [day.join('-'), [moment.getHours(), moment.getMinutes(), moment.getSeconds()].map(two).join(':')]
}

/** `0.1s`, `2m 5s`. */
export function formatDuration(milliseconds: number): string {
  return milliseconds < 1000 ? `${(milliseconds / 1000).toFixed(1)}s` : prettyMilliseconds(milliseconds)
}
