# What the init scripts share. Each has set: name, and `run` for what it starts in the foreground.

home=$(cd "$(dirname "$0")/../.." && pwd)
pidfile=$home/var/$name.pid
. "$home/etc/ports.sh"
. "$home/lib/note.sh"

# A process that has ended and whose parent has not noticed yet is not up.
is_up() {
  [ -f "$pidfile" ] && state=$(awk '{ print $3 }' "/proc/$(cat "$pidfile")/stat" 2>/dev/null) && [ "$state" != Z ]
}

start() {
  is_up && return 0
  echo "Starting $name"
  run
  note "$name" 'is started'
}

stop() {
  is_up || return 0
  echo "Stopping $name"
  note "$name" 'is told to stop'
  kill "$(cat "$pidfile")"
  while is_up; do sleep 0.05; done
  rm -f "$pidfile"
  note "$name" 'has stopped'
}

case $1 in
  start | stop) "$1" ;;
  restart) stop && start ;;
  status) is_up || exit 3 ;;
  *) echo "usage: $0 start|stop|restart|status" >&2; exit 2 ;;
esac
