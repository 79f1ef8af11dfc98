#!/bin/sh
# An LSB script for a program on another host that injects mail and does not try again by itself.
root=$(cd "$(dirname "$0")/.." && pwd)
pidfile=$root/injector/pid

# A process that has ended and whose parent has not noticed yet is not up.
is_up() {
  [ -f "$pidfile" ] && state=$(awk '{ print $3 }' "/proc/$(cat "$pidfile")/stat" 2>/dev/null) && [ "$state" != Z ]
}

case $1 in
  start)
    is_up && exit 0
    setsid "$root/hvmail/run/injector" injector "$root" </dev/null >/dev/null 2>&1 &
    echo $! >"$pidfile"
    ;;
  stop)
    is_up || exit 0
    kill "$(cat "$pidfile")"
    while is_up; do sleep 0.05; done
    rm -f "$pidfile"
    ;;
  status) is_up || exit 3 ;;
  *) echo "usage: $0 start|stop|status" >&2; exit 2 ;;
esac
