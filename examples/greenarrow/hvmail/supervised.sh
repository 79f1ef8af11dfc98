# What the two programs of the stand-in share. They find all they need beside themselves: no fixed paths, no root.

hvmail=$(cd -P "$(dirname "$0")/.." && pwd)
service=$(cd "$hvmail/../service" && pwd)

# The components that the given means brings up and down.
components_of() { awk -v by="$1" '!/^#/ && $2 == by { print $1 }' "$hvmail/components"; }

dirs_of() { for name in "$@"; do echo "$service/$name"; done; }

# Of the given components those that have a process.
still_up() {
  svstat $(dirs_of "$@") | awk -F': ' '$2 ~ /^up / { sub(".*/", "", $1); print $1 }'
}

# Tells the given components to go up (-u) or down (-d).
tell() {
  option=$1
  shift
  [ $# -eq 0 ] || svc "$option" $(dirs_of "$@")
}

# Waits until none of the given components has a process, and says which still do.
await_down() {
  while left=$(still_up "$@") && [ -n "$left" ]; do
    echo "Waiting for $(echo $left | wc -w) to stop:" $left
    sleep 0.5
  done
}

await_up() {
  while [ "$(still_up "$@" | wc -l)" -lt $# ]; do sleep 0.1; done
}
