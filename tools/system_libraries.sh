#!/bin/sh
# The bpy wheel opens a few of the system's graphics libraries even where it draws nothing. Install those that
# are missing (Debian, as root), or say which.
needed="libGL.so.1:libgl1 libEGL.so.1:libegl1 libX11.so.6:libx11-6 libXi.so.6:libxi6 libXfixes.so.3:libxfixes3 \
libXrender.so.1:libxrender1 libXext.so.6:libxext6 libSM.so.6:libsm6 libICE.so.6:libice6 libxkbcommon.so.0:libxkbcommon0 \
libXxf86vm.so.1:libxxf86vm1 libuuid.so.1:libuuid1"
known=$(/sbin/ldconfig -p 2>/dev/null)
missing=""
for pair in $needed; do
    case "$known" in *"${pair%%:*}"*) ;; *) missing="$missing ${pair##*:}" ;; esac
done
[ -z "$missing" ] && exit 0
if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
    echo "installing system libraries that Blender needs:$missing"
    apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $missing >/dev/null && exit 0
fi
echo "Blender's module needs system libraries that are missing. Install them and run this again:" >&2
echo "  sudo apt-get install$missing" >&2
exit 1
