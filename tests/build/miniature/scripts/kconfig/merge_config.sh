#!/bin/sh
# As the real one is called: -m -O FOLDER BASE FRAGMENT.
set -e
[ "$1" = -m ] && [ "$2" = -O ]
names=$(sed -n -e 's/^\(CONFIG_[A-Z0-9_]*\)=.*/\1/p' -e 's/^# \(CONFIG_[A-Z0-9_]*\) is not set$/\1/p' "$5")
cp "$4" "$3/.config"
for name in $names; do
  sed -i "/^$name=/d" "$3/.config"
done
cat "$5" >>"$3/.config"
