# What the processes of the example share. `root` is the example's directory.

note() { printf '%s  %-24s  %s\n' "$(date +%H:%M:%S.%3N)" "$1" "$2" >>"$root/services.log"; }

# Gives a message to the MTA; fails where it takes none.
inject() {
  [ -e "$root/hvmail/queue/ram/ok" ] || return 1
  count=$((${count:-0} + 1))
  echo "a message of $1" >"$root/spool/$1-$$-$count"
}
