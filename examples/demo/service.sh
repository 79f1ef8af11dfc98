# What the init scripts of the demo share. Each has set: name, needs, used_by.

root=$(cd "$(dirname "$0")/.." && pwd)
mkdir -p "$root/run"

log() { printf '%s  %-11s  %s\n' "$(date +%H:%M:%S.%3N)" "$name" "$1" >>"$root/services.log"; }

# Whether the daemon of a service lives and has come up.
is_up() { [ -f "$root/run/$1.up" ] && kill -0 "$(cat "$root/run/$1.pid")" 2>/dev/null; }

start() {
  for need in $needs; do
    is_up "$need" && continue
    log "cannot start without $need"
    echo "$name cannot start: $need is not running"
    return 1
  done
  setsid "$root/daemon.sh" "$root/run/$name" >/dev/null 2>&1 </dev/null &
  echo $! >"$root/run/$name.pid"
  until is_up "$name"; do sleep 0.05; done
  log 'is up'
  echo "$name is up"
}

stop() {
  for user in $used_by; do
    is_up "$user" && log "is stopped under $user"
  done
  log 'is told to stop'
  echo "$name is finishing its work"
  kill -TERM "$(cat "$root/run/$name.pid")"
  while is_up "$name"; do sleep 0.05; done
  rm -f "$root/run/$name.pid"
  log 'has stopped'
}

case "$1" in
  start) is_up "$name" || start ;;
  stop) is_up "$name" && stop || true ;;
  status) is_up "$name" && echo "$name is up" || { echo "$name is down"; exit 3; } ;;
  *) echo "usage: $0 start|stop|status"; exit 2 ;;
esac
