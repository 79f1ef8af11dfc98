#!/bin/sh
# A daemon of the demo: takes a moment to come up, lives, and takes a moment to finish when it is told to.
# $1.up is there while it can be used.

finish() {
  kill "$waiting" 2>/dev/null
  sleep 0.3
  rm -f "$1.up"
  exit 0
}
trap 'finish "$1"' TERM

sleep 0.3
touch "$1.up"
while :; do
  sleep 1000 &
  waiting=$!
  wait "$waiting"
done
