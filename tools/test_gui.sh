#!/bin/sh
# Run tests/gui: a desktop Blender in a window of its own, worked by mouse and keyboard.
# usage: test_gui.sh PYTHON [PYTEST_ARGUMENT...], or test_gui.sh --prepare to make the place of that Blender alone
# Where such a window cannot be had, that is said ("SKIPPED: …") and counts as passed. All mounts and processes are the
# tests' own and end with them, however they end; what takes longer than a limit below is ended.
set -u
root=${UNDERSTUDY_GUI_ROOT:-$PWD/.build/blender-window}
place_seconds=300 # to make the desktop Blender's place, once; a network that slow is as good as none
test_seconds=${UNDERSTUDY_GUI_SECONDS:-1200} # about 300 where nothing else runs
python=$1
shift
[ "$python" = --prepare ] && place_seconds=900 # other things run beside it

skip() {
    echo "SKIPPED: the tests in a window: $1"
    exit 0
}
# the first process in there is killed with unshare, and every other with the first
apart() { timeout --foreground --signal=KILL "$@"; }
own="unshare -m --propagation private --pid --fork --kill-child --mount-proc"

[ "$(uname -s)" = Linux ] || skip "their Blender is Debian's, which needs Linux"
[ "$(id -u)" = 0 ] || skip "their Blender's place can be made only by root (chroot, mount)"
try=$root.try-$$ # two of these may run at once
mkdir -p "$try"
apart 20 $own sh -c 'for from in / /sys /dev; do mount --rbind "$from" "$1" || exit; done; mount -t proc proc "$1"' \
    - "$try" 2>/dev/null
allowed=$?
rmdir "$try"
[ $allowed = 0 ] || skip "this machine allows no mounts and processes of one's own (unshare, mount)"

# the last line says why
said=$(apart $place_seconds $own tools/blender_window.sh "$root" </dev/null)
case $? in
0) ;;
3) skip "$(echo "$said" | tail -n 1)" ;;
*) skip "their Blender's place was not made within $place_seconds seconds; $root.log tells how far it was" ;;
esac
[ "$python" = --prepare ] && exit 0

# the tests end by themselves when their time is over, with a picture of where they were
apart $((test_seconds + 30)) $own env UNDERSTUDY_OWN_MOUNTS=1 UNDERSTUDY_GUI_SECONDS="$test_seconds" \
    UNDERSTUDY_GUI_ROOT="$root" "$python" -m pytest -x tests/gui "$@"
ended=$?
[ $ended = 137 ] && echo "The tests in a window were ended: they took longer than $test_seconds seconds, with all that they had started."
exit $ended
