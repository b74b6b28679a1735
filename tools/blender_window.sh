#!/bin/sh
# Make the place in which tests/gui runs a desktop Blender in a window with no screen: a Debian sid of its own
# (Blender 5.2, Xvfb, software OpenGL, xdotool, tesseract), about 2 GB and three minutes, in the folder named.
# Exit code 3: it cannot be made here, and why is said.
set -eu
root=$1
if [ "$(id -u)" != 0 ]; then
    echo "a desktop Blender's place can be made only by root (chroot, mount)"
    exit 3
fi
if ! unshare -m --pid --fork --mount-proc true 2>/dev/null; then
    echo "this machine allows no mounts and processes of one's own (unshare)"
    exit 3
fi
[ -e "$root/understudy-complete" ] && exit 0
echo "making $root: a Debian with a desktop Blender, about three minutes, once"
if ! command -v debootstrap >/dev/null; then
    { apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq debootstrap; } >/dev/null 2>&1 || {
        echo "debootstrap is missing and apt-get does not bring it"
        exit 3
    }
fi
mkdir -p "$root"
log=$root.log
# a folder that an interrupted run left is begun anew
rm -rf "$root"
keyring=/usr/share/keyrings/debian-archive-keyring.gpg
# neither step may hold up whoever waits: a network that slow is as good as none
timeout 300 debootstrap --variant=minbase --keyring=$keyring sid "$root" >"$log" 2>&1 || {
    echo "debootstrap failed, $log tells why: $(tail -n 1 "$log")"
    exit 3
}
cp /etc/resolv.conf "$root/etc/resolv.conf"
cp -r /etc/apt/apt.conf.d/. "$root/etc/apt/apt.conf.d/"
printf '#!/bin/sh\nexit 101\n' >"$root/usr/sbin/policy-rc.d" # no services
chmod +x "$root/usr/sbin/policy-rc.d"
{
    timeout 120 chroot "$root" apt-get update -qq
    DEBIAN_FRONTEND=noninteractive timeout 480 chroot "$root" apt-get install -y -qq --no-install-recommends \
        blender xvfb xdotool x11-utils openbox tesseract-ocr tesseract-ocr-eng \
        libgl1-mesa-dri libegl-mesa0 libglx-mesa0 \
        python3-cattr python3-requests python3-numpy fonts-dejavu-core dbus ca-certificates procps
} >>"$log" 2>&1 || {
    echo "installing Blender into $root failed, $log tells why: $(tail -n 1 "$log")"
    exit 3
}
rm -rf "$root"/var/cache/apt/archives/*.deb
touch "$root/understudy-complete"
