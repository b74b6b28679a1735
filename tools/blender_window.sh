#!/bin/sh
# Make the place in which tests/gui runs a desktop Blender in a window with no screen: a Debian sid of its own
# (Blender 5.2, Xvfb, software OpenGL, xdotool, tesseract), about 2 GB and three minutes, in the folder named.
# Exit code 3: it cannot be made here, and why is said. tools/test_gui.sh gives it the mounts of its own that it needs.
set -eu
root=$1
[ -e "$root/understudy-complete" ] && exit 0
echo "making $root: a Debian with a desktop Blender, about three minutes, once" >&2
if ! command -v debootstrap >/dev/null; then
    { apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends debootstrap \
        debian-archive-keyring; } >/dev/null 2>&1 || {
        echo "debootstrap is missing and apt-get does not bring it"
        exit 3
    }
fi
log=$root.log
# a folder that an interrupted run left is begun anew
rm -rf "$root"
# nobody needs this place after a power cut, nor its manuals
mkdir -p "$root/etc/dpkg/dpkg.cfg.d"
printf '%s\n' force-unsafe-io path-exclude=/usr/share/doc/* path-exclude=/usr/share/man/* path-exclude=/usr/share/locale/* \
    >"$root/etc/dpkg/dpkg.cfg.d/understudy"
keyring=/usr/share/keyrings/debian-archive-keyring.gpg
debootstrap --variant=minbase --keyring=$keyring sid "$root" >"$log" 2>&1 || {
    echo "debootstrap failed, $log tells why: $(tail -n 1 "$log")"
    exit 3
}
cp /etc/resolv.conf "$root/etc/resolv.conf"
cp -r /etc/apt/apt.conf.d/. "$root/etc/apt/apt.conf.d/"
printf '#!/bin/sh\nexit 101\n' >"$root/usr/sbin/policy-rc.d" # no services
chmod +x "$root/usr/sbin/policy-rc.d"
{
    chroot "$root" apt-get update -qq &&
        DEBIAN_FRONTEND=noninteractive chroot "$root" apt-get install -y -qq --no-install-recommends \
        blender xvfb xdotool openbox tesseract-ocr tesseract-ocr-eng libgl1-mesa-dri libegl-mesa0 libglx-mesa0 \
        python3-cattr python3-requests python3-numpy fonts-dejavu-core dbus ca-certificates procps
} >>"$log" 2>&1 || {
    echo "installing Blender into $root failed, $log tells why: $(tail -n 1 "$log")"
    exit 3
}
rm -rf "$root"/var/cache/apt/archives/*.deb
version=$(chroot "$root" blender --version 2>/dev/null | head -n 1)
case $version in
"Blender 5.2"*) ;;
*)
    echo "Debian has ${version:-no Blender that starts} by now, and what is tested is Blender 5.2"
    exit 3
    ;;
esac
# does it open a window, without anything of ours?
mount -t proc proc "$root/proc"
mount --rbind /dev "$root/dev"
mkdir -p "$root/tmp/.X11-unix" "$root/tmp/first"
chmod 1777 "$root/tmp/.X11-unix"
chroot "$root" Xvfb -displayfd 3 -screen 0 800x600x24 +extension GLX -nolisten tcp 3>"$root/tmp/display" 2>>"$log" &
screen=$!
for _ in $(seq 100); do [ -s "$root/tmp/display" ] || sleep 0.2; done
chroot "$root" timeout 120 env "DISPLAY=:$(cat "$root/tmp/display")" HOME=/tmp/first XDG_RUNTIME_DIR=/tmp/first \
    LIBGL_ALWAYS_SOFTWARE=1 ALSOFT_DRIVERS=null blender --factory-startup --gpu-backend opengl -noaudio \
    --window-geometry 0 0 800 600 --python-exit-code 9 \
    --python-expr "import bpy; bpy.app.timers.register(bpy.ops.wm.quit_blender, first_interval=1.0)" >>"$log" 2>&1 || {
    echo "Blender opens no window here (no OpenGL in software?), $log tells why: $(tail -n 1 "$log")"
    exit 3
}
kill $screen
touch "$root/understudy-complete"
